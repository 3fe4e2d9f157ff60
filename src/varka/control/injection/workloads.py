"""Whole manifests: every kind that has a pod template, as `istioctl kube-inject` takes them."""

from __future__ import annotations

import copy
from collections.abc import Mapping

from varka.client.api import Object
from varka.control.injection import pods
from varka.control.injection.options import Options
from varka.control.injection.owners import Workload

_TEMPLATE = {
    "Deployment": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "DeploymentConfig": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def inject(obj: Object, options: Options, namespace: str = "default", namespace_labels: Mapping[str, str] | None = None) -> Object:
    """The object with its pods injected; what has no pods comes back as it is."""
    kind = obj.get("kind", "")
    if kind == "List" or (kind.endswith("List") and isinstance(obj.get("items"), list)):
        return {**obj, "items": [inject(one, options, namespace, namespace_labels) for one in obj["items"]]}
    meta = obj.get("metadata") or {}
    space = meta.get("namespace") or namespace
    if kind == "Pod":
        return pods.inject(obj, space, namespace_labels, options) or obj
    path = _TEMPLATE.get(kind)
    if path is None:
        return obj
    result = copy.deepcopy(obj)
    parent = result
    for name in path[:-1]:
        parent = parent.get(name) or {}
    template = parent.get(path[-1])
    if not isinstance(template, dict) or not isinstance(template.get("spec"), dict):
        return obj
    workload = Workload(name=str(meta.get("name") or meta.get("generateName") or ""), kind=kind, api_version=obj.get("apiVersion", "v1"))
    injected = pods.inject(template, space, namespace_labels, options, workload)
    if injected is None:
        return obj
    parent[path[-1]] = injected
    return result
