"""What resources refer to and what is not there: gateways, hosts, subsets, delegates, authorizers; and hosts claimed twice.

Nothing of this keeps a configuration from being built. It tells the user why a rule has no effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.model.discovery import hosts
from varka.model.policies import policy_references
from varka.model.routing.virtual_services import delegate_keys
from varka.model.security import MutualTlsMode
from varka.model.services import Hostname
from varka.model.snapshot import Snapshot
from varka.model.traffic import Destination, VirtualService
from varka.resources import Condition, conditions

Ref = tuple[str, str, str]
"""Kind, namespace and name."""


def find(snapshot: Snapshot) -> Mapping[Ref, tuple[Condition, ...]]:
    """Conditions by resource, for resources that have any."""
    found: dict[Ref, list[Condition]] = {}
    for route in snapshot.virtual_services.all:
        _add(found, ("VirtualService", route.namespace, route.name), _virtual_service(snapshot, route))
    _delegates(snapshot, found)
    for rule in snapshot.destination_rules.all:
        if not known(snapshot, rule.host):
            problem = conditions.warning("spec.host", f"referenced host not found: {rule.host!r}", "ReferencedResourceNotFound")
            _add(found, ("DestinationRule", rule.namespace, rule.name), [problem])
    _twice(snapshot, found)
    _server_tls(snapshot, found)
    for ref, condition in policy_references.find(snapshot):
        _add(found, ref, [condition])
    return {ref: tuple(items) for ref, items in sorted(found.items())}


def _add(found: dict[Ref, list[Condition]], ref: Ref, items: Iterable[Condition]) -> None:
    for item in items:
        kept = found.setdefault(ref, [])
        if item not in kept:
            kept.append(item)


def _virtual_service(snapshot: Snapshot, route: VirtualService) -> Iterable[Condition]:
    known = {gateway.key for gateway in snapshot.gateways}
    for index, name in enumerate(route.gateways):
        if name != hosts.MESH and name not in known:
            yield conditions.error(f"spec.gateways[{index}]", f"referenced gateway not found: {name!r}", "ReferencedResourceNotFound")
    for path, destination in destinations(route):
        yield from _destination(snapshot, route.namespace, path, destination)


def destinations(route: VirtualService) -> Iterable[tuple[str, Destination]]:
    """Every destination of a VirtualService, with the rule that it stands in."""
    for index, http in enumerate(route.http):
        for part in http.destinations:
            yield f"spec.http[{index}].route", part.destination
        for mirror in http.mirrors:
            yield f"spec.http[{index}].mirror", mirror.destination
    for kind, routes in (("tls", route.tls), ("tcp", route.tcp)):
        for index, other in enumerate(routes):
            for part in other.destinations:
                yield f"spec.{kind}[{index}].route", part.destination


def _destination(snapshot: Snapshot, namespace: str, path: str, destination: Destination) -> Iterable[Condition]:
    service = snapshot.registry.find(destination.host)
    if service is None:
        if not known(snapshot, destination.host):
            yield conditions.error(path, f"referenced host not found: {destination.host!r}", "ReferencedResourceNotFound")
        return
    if destination.port is not None and service.port(destination.port) is None:
        yield conditions.error(path, f"referenced port not found: {destination.host}:{destination.port}", "ReferencedResourceNotFound")
    if destination.port is None and len(service.ports) > 1:
        text = f"{destination.host} has more than one port; without port.number the port of the request is taken"
        yield conditions.info(path, text, "PortNotSelected")
    if destination.subset:
        rule = snapshot.destination_rules.find(service, namespace)
        if rule is None or all(subset.name != destination.subset for subset in rule.subsets):
            name = f"{destination.host}+{destination.subset}"
            yield conditions.error(path, f"referenced host+subset in destinationrule not found: {name!r}", "ReferencedResourceNotFound")


def known(snapshot: Snapshot, host: Hostname) -> bool:
    """Whether a host, or a wildcard, is that of a service, or overlaps with one."""
    by_host = snapshot.registry.by_host
    return host in by_host or any(hosts.overlap(host, known) for known in by_host if known.startswith("*") or host.startswith("*"))


def _delegates(snapshot: Snapshot, found: dict[Ref, list[Condition]]) -> None:
    sources = snapshot.inputs.virtual_services
    delegates = {source.meta.key for source in sources if source.spec is not None and not source.spec.hosts}
    for source in sources:
        for key in delegate_keys(source):
            if key not in delegates:
                problem = conditions.error("spec.http", f"referenced delegate not found: {key!r}", "ReferencedResourceNotFound")
                _add(found, source.ref, [problem])


def _twice(snapshot: Snapshot, found: dict[Ref, list[Condition]]) -> None:
    for host, entries in snapshot.registry.by_host.items():
        for entry in entries[1:]:
            service, first = entry.service, entries[0].service
            kind = "ServiceEntry" if service.registry == "External" else "Service"
            text = f"the host {host} is claimed by {first.namespace}/{first.name} already, which goes first where both can be seen"
            _add(found, (kind, service.namespace, service.name), [conditions.warning("spec.hosts", text, "HostConflict")])


def _server_tls(snapshot: Snapshot, found: dict[Ref, list[Condition]]) -> None:
    """TLS of a Sidecar's own counts only where a PeerAuthentication switches mutual TLS off."""
    for scope in snapshot.sidecars.all:
        for index, listener in enumerate(scope.ingress):
            mode = snapshot.peers.of(scope.namespace, scope.selector).of(listener.port)
            if listener.tls is not None and mode is not MutualTlsMode.DISABLE:
                text = f"has no effect while mutual TLS of port {listener.port} is {mode}; a PeerAuthentication can set the port to DISABLE"
                _add(found, ("Sidecar", scope.namespace, scope.name), [conditions.warning(f"spec.ingress[{index}].tls", text, "NoEffect")])
