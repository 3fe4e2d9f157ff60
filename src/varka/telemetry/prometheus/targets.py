"""Target groups from objects of the API, with the labels that Prometheus documents for its Kubernetes discovery.

https://prometheus.io/docs/prometheus/latest/configuration/configuration/#kubernetes_sd_config
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from varka.client.api import Object

Labels = dict[str, str]
Group = dict[str, Any]
"""`targets`, a list of addresses, and `labels`."""
META = "__meta_kubernetes_"
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The objects of one moment."""

    pods: tuple[Object, ...] = ()
    services: tuple[Object, ...] = ()
    endpoints: tuple[Object, ...] = ()
    slices: tuple[Object, ...] = ()
    nodes: tuple[Object, ...] = ()
    index: Mapping[tuple[str, str, str], Object] = field(default_factory=dict)
    """Pods, services by kind, namespace and name."""


def of(role: str, known: Known) -> list[Group]:
    """The groups of one role, in order of namespace and name."""
    match role:
        case "node":
            found: Iterable[Group] = (_node(node) for node in known.nodes)
        case "service":
            found = (group for service in known.services for group in _service(service))
        case "pod":
            found = (group for pod in known.pods for group in _pod(pod))
        case "endpoints":
            found = (group for each in known.endpoints for group in _endpoints(each, known))
        case "endpointslice":
            found = (group for each in known.slices for group in _slice(each, known))
        case _:
            found = ()
    return list(found)


def _group(address: str, *labels: Mapping[str, str]) -> Group:
    merged: Labels = {}
    for each in labels:
        merged.update(each)
    return {"targets": [address], "labels": dict(sorted(merged.items()))}


def _marks(kind: str, meta: Object) -> Labels:
    """Labels and annotations of an object, and that they are present."""
    found: Labels = {}
    for word, given in (("label", meta.get("labels")), ("annotation", meta.get("annotations"))):
        for key, value in (given or {}).items():
            name = _UNFIT.sub("_", key)
            found[f"{META}{kind}_{word}_{name}"] = str(value)
            found[f"{META}{kind}_{word}present_{name}"] = "true"
    return found


def _namespace(meta: Object) -> Labels:
    return {f"{META}namespace": meta["namespace"]}


def _node(node: Object) -> Group:
    meta, status, name = node["metadata"], node.get("status") or {}, node["metadata"]["name"]
    addresses = {each["type"]: each["address"] for each in status.get("addresses") or ()}
    port = ((status.get("daemonEndpoints") or {}).get("kubeletEndpoint") or {}).get("Port") or 10250
    address = next((addresses[kind] for kind in ("InternalIP", "InternalDNS", "ExternalIP", "ExternalDNS", "Hostname") if kind in addresses), name)
    own = {f"{META}node_name": name, f"{META}node_provider_id": (node.get("spec") or {}).get("providerID", ""), "instance": name}
    return _group(f"{address}:{port}", own, {f"{META}node_address_{kind}": text for kind, text in addresses.items()}, _marks("node", meta))


def _of_service(service: Object) -> Labels:
    spec = service.get("spec") or {}
    return {
        f"{META}service_name": service["metadata"]["name"],
        f"{META}service_type": spec.get("type", "ClusterIP"),
        **({f"{META}service_cluster_ip": spec.get("clusterIP", "")} if spec.get("type") != "ExternalName" else {}),
        **({f"{META}service_external_name": spec.get("externalName", "")} if spec.get("type") == "ExternalName" else {}),
        **_marks("service", service["metadata"]),
    }


def _service(service: Object) -> Iterator[Group]:
    meta = service["metadata"]
    for port in (service.get("spec") or {}).get("ports") or ():
        of_port = {
            f"{META}service_port_name": port.get("name", ""),
            f"{META}service_port_number": str(port["port"]),
            f"{META}service_port_protocol": port.get("protocol", "TCP"),
        }
        yield _group(f"{meta['name']}.{meta['namespace']}.svc:{port['port']}", _namespace(meta), _of_service(service), of_port)


def _of_pod(pod: Object) -> Labels:
    meta, spec, status = pod["metadata"], pod.get("spec") or {}, pod.get("status") or {}
    ready = next((one["status"] for one in status.get("conditions") or () if one["type"] == "Ready"), "unknown")
    owner: Object = next((one for one in meta.get("ownerReferences") or () if one.get("controller")), {})
    return {
        f"{META}pod_name": meta["name"],
        f"{META}pod_ip": status.get("podIP", ""),
        f"{META}pod_ready": ready.lower(),
        f"{META}pod_phase": status.get("phase", ""),
        f"{META}pod_node_name": spec.get("nodeName", ""),
        f"{META}pod_host_ip": status.get("hostIP", ""),
        f"{META}pod_uid": meta.get("uid", ""),
        **({f"{META}pod_controller_kind": owner["kind"], f"{META}pod_controller_name": owner["name"]} if owner else {}),
        **_marks("pod", meta),
    }


def _containers(pod: Object) -> Iterator[tuple[Object, bool]]:
    spec = pod.get("spec") or {}
    yield from ((each, False) for each in spec.get("containers") or ())
    yield from ((each, True) for each in spec.get("initContainers") or ())


