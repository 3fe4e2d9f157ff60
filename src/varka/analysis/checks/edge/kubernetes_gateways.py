"""Policies that try to select the proxies of a Gateway of the Kubernetes Gateway API by labels: those want a targetRef."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog
from varka.analysis.context import Context
from varka.analysis.messages import Message

_KINDS = ("AuthorizationPolicy", "RequestAuthentication", "Telemetry", "WasmPlugin")
_NAME = "gateway.networking.k8s.io/gateway-name"


def analyze(context: Context) -> Iterable[Message]:
    """Check the selectors of all kinds that know targetRefs."""
    for kind in _KINDS:
        for item in context.all(kind):
            spec = item.spec
            if spec.selector is None or spec.target_ref is not None or spec.target_refs:
                continue
            names = {pod.meta.labels[_NAME] for pod in context.pods(spec.selector.match_labels, item.meta.namespace) if _NAME in pod.meta.labels}
            for name in sorted(names):
                yield catalog.INEFFECTIVE_SELECTOR.about(item, name, path="spec.selector")
