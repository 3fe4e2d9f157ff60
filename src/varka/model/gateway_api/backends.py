"""Where a route may send: its backends as destinations, and what is wrong with those that cannot be used."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from varka.model.discovery import hosts
from varka.model.gateway_api import statuses
from varka.model.gateway_api.grants import Grants
from varka.model.gateway_api.statuses import Condition
from varka.model.services import Hostname
from varka.model.traffic import Destination
from varka.resources.gateway_api.routes import BackendObjectReference

NOWHERE = Hostname("backend.invalid")
"""Host of a share that goes to a backend that cannot be used: no such cluster exists, so its requests fail."""


class Directory(Struct, frozen=True, kw_only=True):
    """What exists: host names of services with their ports, port numbers by name, and the grants between namespaces."""

    services: Mapping[Hostname, frozenset[int]]
    port_names: Mapping[tuple[Hostname, str], int]
    grants: Grants
    domain: str


def resolve(kind: str, namespace: str, given: BackendObjectReference, directory: Directory) -> tuple[Destination | None, Condition | None]:
    """The destination of a backend of a route of `kind`, or the reason why it has none."""
    where = given.namespace or namespace
    if (given.group, given.kind) == ("networking.istio.io", "Hostname"):
        host = Hostname(given.name.lower())
    elif (given.group, given.kind) in {("", "Service"), ("core", "Service")}:
        host = hosts.of_service(given.name, where, directory.domain)
        if not directory.grants.permit(kind, namespace, "/Service", where, given.name):
            message = f"service {where}/{given.name} may not be referred to from namespace {namespace}: it needs a ReferenceGrant"
            return None, statuses.unresolved("RefNotPermitted", message)
    else:
        return None, statuses.unresolved("InvalidKind", f"{given.group + '/' if given.group else ''}{given.kind} is no backend: name a Service")
    if given.port is None:
        return None, statuses.unresolved("UnsupportedValue", f"backend {given.name} needs a port")
    ports = directory.services.get(host)
    if ports is None:
        return None, statuses.unresolved("BackendNotFound", f"backend {host} not found")
    if given.port not in ports:
        known = ", ".join(map(str, sorted(ports)))
        return None, statuses.unresolved("BackendNotFound", f"backend {host} has no port {given.port}, only {known}")
    return Destination(host=host, port=given.port), None


def first(problems: Iterable[Condition | None]) -> Condition | None:
    """The first problem there is."""
    return next((one for one in problems if one is not None), None)
