"""Policies for workloads and namespaces that are not there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.analysis import catalog, messages
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message

_Labels = frozenset[tuple[str, str]]


def authorization(context: Context) -> Iterable[Message]:
    """Check that an AuthorizationPolicy applies to a pod with a proxy, and that the namespaces of its sources are there."""
    meshed = {namespace: [labels for pod, labels in group if context.in_mesh(pod)] for namespace, group in context.workloads.items()}
    for policy in context.all("AuthorizationPolicy"):
        if policy.spec.target_ref is None and not policy.spec.target_refs:
            labels = policy.spec.selector.match_labels if policy.spec.selector is not None else None
            yield from _selected(context, policy, labels, meshed)
        for path, name in _namespaces(policy):
            if not any(_matches(name, known) for known in context.namespaces):
                yield catalog.REFERENCED_RESOURCE_NOT_FOUND.about(policy, "namespace", name, path=path)


def _selected(context: Context, policy: Read, labels: Mapping[str, str] | None, meshed: Mapping[str, list[_Labels]]) -> Iterable[Message]:
    root = policy.meta.namespace == context.snapshot.mesh.root_namespace
    if root and labels is None:
        return
    groups = meshed.values() if root else [meshed.get(policy.meta.namespace, [])]
    wanted = (labels or {}).items()
    if not any(wanted <= carried for group in groups for carried in group):
        path = "spec.selector" if labels is not None else "metadata.name"
        yield catalog.NO_MATCHING_WORKLOADS.about(policy, messages.labels(labels or {}), path=path)


def _namespaces(policy: Read) -> Iterable[tuple[str, str]]:
    for index, rule in enumerate(policy.spec.rules):
        for number, source in enumerate(rule.from_):
            if source.source is None:
                continue
            for field, names in (("namespaces", source.source.namespaces), ("notNamespaces", source.source.not_namespaces)):
                for position, name in enumerate(names):
                    yield f"spec.rules[{index}].from[{number}].source.{field}[{position}]", name


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("*"):
        return name.endswith(pattern[1:])
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name.lower() == pattern.lower()


def authentication(context: Context) -> Iterable[Message]:
    """Check that the selector of a PeerAuthentication or RequestAuthentication picks a pod: of the namespace, or of any for one in the root namespace."""
    for kind in ("PeerAuthentication", "RequestAuthentication"):
        for policy in context.all(kind):
            labels = policy.spec.selector.match_labels if policy.spec.selector is not None else {}
            where = None if policy.meta.namespace == context.snapshot.mesh.root_namespace else policy.meta.namespace
            if labels and not context.pods(labels, where):
                yield catalog.NO_MATCHING_WORKLOADS.about(policy, messages.labels(labels), path="spec.selector")
