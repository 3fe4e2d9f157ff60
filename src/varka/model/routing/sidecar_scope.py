"""Sidecar: how much of the mesh a workload's proxy knows, and on which ports it takes requests.

A Sidecar with a selector that fits goes before the namespace's own, and that before the one of the root namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field

from varka.model.discovery import hosts, protocols
from varka.model.memo import Kept
from varka.model.policies import policy_conversion
from varka.model.routing import gateways, route_conversion, visibility
from varka.model.services import Protocol, Service, ServicePort
from varka.model.traffic import ConnectionPool, Destination, ServerTls, VirtualService
from varka.model.view import MeshSettings
from varka.resources import Parsed
from varka.resources.traffic import sidecars as written

Source = Parsed[written.Sidecar]


class Ingress(Struct, frozen=True, kw_only=True):
    """A port on which a workload takes requests.

    `endpoint` is where the application listens, as `address:port` or `unix://path`; empty: at the port itself.
    """

    port: int
    name: str
    protocol: Protocol
    bind: str = ""
    bound: bool = False
    """The proxy listens on the port itself; nothing is captured (`captureMode: NONE`)."""
    endpoint: str = ""
    tls: ServerTls | None = None
    pool: ConnectionPool | None = None


class Egress(Struct, frozen=True, kw_only=True):
    """Hosts for one listener, as (namespace or `*`, host); without `port` for all ports that no listener before names."""

    hosts: tuple[tuple[str, str], ...]
    port: ServicePort | None = None
    http_proxy: bool = False
    """The application uses the port as an HTTP proxy: every host on every port can be asked for there."""
    bind: str = ""
    bound: bool = False

    def includes(self, service: Service) -> bool:
        """Whether the listener is for a service, by any of its hosts and by its ports."""
        names = (service.hostname, *service.aliases)
        return any(where in {"*", service.namespace} and hosts.covers(name, host) for where, name in self.hosts for host in names) and self.has_port(service)

    def has_port(self, service: Service) -> bool:
        """Whether a service has the listener's port."""
        return self.port is None or self.http_proxy or self.port.number == 0 or service.port(self.port.number) is not None

    def includes_route(self, route: VirtualService) -> bool:
        """Whether the listener is for a host of a VirtualService."""
        return any(where in {"*", route.namespace} and hosts.overlap(name, host) for where, name in self.hosts for host in route.hosts)


class Scope(Struct, frozen=True, kw_only=True, eq=False):
    """One Sidecar. `egress` None: everything. `registry_only` None: as the mesh says."""

    name: str
    namespace: str
    selector: Mapping[str, str] = field(default_factory=dict)
    egress: tuple[Egress, ...] | None = None
    ingress: tuple[Ingress, ...] = ()
    inbound_pool: ConnectionPool | None = None
    registry_only: bool | None = None
    egress_proxy: Destination | None = None
    """Where requests to unknown hosts go, in place of the address that was asked for."""

    def includes(self, service: Service) -> bool:
        """Whether any listener is for a service."""
        return self.egress is None or any(listener.includes(service) for listener in self.egress)

    def includes_route(self, route: VirtualService) -> bool:
        """Whether any listener is for a VirtualService."""
        return self.egress is None or any(listener.includes_route(route) for listener in self.egress)


class Scopes(Struct, frozen=True, kw_only=True, eq=False):
    """All Sidecars: those with a selector and those without, by namespace, the oldest first."""

    workloads: Mapping[str, tuple[Scope, ...]] = field(default_factory=dict)
    namespaces: Mapping[str, Scope] = field(default_factory=dict)
    root_namespace: str = ""

    @property
    def all(self) -> tuple[Scope, ...]:
        """Every Sidecar that some workload may meet."""
        return (*(scope for scopes in self.workloads.values() for scope in scopes), *self.namespaces.values())

    def of(self, namespace: str, labels: Mapping[str, str]) -> Scope | None:
        """The Sidecar for a workload, if any."""
        for scope in self.workloads.get(namespace, ()):
            if visibility.selected(dict(scope.selector), labels.items()):
                return scope
        found = self.namespaces.get(namespace)
        return found if found is not None else self._default(namespace)

    def _default(self, namespace: str) -> Scope | None:
        found = self.namespaces.get(self.root_namespace)
        return found if found is not None and namespace != self.root_namespace else None


def index(sources: Iterable[Source], mesh: MeshSettings, kept: Kept) -> Scopes:
    """File all Sidecars."""
    workloads: dict[str, list[Scope]] = {}
    namespaces: dict[str, Scope] = {}
    for source in sorted((source for source in sources if source.spec is not None), key=lambda source: source.meta.age_order):
        scope = kept.get(source.meta.key, (source, mesh), partial(resolve, source, mesh))
        if scope.selector:
            workloads.setdefault(scope.namespace, []).append(scope)
        else:
            namespaces.setdefault(scope.namespace, scope)
    return Scopes(workloads={name: tuple(items) for name, items in workloads.items()}, namespaces=namespaces, root_namespace=mesh.root_namespace)


def resolve(source: Source, mesh: MeshSettings) -> Scope:
    """One Sidecar as it is meant. `.` in hosts is the Sidecar's own namespace, `~` no namespace at all."""
    spec, meta = source.spec, source.meta
    assert spec is not None
    policy = spec.outbound_traffic_policy
    proxy = policy.egress_proxy if policy is not None else None
    names = route_conversion.Names(namespace=meta.namespace, domain=mesh.cluster_domain)
    return Scope(
        name=meta.name,
        namespace=meta.namespace,
        selector=dict(spec.workload_selector.labels) if spec.workload_selector is not None else {},
        egress=tuple(_egress(listener, meta.namespace) for listener in spec.egress) if spec.egress else None,
        ingress=tuple(_ingress(listener) for listener in spec.ingress if listener.port is not None and 1 <= listener.port.number <= 65535),
        inbound_pool=policy_conversion.connection_pool(spec.inbound_connection_pool),
        registry_only=policy.mode == "REGISTRY_ONLY" if policy is not None else None,
        egress_proxy=names.destination(proxy) if proxy is not None else None,
    )


def _egress(listener: written.EgressListener, namespace: str) -> Egress:
    found: list[tuple[str, str]] = []
    for host in listener.hosts:
        where, _, name = host.lower().partition("/")
        if where != "~" and name:
            found.append((namespace if where == "." else where, name))
    port = listener.port
    return Egress(
        hosts=tuple(dict.fromkeys(found)),
        port=ServicePort(number=port.number, name=port.name, protocol=_protocol(port)) if port is not None else None,
        http_proxy=port is not None and port.protocol.upper() == "HTTP_PROXY",
        bind=listener.bind,
        bound=listener.capture_mode == "NONE" or listener.bind.startswith("unix://"),
    )


def _protocol(port: written.SidecarPort) -> Protocol:
    return protocols.of_port(port.number, port.name, "TCP", port.protocol)


def _ingress(listener: written.IngressListener) -> Ingress:
    port = listener.port or written.SidecarPort()
    return Ingress(
        port=port.number,
        name=port.name,
        protocol=_protocol(port),
        bind=listener.bind,
        bound=listener.capture_mode == "NONE",
        endpoint=listener.default_endpoint,
        tls=gateways.server_tls(listener.tls) if listener.tls is not None else None,
        pool=policy_conversion.connection_pool(listener.connection_pool),
    )
