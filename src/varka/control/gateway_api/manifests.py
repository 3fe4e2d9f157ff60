"""What is made for a Gateway that names no address: a service account, a Deployment of Envoy, and a Service."""

from __future__ import annotations

from varka.client.api import Object
from varka.model.gateway_api.translation import Workload

NAME = "gateway.networking.k8s.io/gateway-name"
CLASS = "gateway.networking.k8s.io/gateway-class-name"
TYPE = "networking.istio.io/service-type"
"""Annotation of the Gateway: the type of its Service."""
_TYPES = ("LoadBalancer", "ClusterIP", "NodePort")
_STATUS_PORT = 15021


def objects(workload: Workload, revision: str) -> list[Object]:
    """The objects, which belong to the Gateway and go with it."""
    labels = {**workload.labels, NAME: workload.gateway, CLASS: workload.class_name}
    owner = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "name": workload.gateway, "uid": workload.uid}
    meta: Object = {
        "name": workload.name,
        "namespace": workload.namespace,
        "labels": labels,
        "annotations": dict(workload.annotations),
        "ownerReferences": [owner],
    }
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": _deployment(workload, labels, revision)},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": _service(workload)},
    ]


def _deployment(workload: Workload, labels: dict[str, str], revision: str) -> Object:
    marks = {
        "sidecar.istio.io/inject": "true",
        "istio.io/rev": revision,
        "service.istio.io/canonical-name": workload.name,
        "service.istio.io/canonical-revision": "latest",
    }
    container: Object = {
        "name": "istio-proxy",
        "image": "auto",
        "env": [{"name": "ISTIO_META_UNPRIVILEGED_POD", "value": "true"}],
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2", "memory": "1Gi"}},
    }
    return {
        "selector": {"matchLabels": {NAME: workload.gateway}},
        "template": {
            "metadata": {"labels": {**labels, **marks}, "annotations": {**workload.annotations, "inject.istio.io/templates": "gateway"}},
            "spec": {"serviceAccountName": workload.name, "containers": [container]},
        },
    }


def _service(workload: Workload) -> Object:
    kind = workload.annotations.get(TYPE, "LoadBalancer")
    ports = [{"name": "status-port", "port": _STATUS_PORT, "protocol": "TCP"}]
    ports += [{"name": name, "port": number, "protocol": "TCP"} for name, number in workload.ports if number != _STATUS_PORT]
    return {"type": kind if kind in _TYPES else "LoadBalancer", "selector": {NAME: workload.gateway}, "ports": ports}
