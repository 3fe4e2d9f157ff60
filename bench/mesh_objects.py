"""A cluster of many services for the control plane: N services with two endpoints each, one service account each."""

from __future__ import annotations

from typing import Any

from varka.client import resources
from varka.client.api import Gvr
from varka.resources import crds

NAMESPACE = "shop"
VIRTUAL_SERVICES = Gvr("networking.istio.io", "v1", "virtualservices")
DESTINATION_RULES = Gvr("networking.istio.io", "v1", "destinationrules")
AUTHORIZATION_POLICIES = Gvr("security.istio.io", "v1", "authorizationpolicies")
PORT = 8080


def address(service: int, endpoint: int) -> str:
    """The address of one endpoint."""
    return f"10.{244 + endpoint % 8}.{service // 250 % 250}.{service % 250 + 1}"


def service(number: int) -> dict[str, Any]:
    """A Service with one HTTP port."""
    spec = {"clusterIP": f"10.96.{number // 250 + 1}.{number % 250 + 1}", "selector": {"app": f"s{number}"}, "ports": [{"name": "http", "port": PORT}]}
    return {"metadata": {"name": f"s{number}"}, "spec": spec}


def endpoint(number: int, which: int) -> dict[str, Any]:
    """A ready endpoint that belongs to a pod."""
    target = {"kind": "Pod", "name": f"s{number}-{which}", "namespace": NAMESPACE}
    return {"addresses": [address(number, which)], "conditions": {"ready": True}, "targetRef": target, "nodeName": "varka"}


def endpoint_slice(number: int) -> dict[str, Any]:
    """The service's two endpoints."""
    return {
        "metadata": {"name": f"s{number}-x", "labels": {"kubernetes.io/service-name": f"s{number}"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        "endpoints": [endpoint(number, which) for which in range(2)],
    }


def pod(number: int, which: int) -> dict[str, Any]:
    """A running pod with a sidecar."""
    labels = {"app": f"s{number}", "version": "v1", "security.istio.io/tlsMode": "istio"}
    return {
        "metadata": {"name": f"s{number}-{which}", "labels": labels},
        "spec": {"serviceAccountName": f"s{number}", "nodeName": "varka", "containers": [{"name": "app", "ports": [{"containerPort": PORT}]}]},
        "status": {"phase": "Running", "podIP": address(number, which)},
    }


def virtual_service(number: int, seconds: int) -> dict[str, Any]:
    """A route with a timeout, which is what the measurement changes."""
    route = {"timeout": f"{seconds}s", "route": [{"destination": {"host": f"s{number}"}}]}
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "VirtualService",
        "metadata": {"name": f"s{number}"},
        "spec": {"hosts": [f"s{number}"], "http": [route]},
    }


def policy(number: int) -> dict[str, Any]:
    """Who may call one service."""
    rule = {
        "from": [{"source": {"principals": [f"cluster.local/ns/{NAMESPACE}/sa/s{(number + one) % 1000}" for one in range(3)]}}],
        "to": [{"operation": {"methods": ["GET", "POST"], "paths": [f"/v{number % 7}/*"]}}],
    }
    spec = {"selector": {"matchLabels": {"app": f"s{number}"}}, "action": "ALLOW", "rules": [rule]}
    return {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": f"s{number}"}, "spec": spec}


def mesh_config(seconds: int) -> dict[str, str]:
    """Settings of the mesh of which one is in every cluster of every proxy: the data of the ConfigMap `istio`."""
    return {"mesh": f"connectTimeout: {seconds}s\n"}


async def fill(api: Any, services: int, virtual_services: int, policies: int) -> None:
    """Create everything."""
    for name in (NAMESPACE, "istio-system"):
        await api.create(resources.NAMESPACES, {"metadata": {"name": name, "labels": {"istio-injection": "enabled"}}})
    for definition in crds.definitions():
        await api.create(resources.CUSTOM_RESOURCE_DEFINITIONS, definition)
    for number in range(services):
        await api.create(resources.SERVICES, service(number), NAMESPACE)
        await api.create(resources.ENDPOINT_SLICES, endpoint_slice(number), NAMESPACE)
        for which in range(2):
            await api.create(resources.PODS, pod(number, which), NAMESPACE)
    for number in range(0, services, max(1, services // max(1, virtual_services))):
        await api.create(VIRTUAL_SERVICES, virtual_service(number, 5), NAMESPACE)
    for number in range(policies):
        await api.create(AUTHORIZATION_POLICIES, policy(number), NAMESPACE)
    settings = {"metadata": {"name": "istio"}, "data": mesh_config(10)}
    await api.create(resources.CONFIGMAPS, settings, "istio-system")
