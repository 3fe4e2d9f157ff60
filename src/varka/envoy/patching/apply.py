"""A proxy's configuration after its EnvoyFilters.

Every resource is patched once for the proxies that get the same resource and the same patches, and a map in which
nothing changed stays the very same object.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from msgspec import Struct, field
from msgspec.structs import replace

from varka.base.wire import WireResource
from varka.envoy import memo, messages, names
from varka.envoy.patching import changing, cluster_patches, listener_patches, matching, plugins, route_patches
from varka.envoy.patching.changing import Problem, Record
from varka.envoy.patching.listener_patches import Work
from varka.model.patches import Context, Extensions, Module, Operation, Patch, Place
from varka.model.view import ProxyType, ProxyView

Named = Mapping[str, WireResource]


class Outcome(Struct, frozen=True, kw_only=True):
    """Patched resources, and what became of the patches: `applied` holds origin and index of those that met something."""

    resources: Named
    applied: frozenset[tuple[str, int]] = frozenset()
    problems: tuple[Problem, ...] = ()


class _One(Struct, frozen=True, kw_only=True):
    resource: WireResource | None
    applied: frozenset[tuple[str, int]] = frozenset()
    problems: tuple[Problem, ...] = ()


class Side(Struct, frozen=True, kw_only=True):
    """What the patches of one view need to know of it."""

    router: bool
    ports: tuple[tuple[int, int], ...] = ()
    """Of a gateway: declared port and the one listened on."""
    hosts: tuple[tuple[int, str], ...] = field(default=())
    """Of a sidecar: port of the application and a service that points at it."""

    def of(self, resource: str) -> tuple[object, ...]:
        """What the patches of one resource depend on."""
        return (self.router, self.ports, self.hosts_of(resource))

    def hosts_of(self, cluster: str) -> tuple[str, ...]:
        if not cluster.startswith("inbound|"):
            return ()
        port = cluster.split("|")[1]
        return tuple(host for number, host in self.hosts if str(number) == port)


_grouped: memo.Memo[dict[Place, tuple[Patch, ...]]] = memo.Memo(256)
_maps: memo.Memo[Outcome] = memo.Memo(4096)
_ones: memo.Memo[_One] = memo.Memo(32768)


def side(view: ProxyView) -> Side:
    """What patches look at in a view."""
    if view.proxy.type is ProxyType.ROUTER:
        return Side(router=True, ports=tuple(sorted({(binding.server.port, binding.server.target_port) for binding in view.gateways})))
    return Side(router=False, hosts=tuple(sorted({(port.target_port, str(port.service.hostname)) for port in view.inbound})))


def grouped(extensions: Extensions) -> dict[Place, tuple[Patch, ...]]:
    """The patches by the kind of object that they are for."""
    return _grouped.get((extensions,), None, lambda: {place: tuple(item for item in extensions.patches if item.place is place) for place in Place})


def listeners(resources: Named, extensions: Extensions, about: Side) -> Outcome:
    """Patched listeners; added ones at the end of the alphabet that they belong to."""
    found, about = grouped(extensions), replace(about, hosts=())
    if not extensions.modules and not any(found[place] for place in Place if place not in (Place.CLUSTER, Place.EXTENSION_CONFIG, Place.BOOTSTRAP)):
        return Outcome(resources=resources)
    one = partial(_listener, found, about, extensions.modules)
    contexts = (Context.GATEWAY,) if about.router else (Context.SIDECAR_INBOUND, Context.SIDECAR_OUTBOUND)
    return _maps.get((resources, extensions), ("listeners", about), lambda: _all(resources, extensions, about, one, _Added(Place.LISTENER, contexts)))


def routes(resources: Named, extensions: Extensions, about: Side) -> Outcome:
    """Patched route configurations."""
    found, about = grouped(extensions), replace(about, hosts=())
    if not any(found[place] for place in route_patches.PLACES):
        return Outcome(resources=resources)
    return _maps.get((resources, extensions), ("routes", about), lambda: _all(resources, extensions, about, partial(_route, found, about), None))


def clusters(resources: Named, extensions: Extensions, about: Side) -> Outcome:
    """Patched clusters."""
    found = grouped(extensions)[Place.CLUSTER]
    if not found:
        return Outcome(resources=resources)
    contexts = (Context.GATEWAY,) if about.router else (Context.SIDECAR_INBOUND, Context.SIDECAR_OUTBOUND)
    one = partial(_cluster, found, about)
    return _maps.get((resources, extensions), ("clusters", about), lambda: _all(resources, extensions, about, one, _Added(Place.CLUSTER, contexts)))


def extension_configs(extensions: Extensions) -> Outcome:
    """The configurations that filters fetch by name (ECDS)."""
    if not extensions.modules and not grouped(extensions)[Place.EXTENSION_CONFIG]:
        return Outcome(resources={})
    return _maps.get((extensions,), "extensions", partial(_extension_configs, extensions))


def _extension_configs(extensions: Extensions) -> Outcome:
    record = Record()
    result: dict[str, WireResource] = plugins.resources(extensions)
    for patch in grouped(extensions)[Place.EXTENSION_CONFIG]:
        message = changing.value(patch, record) if patch.operation is Operation.ADD else None
        if message is None:
            if patch.operation is not Operation.ADD:
                record.refuse(patch, "an extension configuration can only be added: use ADD")
        elif message.name in result:
            record.refuse(patch, f"there is another extension configuration {message.name}")
        else:
            result[message.name] = messages.resource(message.name, message)
            record.done(patch)
    return _outcome({name: result[name] for name in sorted(result)}, (_One(resource=None, applied=frozenset(record.applied), problems=tuple(record.problems)),))


class _Added(Struct, frozen=True):
    place: Place
    contexts: tuple[Context, ...]


def _all(resources: Named, extensions: Extensions, about: Side, one: Callable[[WireResource], _One], added: _Added | None) -> Outcome:
    done = [_ones.get((resource, extensions), about.of(resource.name), partial(one, resource)) for resource in resources.values()]
    result = {item.resource.name: item.resource for item in done if item.resource is not None}
    if added is not None:
        done.append(_add(result, grouped(extensions)[added.place], added))
    same = len(result) == len(resources) and all(map(_is, result.values(), resources.values()))
    return _outcome(resources if same else {name: result[name] for name in sorted(result)}, done)


def _is(left: object, right: object) -> bool:
    return left is right


def _add(result: dict[str, WireResource], patches: Iterable[Patch], added: _Added) -> _One:
    record = Record()
    for patch in patches:
        if patch.operation is not Operation.ADD or not any(matching.in_context(patch, context) for context in added.contexts):
            continue
        message = changing.value(patch, record)
        if message is None:
            continue
        if message.name in result:
            record.refuse(patch, f"there already is a {added.place.value.lower()} {message.name}; use MERGE")
            continue
        result[message.name] = messages.resource(message.name, message)
        record.done(patch)
    return _One(resource=None, applied=frozenset(record.applied), problems=tuple(record.problems))


def _outcome(resources: Named, done: Iterable[_One]) -> Outcome:
    applied: set[tuple[str, int]] = set()
    problems: dict[Problem, None] = {}
    for item in done:
        applied |= item.applied
        problems.update(dict.fromkeys(item.problems))
    return Outcome(resources=resources, applied=frozenset(applied), problems=tuple(problems))


def _written(before: WireResource, message: Any, record: Record) -> _One:
    kept = before if message == type(message).FromString(before.body) else messages.resource(message.name, message)
    return _One(resource=kept, applied=frozenset(record.applied), problems=tuple(record.problems))


def _listener(found: Mapping[Place, tuple[Patch, ...]], about: Side, modules: tuple[Module, ...], resource: WireResource) -> _One:
    message = listener_pb2.Listener.FromString(resource.body)
    inward = message.traffic_direction == base_pb2.INBOUND or message.name == names.VIRTUAL_INBOUND
    context = Context.GATEWAY if about.router else Context.SIDECAR_INBOUND if inward else Context.SIDECAR_OUTBOUND
    record = Record()
    if modules:
        plugins.insert(message, modules, context, {actual: frozenset(d for d, a in about.ports if a == actual) for _, actual in about.ports})
    if not listener_patches.apply(message, Work(grouped=found, context=context, record=record, ports=_ports(about))):
        return _One(resource=None, applied=frozenset(record.applied), problems=tuple(record.problems))
    return _written(resource, message, record)


def _ports(about: Side) -> matching.Ports:
    listening: dict[int, frozenset[int]] = {}
    for declared, actual in about.ports:
        listening[declared] = listening.get(declared, frozenset()) | {actual}
    return matching.Ports(listening=listening)


def _route(found: Mapping[Place, tuple[Patch, ...]], about: Side, resource: WireResource) -> _One:
    message = route_pb2.RouteConfiguration.FromString(resource.body)
    record = Record()
    context = Context.GATEWAY if about.router else Context.SIDECAR_OUTBOUND
    route_patches.apply(message, Work(grouped=found, context=context, record=record, ports=_ports(about)))
    return _written(resource, message, record)


def _cluster(patches: tuple[Patch, ...], about: Side, resource: WireResource) -> _One:
    inward = resource.name.startswith("inbound|") or resource.name == names.INBOUND_PASSTHROUGH_CLUSTER
    context = Context.GATEWAY if about.router else Context.SIDECAR_INBOUND if inward else Context.SIDECAR_OUTBOUND
    wanted = cluster_patches.concerned((patch for patch in patches if matching.in_context(patch, context)), resource.name, about.hosts_of(resource.name))
    if not wanted:
        return _One(resource=resource)
    message = cluster_pb2.Cluster.FromString(resource.body)
    record = Record()
    if not cluster_patches.apply(message, wanted, record):
        return _One(resource=None, applied=frozenset(record.applied), problems=tuple(record.problems))
    return _written(resource, message, record)
