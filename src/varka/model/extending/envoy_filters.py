"""EnvoyFilters in the order in which they are applied, and those of them that are for a proxy.

The root namespace comes before the proxy's own; inside a namespace the lower priority, then the older, then the name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field

from varka.model import patches
from varka.model.extending import attachment
from varka.model.extending.attachment import Attachment
from varka.model.memo import Kept
from varka.model.patches import Patch
from varka.model.view import Proxy
from varka.resources import Parsed
from varka.resources.traffic import envoy_filters as written

Source = Parsed[written.EnvoyFilter]


class Conditional(Struct, frozen=True, kw_only=True, eq=False):
    """A patch with what it asks of the proxy."""

    patch: Patch
    version: re.Pattern[str] | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def applies(self, proxy: Proxy) -> bool:
        if self.version is not None and not self.version.search(proxy.istio_version):
            return False
        return all(proxy.metadata.get(key) == value for key, value in self.metadata.items())


class Filter(Struct, frozen=True, kw_only=True, eq=False):
    """One EnvoyFilter."""

    order: tuple[object, ...]
    attachment: Attachment
    patches: tuple[Conditional, ...]


class EnvoyFilters(Struct, frozen=True, kw_only=True, eq=False):
    """All of them by namespace, in order."""

    namespaces: Mapping[str, tuple[Filter, ...]] = field(default_factory=dict)
    root_namespace: str = ""

    def of(self, proxy: Proxy) -> tuple[Patch, ...]:
        """The patches for a proxy, in order of application."""
        if not self.namespaces:
            return ()
        return tuple(
            item.patch
            for name in dict.fromkeys((self.root_namespace, proxy.namespace))
            for found in self.namespaces.get(name, ())
            if found.attachment.selects(proxy.labels, proxy.namespace, name, self.root_namespace)
            for item in found.patches
            if item.applies(proxy)
        )


def index(sources: Iterable[Source], root_namespace: str, kept: Kept) -> EnvoyFilters:
    """Convert and file all EnvoyFilters; those that did not change stay the same objects."""
    found: dict[str, list[Filter]] = {}
    for source in sources:
        if source.spec is not None:
            found.setdefault(source.meta.namespace, []).append(kept.get(source.meta.key, (source,), partial(_filter, source)))
    return EnvoyFilters(
        namespaces={name: tuple(sorted(items, key=lambda item: item.order)) for name, items in sorted(found.items())},
        root_namespace=root_namespace,
    )


def _filter(source: Source) -> Filter:
    spec = source.spec
    assert spec is not None
    labels = spec.workload_selector.labels if spec.workload_selector is not None else None
    made = (_conditional(source.meta.key, index, item) for index, item in enumerate(spec.config_patches))
    return Filter(
        order=(spec.priority, *source.meta.age_order),
        attachment=attachment.of(labels, spec.target_refs),
        patches=tuple(item for item in made if item is not None),
    )


def _conditional(origin: str, index: int, given: written.ConfigPatch) -> Conditional | None:
    """None when it cannot be followed at all: validation says why."""
    if given.patch is None or given.apply_to == "INVALID" or given.patch.operation == "INVALID":
        return None
    match = given.match or written.ObjectMatch()
    asked = match.proxy or written.ProxyMatch()
    try:
        version = re.compile(asked.proxy_version) if asked.proxy_version else None
    except re.error:
        return None
    return Conditional(patch=patch(origin, index, given), version=version, metadata=dict(asked.metadata))


def patch(origin: str, index: int, given: written.ConfigPatch) -> Patch:
    """One patch in the model's words; only for those that have an operation and a place."""
    match = given.match or written.ObjectMatch()
    change = given.patch or written.Patch()
    return Patch(
        origin=origin,
        index=index,
        place=patches.Place(given.apply_to),
        operation=patches.Operation(change.operation),
        context=patches.Context(match.context),
        value=json.dumps(change.value, sort_keys=True),
        filter_class="" if change.filter_class == "UNSPECIFIED" else change.filter_class,
        listener=_listener(match.listener) if match.listener is not None else None,
        route=_route(match.route_configuration) if match.route_configuration is not None else None,
        cluster=_cluster(match.cluster) if match.cluster is not None else None,
    )


def _listener(given: written.ListenerMatch) -> patches.ListenerMatch:
    chain = given.filter_chain or written.FilterChainMatch()
    of_filter = chain.filter or written.FilterMatch()
    return patches.ListenerMatch(
        name=given.name,
        port=given.port_number or 0,
        listener_filter=given.listener_filter,
        chain=chain.name,
        sni=chain.sni,
        transport_protocol=chain.transport_protocol,
        application_protocols=tuple(item.strip() for item in chain.application_protocols.split(",") if item.strip()),
        destination_port=chain.destination_port or 0,
        filter=of_filter.name,
        sub_filter=of_filter.sub_filter.name if of_filter.sub_filter is not None else "",
    )


def _route(given: written.RouteConfigurationMatch) -> patches.RouteMatch:
    host = given.vhost or written.VirtualHostMatch()
    route = host.route or written.RouteMatch()
    return patches.RouteMatch(
        name=given.name,
        port=given.port_number or 0,
        port_name=given.port_name,
        gateway=given.gateway,
        virtual_host=host.name,
        domain=host.domain_name,
        route=route.name,
        action="" if route.action == "ANY" else route.action,
    )


def _cluster(given: written.ClusterMatch) -> patches.ClusterMatch:
    return patches.ClusterMatch(name=given.name, port=given.port_number or 0, service=given.service, subset=given.subset)
