"""Route configurations of a sidecar: for requests of the application (by port, `9080`), and to it (`inbound|9080||`).

A configuration for a port holds a virtual host for every service with that port, so with a thousand services it is
long, and a change touches a few hosts of it. The serialised hosts are therefore kept, and a configuration is their
concatenation, which the protobuf wire format allows.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.route.v3 import route_components_pb2, route_pb2
from google.protobuf import wrappers_pb2
from msgspec import Struct
from msgspec.structs import replace

from varka.base.wire import WireResource
from varka.envoy import memo, messages, names, protowire
from varka.envoy.listeners import outbound_ports
from varka.envoy.listeners.outbound_ports import RouteConfig
from varka.envoy.routing import domains, route_actions, virtual_hosts
from varka.envoy.security import peers
from varka.model.services import Service
from varka.model.traffic import VirtualService
from varka.model.view import InboundPort, MeshSettings, OutboundView, Proxy

HTTP_DEFAULT_PORT = 80
VIRTUAL_HOSTS = protowire.number(route_pb2.RouteConfiguration, "virtual_hosts")


class Part(Struct, frozen=True, kw_only=True):
    """One virtual host: its domains in order of preference, and its bytes when it has all of them."""

    name: str
    domains: tuple[str, ...]
    message: Any
    body: bytes


_parts: memo.Memo[Part] = memo.Memo(65536)
_configurations: memo.Memo[list[WireResource]] = memo.Memo(1024)


def outbound(view: OutboundView, mesh: MeshSettings, proxy: Proxy) -> list[WireResource]:
    """The route configurations that the outbound listeners ask for, in order of name."""
    domain = proxy.dns_domain or f"{proxy.namespace}.svc.{mesh.cluster_domain}"
    keys = _label_keys.get((view.virtual_services,), None, lambda: virtual_hosts.label_keys(view.virtual_services))
    labels = tuple((key, proxy.labels.get(key)) for key in keys)
    wanted = outbound_ports.route_configs(view, proxy.families)

    def build() -> list[WireResource]:
        return [_of_config(config, _origin(config, view, mesh, proxy), domain, proxy.ips) for config in wanted]

    objects = (view.services, view.virtual_services, view.destination_rules, view.listeners, mesh)
    return _configurations.get(objects, (domain, proxy.namespace, proxy.families, labels, tuple(config.name for config in wanted)), build)


def _origin(config: RouteConfig, view: OutboundView, mesh: MeshSettings, proxy: Proxy) -> virtual_hosts.Origin:
    return virtual_hosts.Origin(
        view=config.reach or view, mesh=mesh, services=virtual_hosts.index(view), port=config.port, namespace=proxy.namespace, labels=proxy.labels
    )


def _of_config(config: RouteConfig, origin: virtual_hosts.Origin, domain: str, ips: tuple[str, ...]) -> WireResource:
    ruled = _virtual_services(origin.view)
    if config.service is not None:
        return assemble(config.name, [_of_service(origin, config.service, ruled, Names(domain=domain, ips=ips, alone=True))])
    names_of = Names(domain=domain, ips=ips, with_port=config.http_proxy)
    if config.http_proxy:
        ports = sorted({port.number for service in origin.view.services for port in service.ports} | {HTTP_DEFAULT_PORT})
        parts = [part for port in ports for part in _of_port(replace(origin, port=port), ruled, names_of)]
    else:
        parts = list(_of_port(origin, ruled, names_of))
    return assemble(config.name, [*parts, catch_all(origin.mesh)], ignore_port=not config.http_proxy)


def _of_port(origin: virtual_hosts.Origin, ruled: Ruled, names_of: Names) -> Iterable[Part]:
    for service in origin.view.services:
        port = service.port(origin.port)
        if port is not None and (port.protocol.is_http or port.protocol.value == "AUTO"):
            for alias in service.aliases:
                if alias in ruled[0]:
                    yield _of_rules_only(origin, alias, ruled[0][alias], names_of)
            yield _of_service(origin, service, ruled, names_of)
    if origin.port != HTTP_DEFAULT_PORT:
        return
    for virtual_service in origin.view.virtual_services:
        for host in virtual_service.hosts:
            if host not in origin.services and virtual_service.http and not _covers(host, origin):
                yield _of_rules_only(origin, host, virtual_service, names_of)


def _covers(host: str, origin: virtual_hosts.Origin) -> bool:
    """Whether a wildcard stands for services of the registry, whose virtual hosts then carry its rules."""
    return host.startswith("*") and any(service.endswith(host[1:]) for service in origin.services)


_label_keys: memo.Memo[tuple[str, ...]] = memo.Memo(64)
_rules: memo.Memo[tuple[dict[str, VirtualService], list[tuple[str, VirtualService]]]] = memo.Memo(64)
Ruled = tuple[dict[str, VirtualService], list[tuple[str, VirtualService]]]


def _virtual_services(view: OutboundView) -> Ruled:
    """The VirtualService of each exact host, and those of wildcards, most specific first."""

    def build() -> Ruled:
        exact: dict[str, VirtualService] = {}
        wild: dict[str, VirtualService] = {}
        for virtual_service in view.virtual_services:
            if virtual_service.http:
                for host in virtual_service.hosts:
                    (wild if host.startswith("*") else exact).setdefault(host, virtual_service)
        return exact, sorted(wild.items(), key=lambda item: (-len(item[0]), item[0]))

    return _rules.get((view.virtual_services,), None, build)


def _rules_for(ruled: Ruled, host: str) -> VirtualService | None:
    exact, wild = ruled
    found = exact.get(host)
    if found is None and wild:
        found = next((rules for pattern, rules in wild if host.endswith(pattern[1:])), None)
    return found


class Names(Struct, frozen=True, kw_only=True):
    """How hosts are named in a configuration: from the proxy's domain, with or without ports; `alone`: every name will do."""

    domain: str
    ips: tuple[str, ...] = ()
    alone: bool = False
    with_port: bool = False

    def of(self, host: str, port: int, addresses: Iterable[str] = ()) -> tuple[str, ...]:
        """The domains of one host."""
        if self.alone:
            return ("*",)
        found = domains.of_host(host, self.domain, addresses, self.ips)
        if not self.with_port:
            return found
        ported = tuple(f"{name}:{port}" for name in found)
        return (*found, *ported) if port == HTTP_DEFAULT_PORT else ported

    @property
    def key(self) -> tuple[object, ...]:
        """What tells two of them apart, as far as it matters to the names."""
        return (self.domain, tuple(sorted({":" in ip for ip in self.ips})), self.alone, self.with_port)


