"""Plain objects as an API server answers them, with as little text as a test needs."""

from __future__ import annotations

from typing import Any

from varka import resources
from varka.model import inputs, proxies, snapshot
from varka.model.snapshot import Snapshot
from varka.model.view import MeshSettings, Proxy

Object = dict[str, Any]

_VERSIONS = {
    "AuthorizationPolicy": "security.istio.io/v1",
    "PeerAuthentication": "security.istio.io/v1",
    "RequestAuthentication": "security.istio.io/v1",
    "Telemetry": "telemetry.istio.io/v1",
    "WasmPlugin": "extensions.istio.io/v1alpha1",
}


def istio(kind: str, name: str, spec: Object, namespace: str = "default", **meta: Any) -> Object:
    """A resource of one of Istio's kinds."""
    version = _VERSIONS.get(kind, "networking.istio.io/v1")
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": namespace, **meta}, "spec": spec}


def service(name: str, *ports: Object, namespace: str = "default", spec: Object | None = None, **meta: Any) -> Object:
    """A Service that selects `app: name`."""
    body = {"clusterIP": "10.96.0.7", "selector": {"app": name}, "ports": list(ports) or [{"name": "http", "port": 80}], **(spec or {})}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, **meta}, "spec": body}


def endpoint_slice(name: str, *addresses: str, port: int = 8080, port_name: str = "http", namespace: str = "default", **conditions: bool) -> Object:
    """An EndpointSlice of a Service; each address belongs to the pod `name-<last number>`."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-x", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": port_name, "port": port}],
        "endpoints": [
            {"addresses": [address], "conditions": conditions or {"ready": True}, "targetRef": {"kind": "Pod", "name": pod_name(name, address)}}
            for address in addresses
        ],
    }


def pod_name(name: str, address: str) -> str:
    """The name that `endpoint_slice` gives to the pod of an address."""
    return f"{name}-{address.rpartition('.')[2]}"


def pod(app: str, address: str, namespace: str = "default", account: str = "", labels: Object | None = None, **spec: Any) -> Object:
    """A running pod with a sidecar."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(app, address),
            "namespace": namespace,
            "labels": {"app": app, "security.istio.io/tlsMode": "istio", **(labels or {})},
        },
        "spec": {"serviceAccountName": account or app, "containers": [{"name": "app"}], **spec},
        "status": {"podIP": address, "phase": "Running"},
    }


def snapshot_of(*objects: Object, mesh: MeshSettings | None = None, previous: Snapshot | None = None) -> Snapshot:
    """The snapshot of plain objects."""
    return snapshot.build(inputs.of(map(resources.parse, objects), mesh), previous)


def proxy(app: str, address: str = "10.0.0.1", namespace: str = "default", kind: str = "sidecar", **labels: str) -> Proxy:
    """The proxy of a pod."""
    found = proxies.parse(f"{kind}~{address}~{pod_name(app, address)}.{namespace}~{namespace}.svc.cluster.local", {"LABELS": {"app": app, **labels}})
    assert found is not None
    return found
