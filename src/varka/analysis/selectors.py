"""Policies that select no workload."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import messages
from varka.analysis.context import Context
from varka.analysis.messages import Message

_KINDS = ("AuthorizationPolicy", "PeerAuthentication", "RequestAuthentication")


def analyze(context: Context) -> Iterable[Message]:
    """Check that a selector picks at least one pod: of the namespace, or anywhere for one in the root namespace."""
    root = context.snapshot.mesh.root_namespace
    for kind in _KINDS:
        for policy in context.all(kind):
            labels = policy.spec.selector.match_labels if policy.spec.selector is not None else {}
            where = None if policy.meta.namespace == root else policy.meta.namespace
            if labels and not context.pods(labels, where):
                yield messages.NO_MATCHING_WORKLOADS.about(policy, messages.labels(labels), path="spec.selector")
