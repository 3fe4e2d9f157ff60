"""What belongs to the cluster, whichever revision runs: definitions of Istio's kinds, the namespace, the validation webhook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varka.cli.istioctl.operator import Installation
from varka.client.api import Object
from varka.resources import crds


def objects(installation: Installation) -> list[Object]:
    """Namespace, CustomResourceDefinitions and the reader role of gateways."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": installation.namespace}},
        *crds.definitions(),
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": "istio-reader-service-account", "namespace": installation.namespace, "labels": labels(installation, "base")},
        },
    ]


def labels(installation: Installation, component: str) -> dict[str, str]:
    """What marks an object as part of an installation, so that `uninstall` finds it."""
    return {
        "app.kubernetes.io/managed-by": "istioctl",
        "app.kubernetes.io/part-of": "istio",
        "install.operator.istio.io/owning-resource": "installed-state",
        "operator.istio.io/component": component,
        "istio.io/rev": installation.revision,
    }


def autoscaler(name: str, meta: Object, values: Mapping[str, Any]) -> list[Object]:
    """The HorizontalPodAutoscaler of a Deployment, if the values ask for one."""
    if not values.get("autoscaleEnabled"):
        return []
    utilization = int((values.get("cpu") or {}).get("targetAverageUtilization") or 80)
    metric = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": utilization}}}
    spec = {
        "minReplicas": int(values.get("autoscaleMin") or 1),
        "maxReplicas": int(values.get("autoscaleMax") or 5),
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
        "metrics": [metric],
    }
    return [{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": name, **meta}, "spec": spec}]
