"""Namespaces without injection, and pods that should have a proxy and have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.analysis import messages
from varka.analysis.context import INJECT, INJECTION, PROXY, REVISION, SYSTEM_NAMESPACES, Context, Read
from varka.analysis.messages import Message


def analyze(context: Context) -> Iterable[Message]:
    """Check every namespace that is not the system's, and every pod in an injected one."""
    injected: dict[str, bool] = {}
    for namespace in context.all("Namespace"):
        name, labels = namespace.meta.name, namespace.meta.labels
        if name in SYSTEM_NAMESPACES:
            continue
        if INJECTION in labels and REVISION in labels and labels[INJECTION] == "enabled":
            yield messages.MULTIPLE_INJECTION_LABELS.about(namespace, messages.listed((INJECTION, REVISION)))
        if INJECTION not in labels and not labels.get(REVISION):
            yield messages.NAMESPACE_NOT_INJECTED.about(namespace, name)
        injected[name] = labels.get(INJECTION) == "enabled" or bool(labels.get(REVISION))
    for pod in context.all("Pod"):
        if injected.get(pod.meta.namespace) and _wants_proxy(pod) and not _has_proxy(pod):
            yield messages.POD_MISSING_PROXY.about(pod, pod.meta.name)


def _wants_proxy(pod: Read) -> bool:
    given: Mapping[str, str] = {**pod.meta.annotations, **pod.meta.labels}
    body = pod.spec
    ended = body is not None and body.status.phase in {"Succeeded", "Failed"}
    return given.get(INJECT, "true").lower() != "false" and not ended and not (body is not None and body.spec.host_network)


def _has_proxy(pod: Read) -> bool:
    body = pod.spec
    return body is not None and any(container.name == PROXY for container in (*body.spec.containers, *body.spec.init_containers))
