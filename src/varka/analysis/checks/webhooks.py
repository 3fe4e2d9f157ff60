"""Webhooks of Istio's: two that take the same pods, one whose control plane is not there, one that leads out of the cluster to nowhere."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from itertools import product
from urllib.parse import urlsplit

from varka.analysis import catalog, messages
from varka.analysis.context import INJECT, INJECTION, REVISION, Context, Read
from varka.analysis.messages import Message
from varka.resources import kubernetes, label_selectors

_MUTATING, _VALIDATING = "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"
_Labels = Mapping[str, str]


def injectors(context: Context) -> Iterable[Message]:
    """Check that no pod would be injected twice, and that each injector's Service is there."""
    configurations = [item for item in context.all(_MUTATING) if _revisions(item) or any(one.name.endswith("istio.io") for one in item.spec.webhooks)]
    revisions = sorted({revision for item in configurations for revision in _revisions(item)})
    namespaces = _labels(INJECTION, ("enabled", "disabled"), revisions)
    pods = _labels(INJECT, ("true", "false"), revisions)
    for namespace, pod in product(namespaces, pods):
        taking = [(item, webhook.name) for item in configurations for webhook in item.spec.webhooks if _takes(webhook, namespace, pod)]
        if len(taking) > 1:
            for item, name in taking:
                others = sorted(f"{other.meta.name}/{theirs}" for other, theirs in taking if (other.meta.name, theirs) != (item.meta.name, name))
                yield catalog.INVALID_WEBHOOK.about(item, f"Webhook overlaps with others: {messages.listed(others)}. This may cause injection to occur twice.")
    services = {item.meta.key for item in context.all("Service")}
    for item in configurations:
        for index, webhook in enumerate(item.spec.webhooks):
            service = webhook.client_config.service
            if service is not None and f"{service.namespace}/{service.name}" not in services:
                text = f"Injector refers to a control plane service that does not exist: {service.namespace}/{service.name}."
                yield catalog.INVALID_WEBHOOK.about(item, text, path=f"webhooks[{index}].clientConfig.service.name")


def _labels(key: str, values: Iterable[str], revisions: Iterable[str]) -> list[_Labels]:
    """Every combination of the labels by which injection is asked for and refused."""
    base: list[_Labels] = [{}, *({key: value} for value in values)]
    return [*base, *({**labels, REVISION: revision} for revision in revisions for labels in base)]


def _takes(webhook: kubernetes.Webhook, namespace: _Labels, pod: _Labels) -> bool:
    return label_selectors.matches(webhook.namespace_selector, namespace) and label_selectors.matches(webhook.object_selector, pod)


def _revisions(item: Read) -> set[str]:
    found = {item.meta.labels[REVISION]} if REVISION in item.meta.labels else set()
    for webhook in item.spec.webhooks:
        for selector in (webhook.namespace_selector, webhook.object_selector):
            if selector is not None:
                found.update(value for key, value in selector.match_labels.items() if key == REVISION)
                found.update(value for term in selector.match_expressions if term.key == REVISION for value in term.values)
    return found


def external(context: Context) -> Iterable[Message]:
    """Check the addresses by which webhooks reach a control plane outside of the cluster."""
    for item in context.all(_VALIDATING):
        if item.meta.name == "istiod-default-validator" or item.meta.name.startswith("istio-validator"):
            yield from _addresses(context, item)
    for item in context.all(_MUTATING):
        if item.meta.name.startswith("istio-sidecar-injector"):
            yield from _addresses(context, item)


def _addresses(context: Context, item: Read) -> Iterable[Message]:
    for index, webhook in enumerate(item.spec.webhooks):
        url, path = webhook.client_config.url, f"webhooks[{index}].clientConfig.url"
        if url is None:
            if webhook.client_config.service is None:
                yield catalog.INVALID_EXTERNAL_CONTROL_PLANE.about(item, "", webhook.name, "is blank", path=path)
            continue
        host = _host(url)
        if host is None:
            yield catalog.INVALID_EXTERNAL_CONTROL_PLANE.about(item, url, webhook.name, "was provided in an invalid format", path=path)
        elif _is_ip(host):
            yield catalog.EXTERNAL_ADDRESS_IS_NO_NAME.about(item, url, webhook.name, path=path)
        elif host in context.surroundings.unresolved:
            yield catalog.INVALID_EXTERNAL_CONTROL_PLANE.about(item, url, webhook.name, "cannot be resolved via a DNS lookup", path=path)


def _host(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
