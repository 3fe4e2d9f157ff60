"""Namespaces without injection, and pods that should have a proxy and have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.analysis import catalog, messages
from varka.analysis.checks import images
from varka.analysis.context import INJECT, INJECTION, PROXY, REVISION, SYSTEM_NAMESPACES, Context, Read
from varka.analysis.messages import Message

_DATAPLANE = "istio.io/dataplane-mode"
_REDIRECTED = "ambient.istio.io/redirection"


def analyze(context: Context) -> Iterable[Message]:
    """Check every namespace that is not the system's, and every pod in an injected one."""
    values = images.values(context)
    injected: set[str] = set()
    for namespace in context.all("Namespace"):
        name, labels = namespace.meta.name, namespace.meta.labels
        if name in SYSTEM_NAMESPACES or labels.get(_DATAPLANE) == "ambient":
            continue
        if not labels.get(INJECTION) and REVISION not in labels:
            webhook = values.get(images.CONFIG_MAP, {}).get("sidecarInjectorWebhook")
            if isinstance(webhook, Mapping) and webhook.get("enableNamespacesByDefault") is True:
                yield catalog.INJECTED_BY_DEFAULT.about(namespace)
            else:
                yield catalog.NAMESPACE_NOT_INJECTED.about(namespace, name, path="metadata.name")
        elif REVISION in labels and labels.get(INJECTION):
            yield catalog.MULTIPLE_INJECTION_LABELS.about(namespace, messages.listed((INJECTION, REVISION)), path="metadata.name")
        elif REVISION in labels or labels[INJECTION] == "enabled":
            injected.add(name)
    for pod in context.all("Pod"):
        if pod.meta.namespace in injected and _wants_proxy(pod) and not _has_proxy(pod):
            yield catalog.POD_MISSING_PROXY.about(pod, pod.meta.key)


def _wants_proxy(pod: Read) -> bool:
    given: Mapping[str, str] = {**pod.meta.annotations, **pod.meta.labels}
    ended = pod.spec.status.phase in {"Succeeded", "Failed"}
    ambient = pod.meta.annotations.get(_REDIRECTED) == "enabled"
    return given.get(INJECT, "true").lower() != "false" and not ended and not ambient and not pod.spec.spec.host_network


def _has_proxy(pod: Read) -> bool:
    spec = pod.spec.spec
    return any(container.name == PROXY for container in (*spec.containers, *spec.init_containers))
