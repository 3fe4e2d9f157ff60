"""What is wrong with single resources, as messages."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import messages
from varka.analysis.context import Context
from varka.analysis.messages import Message
from varka.resources import Severity
from varka.resources.validation import validate


def validation(context: Context) -> Iterable[Message]:
    """Errors and warnings of every resource of Istio's kinds; rules that cannot be reached have a code of their own."""
    for items in context.kinds.values():
        for item in items:
            if not item.group.endswith("istio.io"):
                continue
            for found in validate(item):
                if found.severity is Severity.ERROR:
                    yield messages.SCHEMA_VALIDATION_ERROR.about(item, found.text, path=found.path)
                elif found.reason == "Unreachable":
                    yield messages.UNREACHABLE_RULE.about(item, found.path, found.message, path=found.path)
                elif found.severity is Severity.WARNING:
                    yield messages.SCHEMA_WARNING.about(item, found.text, path=found.path)
