"""Which admission webhooks a request concerns: rules, selectors and match policy of the webhook configurations."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from varka.client.api import Object
from varka.cluster.apiserver import selectors
from varka.cluster.apiserver.registry import Registry, ResourceInfo
from varka.cluster.apiserver.request import Attributes

EXEMPT = frozenset(("mutatingwebhookconfigurations", "validatingwebhookconfigurations"))
"""Resources that no webhook may stand in front of, or a broken one could not be repaired."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """One webhook of a configuration; `spec` is its JSON."""

    configuration: str
    spec: Object
    mutating: bool

    @property
    def name(self) -> str:
        return str(self.spec["name"])

    @property
    def fails_closed(self) -> bool:
        """Whether a request is refused when the webhook cannot be asked."""
        return bool((self.spec.get("failurePolicy") or "Fail") == "Fail")

    @property
    def timeout(self) -> int:
        """Seconds to wait for the answer."""
        return int(self.spec.get("timeoutSeconds") or 10)

    @property
    def has_side_effects(self) -> bool:
        """Whether it must not be asked about a dry run."""
        return self.spec.get("sideEffects") not in ("None", "NoneOnDryRun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A webhook to ask, and the version of the resource that it wants to see."""

    webhook: Webhook
    info: ResourceInfo


def in_order(configurations: Iterable[Object], *, mutating: bool) -> list[Webhook]:
    """All webhooks in the order in which they are asked: by configuration's name, then as listed."""
    return [
        Webhook(configuration=configuration["metadata"]["name"], spec=spec, mutating=mutating)
        for configuration in sorted(configurations, key=lambda obj: str(obj["metadata"]["name"]))
        for spec in configuration.get("webhooks") or ()
    ]


def concerning(webhook: Webhook, attributes: Attributes, operation: str, registry: Registry) -> Call | None:
    """The call that the webhook's rules ask for, or None. Selectors are not looked at."""
    if attributes.group == "admissionregistration.k8s.io" and attributes.resource in EXEMPT:
        return None
    info = attributes.info or registry.find(attributes.group, attributes.version, attributes.resource)
    if info is None:
        return None
    rules = webhook.spec.get("rules") or ()
    if any(_matches(rule, attributes, operation, info) for rule in rules):
        return Call(webhook=webhook, info=info)
    if (webhook.spec.get("matchPolicy") or "Equivalent") == "Equivalent":
        for version in registry.versions(attributes.group):
            other = registry.find(attributes.group, version, attributes.resource)
            if other is not None and version != attributes.version and any(_matches(rule, attributes, operation, other) for rule in rules):
                return Call(webhook=webhook, info=other)
    return None


def selected(webhook: Webhook, attributes: Attributes, namespace_labels: dict[str, str] | None, objects: Iterable[Object | None]) -> bool:
    """Whether namespaceSelector and objectSelector let the request through.

    `namespace_labels` is None for a cluster-scoped object, which no namespaceSelector shuts out; one of `objects`
    (the new and the old state) must match the objectSelector.
    """
    namespace_selector = webhook.spec.get("namespaceSelector")
    if namespace_selector and namespace_labels is not None and not selectors.from_label_selector(namespace_selector)(namespace_labels):
        return False
    object_selector = webhook.spec.get("objectSelector")
    if not object_selector:
        return True
    matches = selectors.from_label_selector(object_selector)
    return any(matches((obj.get("metadata") or {}).get("labels") or {}) for obj in objects if obj is not None)


def _matches(rule: Object, attributes: Attributes, operation: str, info: ResourceInfo) -> bool:
    def has(field: str, word: str) -> bool:
        return any(each in ("*", word) for each in rule.get(field) or ())

    if not (has("operations", operation) and has("apiGroups", info.group) and has("apiVersions", info.version)):
        return False
    scope = rule.get("scope") or "*"
    # a Namespace itself counts as cluster-scoped although requests for it carry its name as namespace
    if scope == "Namespaced" and not info.namespaced:
        return False
    if scope == "Cluster" and info.namespaced:
        return False
    return any(_resource_matches(pattern, attributes.resource, attributes.subresource) for pattern in rule.get("resources") or ())


def _resource_matches(pattern: str, resource: str, subresource: str) -> bool:
    wanted_resource, _, wanted_subresource = pattern.partition("/")
    return wanted_resource in ("*", resource) and wanted_subresource in ({"*", subresource} if "/" in pattern else {subresource})
