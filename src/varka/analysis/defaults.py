"""Objects that every installation has, for the analysis of files alone: nobody keeps them among their own files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PORTS = (("http2", 80), ("https", 443), ("tcp", 31400), ("tls", 15443))
_LABELS = {"istio": "ingressgateway"}


def objects(mesh_config: Mapping[str, Any], namespace: str = "istio-system") -> list[dict[str, Any]]:
    """The ingress gateway's Service and a pod of it, unless the mesh is configured to have none."""
    if mesh_config.get("ingressControllerMode") == "OFF":
        return []
    name = str(mesh_config.get("ingressService") or "istio-ingressgateway")
    ports = [{"name": name, "port": number, "targetPort": number, "protocol": "TCP"} for name, number in _PORTS]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": f"{name}-assumed", "namespace": namespace, "labels": _LABELS},
            "spec": {"containers": [{"name": "istio-proxy"}]},
        },
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": {"ports": ports, "selector": _LABELS}},
    ]
