"""Where a Service can be reached now, for the API server's own calls: a ready endpoint's address, without DNS and NAT."""

from __future__ import annotations

import itertools

from varka.base.errors import VarkaError
from varka.client.api import Api, ApiError, Gvr, Object

SERVICES = Gvr("", "v1", "services")
ENDPOINT_SLICES = Gvr("discovery.k8s.io", "v1", "endpointslices")
ENDPOINTS = Gvr("", "v1", "endpoints")
SLICE_LABEL = "kubernetes.io/service-name"

_turn = itertools.count()


class Unreachable(VarkaError):
    """There is no such service or port, or nothing ready behind it."""


async def endpoint_of(api: Api, namespace: str, name: str, port: int) -> tuple[str, int]:
    """Address and port of one ready endpoint, taking turns; Unreachable when there is none."""
    try:
        service = await api.get(SERVICES, name, namespace)
    except ApiError as error:
        if error.code == 404:
            raise Unreachable(f'service "{name}" not found') from error
        raise
    spec = service.get("spec") or {}
    wanted = next((each for each in spec.get("ports") or () if each.get("port") == port), None)
    if wanted is None:
        raise Unreachable(f'no service port {port} found for service "{name}"')
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", "")), port
    port_name = wanted.get("name") or ""
    found = await _of_slices(api, namespace, name, port_name) or await _of_endpoints(api, namespace, name, port_name)
    if not found:
        raise Unreachable(f'no endpoints available for service "{name}"')
    return found[next(_turn) % len(found)]


async def _of_slices(api: Api, namespace: str, name: str, port_name: str) -> list[tuple[str, int]]:
    try:
        slices = (await api.list(ENDPOINT_SLICES, namespace, label_selector=f"{SLICE_LABEL}={name}")).items
    except ApiError:
        return []
    found: set[tuple[str, int]] = set()
    for each in slices:
        number = _port(each.get("ports"), port_name)
        for endpoint in each.get("endpoints") or ():
            if number and (endpoint.get("conditions") or {}).get("ready", True) is not False:
                found.update((address, number) for address in endpoint.get("addresses") or ())
    return sorted(found)


async def _of_endpoints(api: Api, namespace: str, name: str, port_name: str) -> list[tuple[str, int]]:
    try:
        endpoints = await api.get(ENDPOINTS, name, namespace)
    except ApiError:
        return []
    found: set[tuple[str, int]] = set()
    for subset in endpoints.get("subsets") or ():
        number = _port(subset.get("ports"), port_name)
        if number:
            found.update((address["ip"], number) for address in subset.get("addresses") or ())
    return sorted(found)


def _port(ports: list[Object] | None, name: str) -> int:
    for port in ports or ():
        if (port.get("name") or "") == name:
            return int(port.get("port") or 0)
    return 0
