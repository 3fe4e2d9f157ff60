"""Which workload a pod belongs to: the name that telemetry and people use for it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from varka.client.api import Object
from varka.control.injection.options import labels_of

CANONICAL_NAME, CANONICAL_REVISION = "service.istio.io/canonical-name", "service.istio.io/canonical-revision"
_CRON = re.compile(r"^(.+)-\d{8,10}$")
MAX_LABEL = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The object that a pod is a replica of; a bare pod is its own."""

    name: str
    kind: str = "Pod"
    api_version: str = "v1"

    def uri(self, namespace: str) -> str:
        """`kubernetes://apis/apps/v1/namespaces/default/deployments/reviews`."""
        return f"kubernetes://apis/{self.api_version}/namespaces/{namespace}/{self.kind.lower()}s/{self.name}"


def of_pod(pod: Object) -> Workload:
    """From the pod's controller; a ReplicaSet of a Deployment stands for the Deployment, a Job of a CronJob for that."""
    meta = pod.get("metadata") or {}
    owner = next((one for one in meta.get("ownerReferences") or [] if one.get("controller")), None)
    if owner is None:
        return Workload(name=meta.get("name") or str(meta.get("generateName") or "").rstrip("-"))
    name, kind, version = owner["name"], owner["kind"], owner.get("apiVersion", "v1")
    suffix = "-" + labels_of(pod).get("pod-template-hash", "")
    if kind == "ReplicaSet" and len(suffix) > 1 and name.endswith(suffix):
        return Workload(name=name.removesuffix(suffix), kind="Deployment", api_version=version)
    if kind == "Job" and (found := _CRON.match(name)):
        return Workload(name=found[1], kind="CronJob", api_version=version)
    if kind == "ReplicationController" and (config := labels_of(pod).get("deploymentconfig")):
        return Workload(name=config, kind="DeploymentConfig", api_version=version)
    return Workload(name=name, kind=kind, api_version=version)


def canonical_name(labels: dict[str, str], workload: Workload) -> str:
    """What the service is called in telemetry, no longer than a label may be."""
    name = labels.get(CANONICAL_NAME) or labels.get("app.kubernetes.io/name") or labels.get("app") or workload.name
    return name if len(name) <= MAX_LABEL else name[:MAX_LABEL].rstrip("-_.")


def canonical_revision(labels: dict[str, str]) -> str:
    """The version of the service in telemetry."""
    return labels.get(CANONICAL_REVISION) or labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