def _of_service(origin: virtual_hosts.Origin, service: Service, ruled: Ruled, names_of: Names) -> Part:
    rules = _rules_for(ruled, service.hostname)
    own_rule = origin.view.destination_rules.get(service.hostname)
    objects = (service, own_rule, origin.mesh, *(ruled[0].get(alias) for alias in service.aliases), *virtual_hosts.dependencies(origin, rules))
    labels = virtual_hosts.labels_looked_at((rules,) if rules else (), origin.labels)

    def build() -> Part:
        found = virtual_hosts.routes(origin, rules) if rules else [virtual_hosts.default_route(origin, service)]
        others = () if names_of.alone else (name for alias in service.aliases if alias not in ruled[0] for name in names_of.of(alias, origin.port))
        chosen = (*names_of.of(service.hostname, origin.port, service.addresses), *others)
        return part(f"{service.hostname}:{origin.port}", chosen, found, not service.mesh_external)

    return _parts.get(objects, (origin.port, *names_of.key, origin.namespace, labels), build)


def _of_rules_only(origin: virtual_hosts.Origin, host: str, rules: VirtualService, names_of: Names) -> Part:
    labels = virtual_hosts.labels_looked_at((rules,), origin.labels)
    objects = (origin.mesh, *virtual_hosts.dependencies(origin, rules))

    def build() -> Part:
        return part(f"{host}:{origin.port}", names_of.of(host, origin.port), virtual_hosts.routes(origin, rules), inside=True)

    return _parts.get(objects, (host, origin.port, *names_of.key, origin.namespace, labels), build)


