"""Ingress and egress gateways: an Envoy of their own, whose container the injector fills in."""

from __future__ import annotations

from varka.cli.istioctl.charts import base
from varka.cli.istioctl.operator import Gateway, Installation
from varka.client.api import Object

_INGRESS_PORTS = [("status-port", 15021, 15021), ("http2", 80, 8080), ("https", 443, 8443)]
_EGRESS_PORTS = [("http2", 80, 8080), ("https", 443, 8443)]


def objects(installation: Installation, gateway: Gateway) -> list[Object]:
    """Service account, rights, Deployment, Service, disruption budget and autoscaler of one gateway."""
    component = "EgressGateways" if gateway.egress else "IngressGateways"
    account = f"{gateway.name}-service-account"
    meta: Object = {"namespace": gateway.namespace, "labels": {**base.labels(installation, component), **gateway.labels}}
    group = "rbac.authorization.k8s.io"
    role = f"{gateway.name}-sds"
    values = (installation.values.get("gateways") or {}).get("istio-egressgateway" if gateway.egress else "istio-ingressgateway") or {}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account, **meta}},
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": {"name": role, **meta},
            "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "watch", "list"]}],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": role, **meta},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": role},
            "subjects": [{"kind": "ServiceAccount", "name": account}],
        },
        _service(gateway, meta),
        _deployment(installation, gateway, account, meta),
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": gateway.name, **meta},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": dict(gateway.labels)}},
        },
        *base.autoscaler(gateway.name, meta, values),
    ]


def _service(gateway: Gateway, meta: Object) -> Object:
    given = gateway.k8s.get("service") or {}
    ports = [
        {"name": name, "port": port, "targetPort": target, "protocol": "TCP"} for name, port, target in (_EGRESS_PORTS if gateway.egress else _INGRESS_PORTS)
    ]
    kind = "ClusterIP" if gateway.egress else "LoadBalancer"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": gateway.name, **meta, "annotations": dict(gateway.k8s.get("serviceAnnotations") or {})},
        "spec": {"type": kind, "selector": dict(gateway.labels), "ports": ports, **given},
    }


def _deployment(installation: Installation, gateway: Gateway, account: str, meta: Object) -> Object:
    k8s = gateway.k8s
    labels = {
        **gateway.labels,
        "sidecar.istio.io/inject": "true",
        "service.istio.io/canonical-name": gateway.name,
        "service.istio.io/canonical-revision": "latest",
        "istio.io/rev": installation.revision,
    }
    container: Object = {
        "name": "istio-proxy",
        "image": "auto",
        "env": [{"name": "ISTIO_META_UNPRIVILEGED_POD", "value": "true"}, *(k8s.get("env") or [])],
        "resources": k8s.get("resources") or {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2000m", "memory": "1024Mi"}},
    }
    spec: Object = {
        "serviceAccountName": account,
        "containers": [container],
        **{key: k8s[key] for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName") if key in k8s},
    }
    annotations = {"inject.istio.io/templates": "gateway", **(k8s.get("podAnnotations") or {})}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": gateway.name, **meta},
        "spec": {
            "replicas": int(k8s.get("replicaCount") or 1),
            "selector": {"matchLabels": dict(gateway.labels)},
            "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}},
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": spec},
        },
    }
