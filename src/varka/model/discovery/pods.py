"""What endpoints take from their pods: labels, identity, workload name, place, and whether a sidecar takes mutual TLS."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field

from varka.model.discovery import hosts
from varka.model.discovery.networks import NETWORK
from varka.model.memo import Kept
from varka.model.view import MeshSettings
from varka.resources import Meta, Parsed, kubernetes

TLS_MODE = "security.istio.io/tlsMode"
_REGION, _ZONE, _SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"


class PodInfo(Struct, frozen=True, kw_only=True):
    """The part of a pod that endpoints repeat; equal for as long as nothing of it changes, whatever the pod's status does."""

    name: str
    namespace: str
    ip: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    """SPIFFE ID."""
    workload: str = ""
    locality: str = ""
    network: str = ""
    node: str = ""
    sidecar: bool = False
    running: bool = True
    ports: Mapping[str, int] = field(default_factory=dict)
    """Container ports by name."""


class Pods(Struct, frozen=True, kw_only=True, eq=False):
    """Pods by namespace and name; localities of nodes by name."""

    by_name: Mapping[tuple[str, str], PodInfo] = field(default_factory=dict)
    localities: Mapping[str, str] = field(default_factory=dict)

    def get(self, namespace: str, name: str) -> PodInfo | None:
        return self.by_name.get((namespace, name))


def index(pods: Iterable[Parsed[kubernetes.Pod]], nodes: Iterable[Parsed[kubernetes.Node]], mesh: MeshSettings, network: str, kept: Kept) -> Pods:
    """All pods and nodes, on `network` unless they say otherwise; pieces that did not change stay the same objects."""
    localities = {node.meta.name: kept.equal(("node", node.meta.name), _locality(node.meta.labels)) for node in nodes}
    found: dict[tuple[str, str], PodInfo] = {}
    for pod in pods:
        if pod.spec is None:
            continue
        key = (pod.meta.namespace, pod.meta.name)
        locality = localities.get(pod.spec.spec.node_name, "")
        read = kept.get(("read", key), (pod, mesh, locality, network), partial(_info, pod, locality, mesh, network))
        found[key] = kept.equal(key, read)
    return Pods(by_name=found, localities=localities)


def workload_name(meta: Meta) -> str:
    """The Deployment or other owner that a pod belongs to; the pod's own name when there is none."""
    given = meta.labels.get("service.istio.io/workload-name")
    if given:
        return given
    if meta.owner is None:
        return meta.name
    name, template = meta.owner.name, meta.labels.get("pod-template-hash", "")
    if meta.owner.kind == "ReplicaSet":
        return name.removesuffix(f"-{template}") if template else name.rpartition("-")[0] or name
    return name


def _info(pod: Parsed[kubernetes.Pod], locality: str, mesh: MeshSettings, network: str) -> PodInfo:
    body, meta = pod.spec, pod.meta
    assert body is not None
    given = meta.labels.get("istio-locality", "").replace(".", "/")
    containers = (*body.spec.init_containers, *body.spec.containers)
    return PodInfo(
        name=meta.name,
        namespace=meta.namespace,
        ip=body.status.pod_ip,
        labels=dict(meta.labels),
        service_account=hosts.spiffe(mesh.trust_domain, meta.namespace, body.spec.service_account_name or "default"),
        workload=workload_name(meta),
        locality=given or locality,
        network=meta.labels.get(NETWORK, network),
        node=body.spec.node_name,
        sidecar=meta.labels.get(TLS_MODE) == "istio",
        running=body.status.phase not in {"Succeeded", "Failed"} and not meta.deleted,
        ports={port.name: port.container_port for container in containers for port in container.ports if port.name},
    )


def _locality(labels: Mapping[str, str]) -> str:
    region = labels.get(_REGION, "")
    parts = [region, labels.get(_ZONE, ""), labels.get(_SUBZONE, "")]
    while parts and not parts[-1]:
        parts.pop()
    return "/".join(parts)