def part(name: str, names_of: tuple[str, ...], rules: list[Any], inside: bool) -> Part:
    """A virtual host ready to be put into a configuration."""
    message = virtual_hosts.virtual_host(name, names_of, rules, inside)
    return Part(name=name, domains=names_of, message=message, body=message.SerializeToString(deterministic=True))


def catch_all(mesh: MeshSettings) -> Part:
    """Where requests to unknown hosts go: on to the address that was asked for, to a proxy for them, or nowhere."""
    route = route_components_pb2.Route(match=route_components_pb2.RouteMatch(prefix="/"))
    if mesh.outbound_registry_only:
        route.name = "block_all"
        route.direct_response.status = 502
        route.metadata.filter_metadata["istio"].CopyFrom(messages.struct({"service_name": names.BLACK_HOLE_CLUSTER}))
    else:
        route.name = "allow_any"
        route.route.CopyFrom(route_actions.forward(None, route_actions.NO_RETRIES))
        route.route.cluster = virtual_hosts.unknown_cluster(mesh)
    return part(route.name, ("*",), [route], inside=False)


def assemble(name: str, parts: Iterable[Part], ignore_port: bool = True) -> WireResource:
    """The configuration of these hosts; a domain belongs to the first that claims it, since Envoy refuses doubles."""
    head = route_pb2.RouteConfiguration(
        name=name,
        ignore_port_in_host_matching=ignore_port,
        validate_clusters=wrappers_pb2.BoolValue(value=False),
        max_direct_response_body_size_bytes=messages.uint32(1 << 20),
    )
    chunks = [head.SerializeToString(deterministic=True)]
    taken: set[str] = set()
    for item in parts:
        body = item.body
        free = tuple(domain for domain in item.domains if domain.lower() not in taken)
        if not free:
            continue
        if len(free) != len(item.domains):
            message = route_components_pb2.VirtualHost()
            message.CopyFrom(item.message)
            del message.domains[:]
            message.domains.extend(free)
            body = message.SerializeToString(deterministic=True)
        taken.update(domain.lower() for domain in free)
        chunks.append(protowire.tagged(VIRTUAL_HOSTS, body))
    return WireResource(name=name, type_url=messages.ROUTE, body=b"".join(chunks))


def inbound(port: InboundPort) -> Any:
    """The configuration that stands in an inbound listener: everything goes to the application, without what only proxies say."""
    name = names.inbound(port.target_port)
    operation = f"{port.service.hostname}:{port.service_port.number}/*"
    return _inbound(name, f"inbound|http|{port.service_port.number}", operation)


def inbound_passthrough() -> Any:
    """The same for ports that no service points at."""
    return _inbound(names.INBOUND_PASSTHROUGH_CLUSTER, "inbound|http|0", ":0/*")


def _inbound(cluster: str, host: str, operation: str) -> Any:
    action = route_actions.forward(None, route_actions.NO_RETRIES)
    action.cluster = cluster
    route = route_components_pb2.Route(
        name="default",
        match=route_components_pb2.RouteMatch(prefix="/"),
        route=action,
        decorator=route_components_pb2.Decorator(operation=operation),
    )
    only = route_components_pb2.VirtualHost(name=host, domains=["*"], routes=[route], request_headers_to_remove=peers.TAKE_OFF)
    return route_pb2.RouteConfiguration(name=cluster, virtual_hosts=[only], validate_clusters=messages.FALSE)
