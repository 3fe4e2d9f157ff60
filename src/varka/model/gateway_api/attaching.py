"""Which listeners a route attaches to, and for which host names: what the Gateway, the listener and the route agree on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from varka.model.discovery import hosts
from varka.model.gateway_api import statuses
from varka.model.gateway_api.listeners import Listener
from varka.model.gateway_api.statuses import Condition
from varka.resources import kubernetes, label_selectors
from varka.resources.gateway_api.gateways import LabelSelector
from varka.resources.gateway_api.routes import ParentReference
from varka.resources.parsing import Meta


class Attachment(Struct, frozen=True, kw_only=True):
    """A listener that takes a route, for these host names."""

    listener: Listener
    hostnames: tuple[str, ...]


class Joining(Struct, frozen=True, kw_only=True):
    """Who wants to attach."""

    kind: str
    meta: Meta
    hostnames: tuple[str, ...]


Labels = Mapping[str, Mapping[str, str]]
"""Labels by namespace."""


def attach(route: Joining, reference: ParentReference, offered: Sequence[Listener], labels: Labels) -> tuple[tuple[Attachment, ...], Condition]:
    """The listeners of one Gateway that take the route, and whether it is accepted there."""
    named = [
        one
        for one in offered
        if (not reference.section_name or one.name == reference.section_name) and (reference.port is None or one.written.port == reference.port)
    ]
    if not named:
        what = f"listener {reference.section_name!r}" if reference.section_name else f"listener on port {reference.port}"
        return (), statuses.refused("NoMatchingParent", f"the gateway has no {what}")
    allowed = [one for one in named if route.kind in one.kinds and _admits(one, route.meta.namespace, labels)]
    if not allowed:
        return (), statuses.refused("NotAllowedByListeners", f"no listener allows a {route.kind} of namespace {route.meta.namespace}")
    found = [Attachment(listener=one, hostnames=names) for one in allowed if (names := intersection(one.hostname, route.hostnames))]
    if not found:
        offered_names = ", ".join(sorted({one.hostname for one in allowed}))
        return (), statuses.refused("NoMatchingListenerHostname", f"none of the route's hostnames fits those of the listeners: {offered_names}")
    return tuple(found), statuses.accepted()


def intersection(offered: str, wanted: Iterable[str]) -> tuple[str, ...]:
    """The host names that a listener and a route have in common, the narrower of each pair; a route without any takes the listener's."""
    names = [name.lower() for name in wanted]
    if not names:
        return (offered,)
    found = []
    for name in names:
        if hosts.covers(offered, name):
            found.append(name)
        elif hosts.covers(name, offered):
            found.append(offered)
    return tuple(dict.fromkeys(found))


def _admits(listener: Listener, namespace: str, labels: Labels) -> bool:
    allowed = listener.written.allowed_routes
    rule = allowed.namespaces if allowed is not None else None
    if rule is None or rule.from_ == "Same":
        return namespace == listener.gateway.meta.namespace
    if rule.from_ == "Selector":
        return rule.selector is not None and _selected(rule.selector, labels.get(namespace, {}))
    return rule.from_ == "All"


def _selected(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    terms = tuple(kubernetes.LabelExpression(key=one.key, operator=one.operator, values=one.values) for one in selector.match_expressions)
    return label_selectors.matches(kubernetes.LabelSelector(match_labels=selector.match_labels, match_expressions=terms), labels)
