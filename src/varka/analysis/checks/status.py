"""Conditions in the status of resources that say that something is not as it should be."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog
from varka.analysis.context import Context
from varka.analysis.messages import Message

_KINDS = ("Service", "ServiceEntry", "AuthorizationPolicy")


def analyze(context: Context) -> Iterable[Message]:
    """Tell of every condition whose status is False."""
    for kind in _KINDS:
        for source in context.kinds.get(kind, ()):
            for one in context.conditions.get(source.ref, ()):
                if one.get("status") == "False":
                    yield catalog.NEGATIVE_CONDITION.about(source, one.get("type", ""), one.get("reason", ""), one.get("message", ""))
