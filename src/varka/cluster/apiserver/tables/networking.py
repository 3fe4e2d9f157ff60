"""The rows of Services, endpoints, Ingresses and NetworkPolicies."""

from __future__ import annotations

from datetime import datetime

from varka.client.api import Object
from varka.cluster.apiserver.tables.columns import NONE, UNKNOWN, UNSET, Cell, Layout, age, joined, layout, name, pairs, selector, shortened, spec, status

WIDTH = 16
"""A load balancer's host name is cut to this."""


def _ingresses(obj: Object) -> list[str]:
    return [one.get("ip") or one.get("hostname", "") for one in (status(obj).get("loadBalancer") or {}).get("ingress") or ()]


def _external(obj: Object) -> str:
    wanted = spec(obj)
    outside = wanted.get("externalIPs") or []
    match wanted.get("type", "ClusterIP"):
        case "ExternalName":
            return str(wanted.get("externalName", ""))
        case "LoadBalancer":
            given = ",".join(_ingresses(obj))
            if len(given) > WIDTH:
                given = given[: WIDTH - 3] + "..."
            return joined([*([given] if given else []), *outside], "<pending>")
    return joined(outside)


def _service(obj: Object, now: datetime) -> list[Cell]:
    wanted = spec(obj)
    ports = [f"{port['port']}{':' + str(port['nodePort']) if port.get('nodePort') else ''}/{port.get('protocol', 'TCP')}" for port in wanted.get("ports") or ()]
    address = (wanted.get("clusterIPs") or [wanted.get("clusterIP")])[0] or NONE
    return [name(obj), wanted.get("type", "ClusterIP"), address, _external(obj), joined(ports), age(obj, now), pairs(wanted.get("selector"))]


def _endpoints(obj: Object, now: datetime) -> list[Cell]:
    found: list[str] = []
    for subset in obj.get("subsets") or ():
        ports = [str(port["port"]) for port in subset.get("ports") or ()]
        for address in subset.get("addresses") or ():
            host = f"[{address['ip']}]" if ":" in address["ip"] else address["ip"]
            found += [f"{host}:{port}" for port in ports] or [address["ip"]]
    return [name(obj), shortened(found), age(obj, now)]


def _slice(obj: Object, now: datetime) -> list[Cell]:
    ports = [str(port["port"]) if port.get("port") is not None else "*" for port in obj.get("ports") or ()]
    addresses = [address for one in obj.get("endpoints") or () for address in one.get("addresses") or ()]
    return [name(obj), obj.get("addressType", ""), shortened(ports, UNSET), shortened(addresses, UNSET), age(obj, now)]


def _ingress(obj: Object, now: datetime) -> list[Cell]:
    wanted = spec(obj)
    hosts = [rule["host"] for rule in wanted.get("rules") or () if rule.get("host")]
    ports = "80, 443" if wanted.get("tls") else "80"
    kind = wanted.get("ingressClassName") or (obj["metadata"].get("annotations") or {}).get("kubernetes.io/ingress.class") or NONE
    return [name(obj), kind, shortened(hosts, "*"), ",".join(_ingresses(obj)), ports, age(obj, now)]


def _ingress_class(obj: Object, now: datetime) -> list[Cell]:
    parameters = spec(obj).get("parameters")
    text = NONE
    if parameters:
        group = parameters.get("apiGroup")
        text = f"{parameters['kind']}{'.' + group if group else ''}/{parameters['name']}"
    return [name(obj), spec(obj).get("controller", ""), text, age(obj, now)]


def _network_policy(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), selector(spec(obj).get("podSelector")), age(obj, now)]


def _lease(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), spec(obj).get("holderIdentity", ""), age(obj, now)]


def _api_service(obj: Object, now: datetime) -> list[Cell]:
    target = spec(obj).get("service")
    where = f"{target['namespace']}/{target['name']}" if target else "Local"
    condition = next((one for one in status(obj).get("conditions") or () if one["type"] == "Available"), None)
    available = UNKNOWN if condition is None else condition["status"]
    if condition is not None and available != "True" and condition.get("reason"):
        available += f" ({condition['reason']})"
    return [name(obj), where, available, age(obj, now)]


LAYOUTS: dict[tuple[str, str], Layout] = {
    ("", "Service"): layout(_service, "Name|Type|Cluster-IP|External-IP|Port(s)|Age", "Selector"),
    ("", "Endpoints"): layout(_endpoints, "Name|Endpoints|Age"),
    ("discovery.k8s.io", "EndpointSlice"): layout(_slice, "Name|AddressType|Ports|Endpoints|Age"),
    ("networking.k8s.io", "Ingress"): layout(_ingress, "Name|Class|Hosts|Address|Ports|Age"),
    ("networking.k8s.io", "IngressClass"): layout(_ingress_class, "Name|Controller|Parameters|Age"),
    ("networking.k8s.io", "NetworkPolicy"): layout(_network_policy, "Name|Pod-Selector|Age"),
    ("coordination.k8s.io", "Lease"): layout(_lease, "Name|Holder|Age"),
    ("apiregistration.k8s.io", "APIService"): layout(_api_service, "Name|Service|Available|Age"),
}
