"""The two Services of every cluster: `kubernetes`, which leads to the API server, and `kube-dns`."""

from __future__ import annotations

from varka.client.api import ApiError, Gvr, Object
from varka.client.resources import ENDPOINT_SLICES, ENDPOINTS, SERVICES
from varka.cluster.controllers.context import Context


async def create(context: Context) -> None:
    """Create them with their endpoints, or bring them up to date."""
    settings = context.settings
    labels = {"component": "apiserver", "provider": "kubernetes"}
    port = {"name": "https", "port": 443, "protocol": "TCP", "targetPort": settings.api_port}
    await _put(context, SERVICES, _service("kubernetes", "default", labels, settings.api_address, [port]))
    await _endpoints(context, "kubernetes", "default", settings.node_address, [{"name": "https", "port": settings.api_port, "protocol": "TCP"}])
    labels = {"k8s-app": "kube-dns", "kubernetes.io/cluster-service": "true", "kubernetes.io/name": "CoreDNS"}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53}, {"name": "dns-tcp", "port": 53, "protocol": "TCP", "targetPort": 53}]
    await _put(context, SERVICES, _service("kube-dns", "kube-system", labels, settings.dns_address, ports))
    if settings.dns_target:
        targets = [{"name": port["name"], "port": 53, "protocol": port["protocol"]} for port in ports]
        await _endpoints(context, "kube-dns", "kube-system", settings.dns_target, targets)


def _service(name: str, namespace: str, labels: dict[str, str], address: str, ports: list[Object]) -> Object:
    spec = {"type": "ClusterIP", "clusterIP": address, "clusterIPs": [address], "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack"}
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {**spec, "ports": ports, "sessionAffinity": "None"}}


async def _endpoints(context: Context, name: str, namespace: str, address: str, ports: list[Object]) -> None:
    meta: Object = {"name": name, "namespace": namespace, "labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}}
    legacy = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": [{"addresses": [{"ip": address}], "ports": ports}]}
    await _put(context, ENDPOINTS, legacy)
    meta = {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}}
    entry = {"addresses": [address], "conditions": {"ready": True}}
    modern = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": meta, "addressType": "IPv4", "endpoints": [entry], "ports": ports}
    await _put(context, ENDPOINT_SLICES, modern)


async def _put(context: Context, gvr: Gvr, obj: Object) -> None:
    meta = obj["metadata"]
    try:
        held = await context.api.get(gvr, meta["name"], meta["namespace"])
    except ApiError as error:
        if error.code != 404:
            raise
        await context.create(gvr, obj)
        return
    body = {name: value for name, value in obj.items() if name != "metadata"}
    if gvr != SERVICES and any(held.get(name) != value for name, value in body.items()):
        await context.update(gvr, {**held, **body})
