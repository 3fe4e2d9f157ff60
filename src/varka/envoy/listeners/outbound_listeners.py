"""Listeners for the connections that the application opens.

All of them arrive at `virtualOutbound` on port 15001, which hands each to the listener of the address that was dialled,
if there is one. What no listener is for goes on to that address unchanged, or nowhere when the mesh is closed
(`REGISTRY_ONLY`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2

from varka.base.wire import WireResource
from varka.envoy import memo, messages, names
from varka.envoy.listeners import chains, http_connection_manager, http_filters, listener_filters, outbound_ports, tcp_proxies, tcp_routes
from varka.envoy.listeners.outbound_ports import Binding, Claim, Kind
from varka.envoy.observing import stats
from varka.envoy.routing import virtual_hosts
from varka.model.telemetry import Side
from varka.model.view import MeshSettings, OutboundView, Proxy

_listeners: memo.Memo[WireResource] = memo.Memo(32768)
_all: memo.Memo[list[WireResource]] = memo.Memo(256)


def build(view: OutboundView, mesh: MeshSettings, proxy: Proxy, side: Side) -> list[WireResource]:
    """All outbound listeners, `virtualOutbound` first."""
    labels = tcp_routes.labels_looked_at(view, proxy.labels)
    bindings = outbound_ports.bindings(view, proxy.families)

    def make() -> list[WireResource]:
        return [virtual_outbound(mesh, side, proxy.families), *(_of(binding, view, mesh, proxy, side) for binding in bindings)]

    objects = (bindings, view.services, view.virtual_services, view.destination_rules, mesh, side)
    return _all.get(objects, (proxy.namespace, proxy.families, labels), make)


def virtual_outbound(mesh: MeshSettings, side: Side, families: outbound_ports.Families = (4,)) -> WireResource:
    """The listener that the redirection rules lead to."""
    port = mesh.proxy_listen_port
    hole = tcp_proxies.to_cluster(names.BLACK_HOLE_CLUSTER, mesh, side)
    listener = listener_pb2.Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=messages.address(outbound_ports.wildcard(families), port),
        additional_addresses=chains.other_family(families, port),
        use_original_dst=messages.TRUE,
        traffic_direction=base_pb2.OUTBOUND,
        filter_chains=[
            chains.chain("virtualOutbound-blackhole", [hole], chains.match(port=port)),
            chains.chain("virtualOutbound-catchall-tcp", [_rest(mesh, side)]),
        ],
        access_log=[],
    )
    return messages.resource(listener.name, listener)


def _rest(mesh: MeshSettings, side: Side) -> Any:
    return tcp_proxies.to_cluster(virtual_hosts.unknown_cluster(mesh), mesh, side, stats.of_connections_sent(side.metrics))


def _of(binding: Binding, view: OutboundView, mesh: MeshSettings, proxy: Proxy, side: Side) -> WireResource:
    reach = binding.reach or view
    services = virtual_hosts.index(view)
    origin = virtual_hosts.Origin(view=reach, mesh=mesh, services=services, port=binding.port, namespace=proxy.namespace, labels=proxy.labels, side=side)
    rules = tuple(tcp_routes.virtual_service_of(reach, claim.service.hostname) for claim in binding.claims)
    depends: list[object] = [mesh, side]
    for claim, rule in zip(binding.claims, rules, strict=True):
        depends += [claim.service, claim.port, rule, *tcp_routes.dependencies(origin, rule)]
    labels = tcp_routes.labels_looked_at(view, proxy.labels)
    key = (binding.address, binding.port, binding.route, binding.bound, proxy.namespace, proxy.families, labels)
    return _listeners.get(tuple(depends), key, lambda: _listener(binding, origin, proxy.families))


def _listener(binding: Binding, origin: virtual_hosts.Origin, families: outbound_ports.Families) -> WireResource:
    name = f"{binding.address}_{binding.port}"
    found: list[Any] = []
    rest: Any = None
    owner = False
    for claim in _by_precedence(binding):
        if claim.kind is Kind.SNIFFED and not binding.http:
            found += _http(outbound_ports.sniffed_route(claim), name, origin)
        for candidate in tcp_routes.chains_of(claim, origin, alone=not binding.shared):
            if candidate.HasField("filter_chain_match"):
                found.append(candidate)
            elif not owner:
                rest, owner = candidate, True
    if binding.http:
        found += _http(binding.route, name, origin)
    if rest is None:
        rest = chains.chain("PassthroughFilterChain", [_rest(origin.mesh, origin.side)])
    sniffs_http = binding.http or any(claim.kind is Kind.SNIFFED for claim in binding.claims)
    sniffs_tls = sniffs_http or any(chain.filter_chain_match.server_names for chain in found)
    listener = listener_pb2.Listener(
        name=name,
        address=messages.address(binding.address, binding.port),
        bind_to_port=messages.boolean(binding.bound),
        traffic_direction=base_pb2.OUTBOUND,
        filter_chains=_distinct(found),
        default_filter_chain=rest,
    )
    if binding.address == outbound_ports.wildcard(families):
        listener.additional_addresses.extend(chains.other_family(families, binding.port))
    if sniffs_tls:
        listener.listener_filters.append(listener_filters.TLS_INSPECTOR)
    if sniffs_http:
        listener.listener_filters.append(listener_filters.HTTP_INSPECTOR)
    if sniffs_tls:
        listener.listener_filters_timeout.CopyFrom(messages.duration(origin.mesh.protocol_detection_timeout))
        listener.continue_on_listener_filters_timeout = True
    return messages.resource(name, listener)


def _by_precedence(binding: Binding) -> Iterable[Claim]:
    """The oldest service first: it wins what two services claim."""
    return sorted(binding.claims, key=lambda claim: (claim.service.created, claim.service.hostname))


def _http(route: str, listener: str, origin: virtual_hosts.Origin) -> list[Any]:
    settings = http_connection_manager.Settings(
        place=http_connection_manager.Place.OUTBOUND,
        stat_prefix=f"outbound_{listener}",
        filters=http_filters.OUTBOUND,
        rds=route,
        side=origin.side,
        stats=stats.of_requests_sent(origin.side.metrics),
    )
    manager = http_connection_manager.build(settings, origin.mesh)
    return [chains.chain("", [manager], chains.match(transport=chains.RAW, protocols=chains.PLAIN_HTTP))]


def _distinct(found: list[Any]) -> list[Any]:
    """Chains whose condition another has already are left out: Envoy refuses doubles."""
    taken: set[bytes] = set()
    result = []
    for candidate in found:
        key = candidate.filter_chain_match.SerializeToString(deterministic=True)
        if key not in taken:
            taken.add(key)
            result.append(candidate)
    return result
