"""What analyzers look at: parsed resources by kind, the snapshot that they make, and what is known beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from msgspec import Struct, field

from varka import resources
from varka.model import inputs, mesh_settings
from varka.model import snapshot as snapshots
from varka.model.snapshot import Snapshot
from varka.resources import Meta, Parsed

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage", "istio-system"})
PROXY = "istio-proxy"
INJECTION, REVISION = "istio-injection", "istio.io/rev"
INJECT = "sidecar.istio.io/inject"
"""Label or annotation of a pod."""
REDIRECTION = "ambient.istio.io/redirection"
"""Annotation of pods whose traffic goes through the node's proxy: they belong to a mesh without sidecars."""


class Read(NamedTuple):
    """A resource that could be read: its spec is there."""

    kind: str
    meta: Meta
    spec: Any


Workload = tuple[Read, frozenset[tuple[str, str]]]
"""A pod and its labels."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What cannot be read off the resources themselves."""

    mesh_config: Mapping[str, Any] = field(default_factory=dict)
    """MeshConfig as written."""
    mesh_networks: Mapping[str, Any] = field(default_factory=dict)
    """MeshNetworks as written."""
    now: float | None = None
    """The time in seconds since the epoch; without it no certificate counts as expired."""
    unresolved: frozenset[str] = frozenset()
    """Host names of webhooks that DNS does not know."""
    clusters: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """Objects of the mesh's other clusters, by the cluster's name."""
    cluster: str = "Kubernetes"
    """Name of the cluster that is analyzed."""


class Context(Struct, frozen=True, kw_only=True, eq=False):
    """All resources by kind, in order of namespace and name; those of the Kubernetes Gateway API, which share names with Istio's, are left out."""

    kinds: Mapping[str, tuple[Parsed[Any], ...]]
    reads: Mapping[str, tuple[Read, ...]]
    """Those of them that have a spec."""
    workloads: Mapping[str, Sequence[Workload]]
    """By namespace: pods, and the templates of Deployments under the Deployments' names."""
    namespaces: Mapping[str, Mapping[str, str]]
    """Labels by name."""
    snapshot: Snapshot
    surroundings: Surroundings = Surroundings()
    conditions: Mapping[tuple[str, str, str], tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    """Kind, namespace and name → the conditions in the status."""

    @classmethod
    def of(cls, objects: Iterable[Mapping[str, Any]], surroundings: Surroundings | None = None) -> Context:
        """Parse objects, and build their snapshot."""
        given = list(objects)
        parsed = [resources.parse(obj) for obj in given]
        status = {item.ref: _conditions(obj) for item, obj in zip(parsed, given, strict=True) if obj.get("status")}
        known = surroundings or Surroundings()
        mesh = mesh_settings.of(known.mesh_config)[0]
        return cls.read(parsed, snapshots.build(inputs.of(sorted(parsed, key=_order), mesh)), known, status)

    @classmethod
    def read(
        cls,
        parsed: Iterable[Parsed[Any]],
        snapshot: Snapshot,
        surroundings: Surroundings,
        conditions: Mapping[tuple[str, str, str], tuple[Mapping[str, Any], ...]] | None = None,
    ) -> Context:
        """From resources that are parsed already, and their snapshot."""
        kinds: dict[str, list[Parsed[Any]]] = {}
        for item in sorted(parsed, key=_order):
            if item.group != "gateway.networking.k8s.io":
                kinds.setdefault(item.kind, []).append(item)
        reads = {kind: tuple(Read(item.kind, item.meta, item.spec) for item in items if item.spec is not None) for kind, items in kinds.items()}
        workloads: dict[str, list[Workload]] = {}
        for pod in (*reads.get("Pod", ()), *_templates(reads.get("Deployment", ()))):
            workloads.setdefault(pod.meta.namespace, []).append((pod, frozenset(pod.meta.labels.items())))
        return cls(
            kinds={kind: tuple(items) for kind, items in kinds.items()},
            reads=reads,
            workloads=workloads,
            namespaces={item.meta.name: item.meta.labels for item in reads.get("Namespace", ())},
            snapshot=snapshot,
            surroundings=surroundings,
            conditions=conditions or {},
        )

    def all(self, kind: str) -> tuple[Read, ...]:
        """The resources of a kind that could be read."""
        return self.reads.get(kind, ())

    def sources(self, kind: str) -> tuple[Parsed[Any], ...]:
        """The same, as they were parsed."""
        return tuple(item for item in self.kinds.get(kind, ()) if item.spec is not None)

    def pods(self, selector: Mapping[str, str], namespace: str | None = None) -> list[Read]:
        """Pods that carry labels, in one namespace or in all; the templates of Deployments count, for files have no pods."""
        wanted = selector.items()
        groups = self.workloads.values() if namespace is None else (self.workloads.get(namespace, ()),)
        return [pod for group in groups for pod, labels in group if wanted <= labels]

    def in_mesh(self, pod: Read) -> bool:
        """Whether a pod has a proxy or will get one: as its containers show, else as it says itself, else as its namespace says."""
        spec = pod.spec.spec
        if any(item.name == PROXY for item in (*spec.containers, *spec.init_containers)):
            return True
        if pod.meta.annotations.get(REDIRECTION) == "enabled":
            return True
        for given in (pod.meta.labels, pod.meta.annotations):
            if INJECT in given:
                return given[INJECT].lower() == "true"
        labels = self.namespaces.get(pod.meta.namespace, {})
        return labels.get(INJECTION) == "enabled" or (INJECTION not in labels and bool(labels.get(REVISION)))


def _templates(deployments: Iterable[Read]) -> Iterable[Read]:
    for item in deployments:
        template = item.spec.spec.template
        labels, annotations = (_texts(template.metadata.get(name)) for name in ("labels", "annotations"))
        yield Read("Pod", Meta(name=item.meta.name, namespace=item.meta.namespace, labels=labels, annotations=annotations), template)


def _order(item: Parsed[Any]) -> tuple[str, str, str]:
    return (item.kind, item.meta.namespace, item.meta.name)


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(item) for key, item in value.items()} if isinstance(value, Mapping) else {}


def _conditions(obj: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    status = obj.get("status")
    found = status.get("conditions") if isinstance(status, Mapping) else None
    return tuple(item for item in found if isinstance(item, Mapping)) if isinstance(found, list) else ()