def _of_container(pod: Object, container: Object, init: bool) -> Labels:
    status = pod.get("status") or {}
    states = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    told = next((each.get("containerID", "") for each in states if each["name"] == container["name"]), "")
    return {
        f"{META}pod_container_name": container["name"],
        f"{META}pod_container_image": container.get("image", ""),
        f"{META}pod_container_id": told,
        f"{META}pod_container_init": str(init).lower(),
    }


def _of_port(port: Object) -> Labels:
    return {
        f"{META}pod_container_port_name": port.get("name", ""),
        f"{META}pod_container_port_number": str(port["containerPort"]),
        f"{META}pod_container_port_protocol": port.get("protocol", "TCP"),
    }


def _pod(pod: Object) -> Iterator[Group]:
    """One target a declared port; one without a port for a container that declares none. A pod without an address has none."""
    address = (pod.get("status") or {}).get("podIP", "")
    if not address:
        return
    shared = {**_namespace(pod["metadata"]), **_of_pod(pod)}
    for container, init in _containers(pod):
        of_container = _of_container(pod, container, init)
        for port in container.get("ports") or ():
            yield _group(f"{_host(address)}:{port['containerPort']}", shared, of_container, _of_port(port))
        if not container.get("ports"):
            yield _group(_host(address), shared, of_container)


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _endpoints(endpoints: Object, known: Known) -> Iterator[Group]:
    meta = endpoints["metadata"]
    service = known.index.get(("Service", meta["namespace"], meta["name"]))
    shared = {
        **_namespace(meta),
        f"{META}endpoints_name": meta["name"],
        **_marks("endpoints", meta),
        **(_of_service(service) if service is not None else {}),
    }
    seen: dict[str, tuple[Object, set[int]]] = {}
    for subset in endpoints.get("subsets") or ():
        for ready, addresses in (("true", subset.get("addresses")), ("false", subset.get("notReadyAddresses"))):
            for address in addresses or ():
                for port in subset.get("ports") or ():
                    yield _endpoint(address, port, ready, shared, known, seen)
    for pod, ports in seen.values():
        for container, init in _containers(pod):
            for port in container.get("ports") or ():
                if port["containerPort"] not in ports:
                    address = f"{_host(pod['status']['podIP'])}:{port['containerPort']}"
                    yield _group(address, shared, _of_pod(pod), _of_container(pod, container, init), _of_port(port))


def _endpoint(address: Object, port: Object, ready: str, shared: Labels, known: Known, seen: dict[str, tuple[Object, set[int]]]) -> Group:
    target = address.get("targetRef") or {}
    own = {
        f"{META}endpoint_port_name": port.get("name", ""),
        f"{META}endpoint_port_protocol": port.get("protocol", "TCP"),
        f"{META}endpoint_ready": ready,
        **({f"{META}endpoint_hostname": address["hostname"]} if address.get("hostname") else {}),
        **({f"{META}endpoint_node_name": address["nodeName"]} if address.get("nodeName") else {}),
        **({f"{META}endpoint_address_target_kind": target["kind"], f"{META}endpoint_address_target_name": target["name"]} if target else {}),
    }
    pod = known.index.get(("Pod", target.get("namespace", ""), target.get("name", ""))) if target.get("kind") == "Pod" else None
    if pod is not None and (pod.get("status") or {}).get("podIP"):
        own.update(_of_pod(pod))
        seen.setdefault(pod["metadata"].get("uid") or pod["metadata"]["name"], (pod, set()))[1].add(port["port"])
        for container, init in _containers(pod):
            for each in container.get("ports") or ():
                if each["containerPort"] == port["port"] and each.get("protocol", "TCP") == port.get("protocol", "TCP"):
                    own.update(_of_container(pod, container, init))
                    own.update(_of_port(each))
    return _group(f"{_host(address['ip'])}:{port['port']}", shared, own)


def _slice(found: Object, known: Known) -> Iterator[Group]:
    meta = found["metadata"]
    name = (meta.get("labels") or {}).get("kubernetes.io/service-name", "")
    service = known.index.get(("Service", meta["namespace"], name))
    shared = {
        **_namespace(meta),
        f"{META}endpointslice_name": meta["name"],
        f"{META}endpointslice_address_type": found.get("addressType", "IPv4"),
        **_marks("endpointslice", meta),
        **(_of_service(service) if service is not None else {}),
    }
    for endpoint in found.get("endpoints") or ():
        target, conditions = endpoint.get("targetRef") or {}, endpoint.get("conditions") or {}
        pod = known.index.get(("Pod", target.get("namespace", meta["namespace"]), target.get("name", ""))) if target.get("kind") == "Pod" else None
        for port in found.get("ports") or ():
            own = {
                f"{META}endpointslice_port": str(port["port"]),
                f"{META}endpointslice_port_name": port.get("name", ""),
                f"{META}endpointslice_port_protocol": port.get("protocol", "TCP"),
                f"{META}endpointslice_endpoint_conditions_ready": str(conditions.get("ready", True)).lower(),
                f"{META}endpointslice_endpoint_conditions_serving": str(conditions.get("serving", True)).lower(),
                f"{META}endpointslice_endpoint_conditions_terminating": str(conditions.get("terminating", False)).lower(),
                **({f"{META}endpointslice_address_target_kind": target["kind"], f"{META}endpointslice_address_target_name": target["name"]} if target else {}),
                **(_of_pod(pod) if pod is not None else {}),
            }
            for address in endpoint.get("addresses") or ():
                yield _group(f"{_host(address)}:{port['port']}", shared, own)
