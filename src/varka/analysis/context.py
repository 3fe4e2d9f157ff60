"""What analyzers look at: parsed resources by kind, and the snapshot that they make."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from varka import resources
from varka.model import inputs
from varka.model import snapshot as snapshots
from varka.model.routing import visibility
from varka.model.snapshot import Snapshot
from varka.resources import Meta, Parsed

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage", "istio-system"})
PROXY = "istio-proxy"
INJECTION, REVISION = "istio-injection", "istio.io/rev"
INJECT = "sidecar.istio.io/inject"
"""Label or annotation of a pod."""


class Read(NamedTuple):
    """A resource that could be read: its spec is there."""

    kind: str
    meta: Meta
    spec: Any


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Context:
    """All resources by kind, in order of namespace and name."""

    kinds: Mapping[str, tuple[Parsed[Any], ...]]
    snapshot: Snapshot

    @classmethod
    def of(cls, objects: Iterable[Mapping[str, Any]], snapshot: Snapshot | None = None) -> Context:
        """Parse objects; build their snapshot when there is none."""
        parsed = sorted((resources.parse(obj) for obj in objects), key=lambda item: (item.kind, item.meta.namespace, item.meta.name))
        kinds: dict[str, list[Parsed[Any]]] = {}
        for item in parsed:
            if item.group != "gateway.networking.k8s.io":
                kinds.setdefault(item.kind, []).append(item)
        return cls(kinds={kind: tuple(items) for kind, items in kinds.items()}, snapshot=snapshot or snapshots.build(inputs.of(parsed)))

    def all(self, kind: str) -> tuple[Read, ...]:
        """The resources of a kind that could be read."""
        return tuple(Read(item.kind, item.meta, item.spec) for item in self.kinds.get(kind, ()) if item.spec is not None)

    def sources(self, kind: str) -> tuple[Parsed[Any], ...]:
        """The same, as they were parsed."""
        return tuple(item for item in self.kinds.get(kind, ()) if item.spec is not None)

    def injected(self, namespace: str) -> bool:
        """Whether a namespace asks for proxies."""
        labels = next((item.meta.labels for item in self.all("Namespace") if item.meta.name == namespace), {})
        return labels.get(INJECTION) == "enabled" or bool(labels.get(REVISION))

    def pods(self, selector: Mapping[str, str], namespace: str | None = None) -> tuple[Read, ...]:
        """Pods that carry labels, in one namespace or in all; the templates of Deployments count, for files have no pods."""
        return tuple(
            pod
            for pod in (*self.all("Pod"), *self._templates())
            if (namespace is None or pod.meta.namespace == namespace) and visibility.selected(dict(selector), pod.meta.labels.items())
        )

    def _templates(self) -> Iterable[Read]:
        for item in self.all("Deployment"):
            labels = item.spec.spec.template.metadata.get("labels")
            given = {str(key): str(value) for key, value in labels.items()} if isinstance(labels, Mapping) else {}
            yield Read("Pod", Meta(name=item.meta.name, namespace=item.meta.namespace, labels=given), item.spec.spec.template)
