"""Which proxies a resource is for: by labels, or by references to the gateway that they implement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from varka.model.routing import visibility
from varka.resources.selection import TargetReference

GATEWAY_API = "gateway.networking.k8s.io"
GATEWAY_NAME = f"{GATEWAY_API}/gateway-name"
GATEWAY_CLASS = f"{GATEWAY_API}/gateway-class-name"


class Attachment(Struct, frozen=True, kw_only=True):
    """Labels, or references; with neither, every proxy of the namespace (of the mesh, from the root namespace)."""

    labels: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[tuple[str, str, str], ...] = ()
    """Group, kind and name."""

    def selects(self, labels: Mapping[str, str], namespace: str, own: str, root: str) -> bool:
        """Whether a resource of the namespace `own` is for a workload with these labels in `namespace`."""
        if not self.targets:
            return visibility.selected(dict(self.labels), labels.items())
        return any(_refers(target, labels, namespace, own, root) for target in self.targets)


def _refers(target: tuple[str, str, str], labels: Mapping[str, str], namespace: str, own: str, root: str) -> bool:
    group, kind, name = target
    if group != GATEWAY_API:
        return False
    if kind == "Gateway":
        return namespace == own and labels.get(GATEWAY_NAME) == name
    return kind == "GatewayClass" and own == root and labels.get(GATEWAY_CLASS) == name


def of(labels: Mapping[str, str] | None, references: Iterable[TargetReference]) -> Attachment:
    """From what a resource says."""
    return Attachment(labels=dict(labels or {}), targets=tuple((item.group, item.kind, item.name) for item in references))
