"""Sidecars and Telemetry that select the same pods as another one, or no pod at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from varka.analysis import catalog, messages
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message, Type


def sidecars(context: Context) -> Iterable[Message]:
    """Check the selectors of Sidecars."""
    chosen = [(item, item.spec.workload_selector.labels if item.spec.workload_selector is not None else None) for item in context.all("Sidecar")]
    yield from _pods(context, chosen, catalog.CONFLICTING_SIDECARS, "spec.workloadSelector.labels")


def default_sidecars(context: Context) -> Iterable[Message]:
    """Check that a namespace has one Sidecar for all of its pods at most."""
    yield from _alone([item for item in context.all("Sidecar") if item.spec.workload_selector is None], catalog.MULTIPLE_SIDECARS)


def telemetries(context: Context) -> Iterable[Message]:
    """Check the selectors of Telemetry."""
    chosen = [(item, item.spec.selector.match_labels if item.spec.selector is not None else None) for item in context.all("Telemetry")]
    yield from _pods(context, chosen, catalog.CONFLICTING_TELEMETRIES, "spec.selector.matchLabels")


def default_telemetries(context: Context) -> Iterable[Message]:
    """Check that a namespace has one Telemetry for all of its pods at most."""
    general = [item for item in context.all("Telemetry") if item.spec.selector is None and not _targeted(item.spec)]
    yield from _alone(general, catalog.MULTIPLE_TELEMETRIES)


def _targeted(spec: Any) -> bool:
    return spec.target_ref is not None or bool(spec.target_refs)


def _pods(context: Context, chosen: Iterable[tuple[Read, Mapping[str, str] | None]], conflict: Type, path: str) -> Iterable[Message]:
    by_pod: dict[tuple[str, str], list[Read]] = {}
    for item, labels in chosen:
        if not labels:
            continue
        pods = context.pods(labels, item.meta.namespace)
        if not pods:
            yield catalog.REFERENCED_RESOURCE_NOT_FOUND.about(item, "selector", messages.labels(labels), path=path)
        for pod in pods:
            by_pod.setdefault((pod.meta.namespace, pod.meta.name), []).append(item)
    for (namespace, name), items in sorted(by_pod.items()):
        if len(items) > 1:
            names = messages.listed(sorted(item.meta.name for item in items))
            for item in items:
                yield conflict.about(item, names, namespace, name, path="metadata.name")


def _alone(items: Iterable[Read], conflict: Type) -> Iterable[Message]:
    by_namespace: dict[str, list[Read]] = {}
    for item in items:
        by_namespace.setdefault(item.meta.namespace, []).append(item)
    for namespace, found in sorted(by_namespace.items()):
        if len(found) > 1:
            names = messages.listed(sorted(item.meta.name for item in found))
            for item in found:
                yield conflict.about(item, names, namespace, path="metadata.name")
