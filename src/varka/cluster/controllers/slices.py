"""From a Service and its pods to endpoints: pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from varka.client.api import Object
from varka.cluster.controllers import podstate

SIZE = 1000
"""Endpoints in one EndpointSlice: the most that the API allows."""

MANAGER = "endpointslice-controller.k8s.io"
HEADLESS = "service.kubernetes.io/headless"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one EndpointSlice is to say."""

    family: str
    ports: tuple[Object, ...]
    endpoints: tuple[Object, ...]


def serves(service: Object, pod: Object) -> bool:
    """The pod can be an endpoint: it has an address, has not ended, and the selector takes it."""
    selector = service["spec"].get("selector") or {}
    return (
        bool(selector)
        and selector.items() <= (pod["metadata"].get("labels") or {}).items()
        and bool((pod.get("status") or {}).get("podIP"))
        and not podstate.ended(pod)
    )


def ports_of(service: Object, pod: Object) -> tuple[Object, ...]:
    """The service's ports as this pod has them: named target ports are looked up, those it lacks are left out."""
    found = []
    for port in service["spec"].get("ports") or ():
        number = target_port(port, pod)
        if number is not None:
            entry: Object = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
            if port.get("appProtocol"):
                entry["appProtocol"] = port["appProtocol"]
            found.append(entry)
    return tuple(found)


def target_port(port: Object, pod: Object) -> int | None:
    """The container port that a service port leads to in this pod."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    protocol = port.get("protocol", "TCP")
    sidecars = [one for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always"]
    for container in [*pod["spec"].get("containers", ()), *sidecars]:
        for one in container.get("ports") or ():
            if one.get("name") == target and one.get("protocol", "TCP") == protocol:
                return int(one["containerPort"])
    return int(target) if str(target).isdigit() else None


def endpoint(service: Object, pod: Object, address: str) -> Object:
    """One endpoint of an EndpointSlice."""
    meta, spec = pod["metadata"], pod["spec"]
    is_ready, leaving = podstate.ready(pod), podstate.terminating(pod)
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    made: Object = {
        "addresses": [address],
        "conditions": {"ready": publish or (is_ready and not leaving), "serving": is_ready, "terminating": leaving},
        "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]},
    }
    if spec.get("nodeName"):
        made["nodeName"] = spec["nodeName"]
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        made["hostname"] = spec["hostname"]
    return made


def wanted(service: Object, pods: list[Object]) -> list[Slice]:
    """The slices that a service is to have; one without endpoints when no pod serves."""
    families = service["spec"].get("ipFamilies") or ["IPv4"]
    grouped: dict[tuple[str, str], list[Object]] = {}
    ports: dict[tuple[str, str], tuple[Object, ...]] = {}
    for pod in sorted((pod for pod in pods if serves(service, pod)), key=lambda pod: str(pod["metadata"]["name"])):
        found = ports_of(service, pod)
        for family in families:
            address = _address(pod, family)
            if address:
                key = (family, repr(found))
                ports[key] = found
                grouped.setdefault(key, []).append(endpoint(service, pod, address))
    result = [
        Slice(family=key[0], ports=ports[key], endpoints=tuple(endpoints[start : start + SIZE]))
        for key, endpoints in sorted(grouped.items())
        for start in range(0, len(endpoints), SIZE)
    ]
    have = {one.family for one in result}
    return result + [Slice(family=family, ports=(), endpoints=()) for family in families if family not in have]


def _address(pod: Object, family: str) -> str:
    status = pod.get("status") or {}
    addresses = [one["ip"] for one in status.get("podIPs") or ()] or [status["podIP"]]
    version = 6 if family == "IPv6" else 4
    return next((address for address in addresses if ipaddress.ip_address(address).version == version), "")


def subsets(service: Object, pods: list[Object]) -> list[Object]:
    """The `subsets` of the legacy Endpoints object: pods grouped by their ports, ready and not ready apart."""
    publish = bool(service["spec"].get("publishNotReadyAddresses"))
    grouped: dict[str, tuple[tuple[Object, ...], list[Object], list[Object]]] = {}
    for pod in sorted((pod for pod in pods if serves(service, pod)), key=lambda pod: _order(pod["status"]["podIP"])):
        if podstate.terminating(pod) and not publish:
            continue
        found = ports_of(service, pod)
        if not found and service["spec"].get("ports"):
            continue
        meta = pod["metadata"]
        address: Object = {"ip": pod["status"]["podIP"], "targetRef": {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}}
        if pod["spec"].get("nodeName"):
            address["nodeName"] = pod["spec"]["nodeName"]
        if pod["spec"].get("hostname") and pod["spec"].get("subdomain") == service["metadata"]["name"]:
            address["hostname"] = pod["spec"]["hostname"]
        _, ready, waiting = grouped.setdefault(repr(found), (found, [], []))
        (ready if publish or podstate.ready(pod) else waiting).append(address)
    result = []
    for found, ready, waiting in (grouped[key] for key in sorted(grouped)):
        subset: Object = {"addresses": ready} if ready else {}
        if waiting:
            subset["notReadyAddresses"] = waiting
        if found:
            subset["ports"] = [{name: value for name, value in port.items() if value or name != "name"} for port in found]
        result.append(subset)
    return result


def _order(address: str) -> tuple[int, int]:
    parsed = ipaddress.ip_address(address)
    return parsed.version, int(parsed)
