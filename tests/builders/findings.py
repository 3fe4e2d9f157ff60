"""What one analyzer says of plain objects, in short."""

from __future__ import annotations

from typing import Any

from varka.analysis import analyzers
from varka.analysis.context import Surroundings


def found(only: str, *objects: dict[str, Any], **around: Any) -> list[str]:
    """Each message as `CODE Kind namespace/name`."""
    return [f"{item.code} {item.resource}" for item in analyzers.analyze(objects, only, Surroundings(**around))]


def texts(only: str, *objects: dict[str, Any], **around: Any) -> list[str]:
    """The words of each message."""
    return [item.text for item in analyzers.analyze(objects, only, Surroundings(**around))]


def paths(only: str, *objects: dict[str, Any], **around: Any) -> list[str]:
    """The field that each message is about."""
    return [item.path for item in analyzers.analyze(objects, only, Surroundings(**around))]


def kubernetes(kind: str, name: str, spec: dict[str, Any] | None = None, namespace: str = "default", version: str = "v1", **meta: Any) -> dict[str, Any]:
    """An object of a kind of Kubernetes' own."""
    where = {"namespace": namespace} if namespace else {}
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, **where, **meta}, **({"spec": spec} if spec is not None else {})}


def namespace(name: str = "default", **labels: str) -> dict[str, Any]:
    """A Namespace; `_` in a label's name stands for `-`."""
    return kubernetes("Namespace", name, namespace="", labels={key.replace("_", "-"): value for key, value in labels.items()})
