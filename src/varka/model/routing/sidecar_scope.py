"""Sidecar: how much of the mesh a workload's proxy knows, and on which ports it takes requests.

A Sidecar with a selector that fits goes before the namespace's own, and that before the one of the root namespace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from varka.model.discovery import hosts, protocols
from varka.model.memo import Kept
from varka.model.routing import visibility
from varka.model.services import Protocol, Service
from varka.model.traffic import VirtualService
from varka.resources import Parsed
from varka.resources.traffic import sidecars as written

Source = Parsed[written.Sidecar]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingress:
    """A port on which a workload takes requests; `target_port` 0 is the same port."""

    port: int
    name: str
    protocol: Protocol
    target_port: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scope:
    """One Sidecar. `hosts` are (namespace or `*`, host); None: everything. `registry_only` None: as the mesh says."""

    name: str
    namespace: str
    selector: Mapping[str, str] = field(default_factory=dict)
    hosts: tuple[tuple[str, str], ...] | None = None
    ingress: tuple[Ingress, ...] = ()
    registry_only: bool | None = None

    def includes(self, service: Service) -> bool:
        return self.hosts is None or any(where in {"*", service.namespace} and hosts.covers(name, service.hostname) for where, name in self.hosts)

    def includes_route(self, route: VirtualService) -> bool:
        if self.hosts is None:
            return True
        return any(where in {"*", route.namespace} and hosts.overlap(name, host) for where, name in self.hosts for host in route.hosts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scopes:
    """All Sidecars: those with a selector and those without, by namespace, the oldest first."""

    workloads: Mapping[str, tuple[Scope, ...]] = field(default_factory=dict)
    namespaces: Mapping[str, Scope] = field(default_factory=dict)
    root_namespace: str = ""

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


def index(sources: Iterable[Source], root_namespace: str, kept: Kept) -> Scopes:
    """File all Sidecars."""
    workloads: dict[str, list[Scope]] = {}
    namespaces: dict[str, Scope] = {}
    for source in sorted((source for source in sources if source.spec is not None), key=lambda source: source.meta.age_order):
        scope = kept.get(source.meta.key, (source,), partial(resolve, source))
        if scope.selector:
            workloads.setdefault(scope.namespace, []).append(scope)
        else:
            namespaces.setdefault(scope.namespace, scope)
    return Scopes(workloads={name: tuple(items) for name, items in workloads.items()}, namespaces=namespaces, root_namespace=root_namespace)


def resolve(source: Source) -> Scope:
    """One Sidecar as it is meant. `.` in hosts is the Sidecar's own namespace, `~` no namespace at all."""
    spec, meta = source.spec, source.meta
    assert spec is not None
    policy = spec.outbound_traffic_policy
    return Scope(
        name=meta.name,
        namespace=meta.namespace,
        selector=dict(spec.workload_selector.labels) if spec.workload_selector is not None else {},
        hosts=_egress(spec, meta.namespace) if spec.egress else None,
        ingress=tuple(_ingress(listener) for listener in spec.ingress if listener.port is not None and 1 <= listener.port.number <= 65535),
        registry_only=policy.mode == "REGISTRY_ONLY" if policy is not None else None,
    )


def _egress(spec: written.Sidecar, namespace: str) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for listener in spec.egress:
        for host in listener.hosts:
            where, _, name = host.lower().partition("/")
            if where != "~" and name:
                found.append((namespace if where == "." else where, name))
    return tuple(dict.fromkeys(found))


def _ingress(listener: written.IngressListener) -> Ingress:
    port = listener.port or written.SidecarPort()
    target = listener.default_endpoint.rpartition(":")[2]
    return Ingress(
        port=port.number,
        name=port.name,
        protocol=protocols.of_port(port.number, port.name, "TCP", port.protocol),
        target_port=int(target) if target.isdecimal() else port.number,
    )
