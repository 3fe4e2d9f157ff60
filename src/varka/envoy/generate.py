"""Everything that one proxy gets, from the one view that decides it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from varka.base.wire import WireResource
from varka.envoy import memo, name_tables, names
from varka.envoy.listeners import auto_passthrough, gateway_listeners, inbound_listeners, outbound_listeners
from varka.envoy.patching import apply as patching
from varka.envoy.patching import changing
from varka.envoy.routing import gateway_routes, routes
from varka.envoy.upstreams import clusters, endpoints, localities
from varka.model import name_table, patches
from varka.model.view import MeshSettings, OutboundView, ProxyType, ProxyView


class ProxyConfig(Struct, frozen=True, kw_only=True):
    """The proxy's resources by type and name, names in order."""

    listeners: Mapping[str, WireResource] = field(default_factory=dict)
    clusters: Mapping[str, WireResource] = field(default_factory=dict)
    routes: Mapping[str, WireResource] = field(default_factory=dict)
    endpoints: Mapping[str, WireResource] = field(default_factory=dict)
    names: Mapping[str, WireResource] = field(default_factory=dict)
    """The name table, for a proxy whose agent answers DNS."""
    extensions: Mapping[str, WireResource] = field(default_factory=dict)
    """Configurations of filters that are fetched by name."""
    applied: frozenset[tuple[str, int]] = frozenset()
    """EnvoyFilter and number of the patches that met something."""
    problems: tuple[changing.Problem, ...] = ()
    """Patches that could not be carried out."""


Named = dict[str, WireResource]
_outbound_clusters: memo.Memo[Named] = memo.Memo(256)
_clusters: memo.Memo[Named] = memo.Memo(4096)
_endpoints: memo.Memo[Named] = memo.Memo(1024)
_names: memo.Memo[Named] = memo.Memo(1024)
NO_NAMES: Named = {}
_viewpoint: memo.Memo[localities.Viewpoint] = memo.Memo(4096)
_routes: memo.Memo[Named] = memo.Memo(1024)
_listeners: memo.Memo[Named] = memo.Memo(4096)


def generate(view: ProxyView) -> ProxyConfig:
    """The whole configuration; mappings of proxies that get the same are the same objects."""
    sidecar = view.proxy.type is ProxyType.SIDECAR
    own = _viewpoint.get((view.outbound, view.proxy, view.mesh, view.network_gateways), None, lambda: endpoints.viewpoint(view))
    found = ProxyConfig(
        listeners=_sidecar_listeners(view) if sidecar else by_name(gateway_listeners.build(view)),
        clusters=_all_clusters(view, sidecar),
        routes=_sidecar_routes(view) if sidecar else by_name(gateway_routes.build(view)),
        endpoints=_endpoints.get((view.outbound,), own, lambda: by_name(endpoints.outbound(view.outbound, own))),
        names=_names.get((view.outbound,), None, lambda: by_name([name_tables.resource(name_table.build(view.outbound))])) if view.dns_capture else NO_NAMES,
    )
    return found if view.extensions is patches.NONE else _patched(view, found)


def _patched(view: ProxyView, found: ProxyConfig) -> ProxyConfig:
    about, extensions = patching.side(view), view.extensions
    changed = (
        patching.listeners(found.listeners, extensions, about),
        patching.clusters(found.clusters, extensions, about),
        patching.routes(found.routes, extensions, about),
        patching.extension_configs(extensions),
    )
    return replace(
        found,
        listeners=changed[0].resources,
        clusters=changed[1].resources,
        routes=changed[2].resources,
        extensions=changed[3].resources,
        applied=frozenset().union(*(outcome.applied for outcome in changed)),
        problems=tuple(problem for outcome in changed for problem in outcome.problems),
    )


def by_name(resources: Iterable[WireResource]) -> Named:
    """The resources in order of name; of two with one name the first is kept."""
    found: Named = {}
    for resource in resources:
        found.setdefault(resource.name, resource)
    return {name: found[name] for name in sorted(found)}


def _of_services(view: OutboundView, mesh: MeshSettings) -> Named:
    known = [view.endpoints.get(key) for key in clusters.with_addresses(view.services)]
    return _outbound_clusters.get((view.services, view.destination_rules, mesh, *known), None, lambda: by_name(clusters.outbound(view, mesh)))


def _all_clusters(view: ProxyView, sidecar: bool) -> Named:
    shared = _of_services(view.outbound, view.mesh)
    between = _between_networks(view)
    redirected = view.proxy.redirected

    def build() -> Named:
        own = [*clusters.fixed(view.mesh, sidecar, redirected), *(clusters.inbound(port, view.mesh, redirected) for port in view.inbound)]
        return by_name([*own, *between, *shared.values()])

    return _clusters.get((shared, view.mesh, *between, *view.inbound), (sidecar, redirected), build)


def _between_networks(view: ProxyView) -> list[WireResource]:
    """The clusters of a gateway that passes the mesh's own TLS on."""
    found: list[WireResource] = []
    seen = view.outbound
    for server in (binding.server for binding in view.gateways if auto_passthrough.wanted(binding.server)):
        for service, port, subset in auto_passthrough.destinations(view, server):
            known = seen.endpoints.get((service.hostname, port.number), ())
            found.append(clusters.unread(service, port, seen.destination_rules.get(service.hostname), known, view.mesh, subset))
    return found


def _sidecar_listeners(view: ProxyView) -> Named:
    outward = outbound_listeners.build(view.outbound, view.mesh, view.proxy, view.telemetry.client)
    inward = inbound_listeners.build(view)
    if not view.proxy.redirected:
        return _listeners.get((outward, inward), False, lambda: by_name(listener for listener in (*inward, *outward) if listener.name not in VIRTUAL))
    return _listeners.get((outward, inward), True, lambda: by_name([*inward, *outward]))


VIRTUAL = frozenset({names.VIRTUAL_INBOUND, names.VIRTUAL_OUTBOUND})
"""They take what is redirected."""


def _sidecar_routes(view: ProxyView) -> Named:
    found = routes.outbound(view.outbound, view.mesh, view.proxy)
    return _routes.get((found,), None, lambda: by_name(found))
