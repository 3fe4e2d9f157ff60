"""Whether a pod gets a proxy at all."""

from __future__ import annotations

from collections.abc import Mapping

from varka.client.api import Object
from varka.control.injection.options import Options, annotations_of, labels_of

SYSTEM_NAMESPACES = frozenset({"kube-system", "kube-public", "kube-node-lease", "local-path-storage"})
INJECT = "sidecar.istio.io/inject"
STATUS = "sidecar.istio.io/status"
REVISION = "istio.io/rev"
INJECTION = "istio-injection"
_YES = frozenset({"y", "yes", "true", "on"})


def required(pod: Object, namespace: str, namespace_labels: Mapping[str, str] | None, options: Options) -> bool:
    """The pod is to be injected. `namespace_labels` None: the caller has already decided about the namespace."""
    spec = pod.get("spec") or {}
    if spec.get("hostNetwork") or namespace in SYSTEM_NAMESPACES:
        return False
    if namespace_labels is not None and not _namespace_allows(pod, namespace_labels, options.revision):
        return False
    wish = str(labels_of(pod).get(INJECT, annotations_of(pod).get(INJECT, ""))).lower()
    if wish:
        return wish in _YES
    return _by_selectors(pod, options)


def _by_selectors(pod: Object, options: Options) -> bool:
    """What the installation says about pods that do not say it themselves."""
    labels = labels_of(pod)
    for name, answer in (("neverInjectSelector", False), ("alwaysInjectSelector", True)):
        for selector in options.setting("sidecarInjectorWebhook", name, default=[]) or []:
            if selects(selector, labels):
                return answer
    return bool(options.proxy_setting("autoInject", "enabled") != "disabled")


def _namespace_allows(pod: Object, namespace_labels: Mapping[str, str], revision: str) -> bool:
    """The same decision that the webhook's selectors make."""
    injection, wanted = namespace_labels.get(INJECTION), namespace_labels.get(REVISION)
    labels = labels_of(pod)
    if labels.get(INJECT) == "false":
        return False
    if injection is not None:
        return injection == "enabled" and revision == "default"
    if wanted is not None:
        return wanted == revision
    if labels.get(REVISION) is not None:
        return labels[REVISION] == revision
    return revision == "default" and labels.get(INJECT) == "true"


def selects(selector: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    """A Kubernetes label selector; an empty one selects nothing here, so that a slip does not inject everything."""
    exact, terms = selector.get("matchLabels") or {}, selector.get("matchExpressions") or []
    if not exact and not terms:
        return False
    if isinstance(exact, Mapping) and any(labels.get(str(key)) != value for key, value in exact.items()):
        return False
    return all(_holds(term, labels) for term in terms) if isinstance(terms, list) else True


def _holds(term: Mapping[str, object], labels: Mapping[str, str]) -> bool:
    value = labels.get(str(term.get("key")))
    values = term.get("values") or []
    listed = isinstance(values, list) and value in values
    match term.get("operator"):
        case "In":
            return listed
        case "NotIn":
            return not listed
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
    return False
