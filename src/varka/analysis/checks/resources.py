"""What is wrong with single resources, as messages."""

from __future__ import annotations

from collections.abc import Iterable

from varka.analysis import catalog
from varka.analysis.context import Context
from varka.analysis.messages import Message
from varka.resources import Parsed, Severity
from varka.resources.traffic import virtual_services as written
from varka.resources.validation import reachability, validate


def validation(context: Context, kind: str = "") -> Iterable[Message]:
    """Errors and warnings of every resource of Istio's kinds, or of one kind; rules that cannot be reached have codes of their own."""
    for items in context.kinds.values() if not kind else [context.kinds.get(kind, ())]:
        for item in items:
            if not item.group.endswith("istio.io"):
                continue
            for found in validate(item):
                if found.severity is Severity.ERROR:
                    yield catalog.SCHEMA_VALIDATION_ERROR.about(item, found.text, path=found.path)
                elif found.severity is Severity.WARNING and found.reason != reachability.REASON:
                    yield catalog.SCHEMA_WARNING.about(item, found.text, path=found.path)
            if isinstance(item.spec, written.VirtualService):
                yield from _unreached(item, item.spec)


def _unreached(item: Parsed[written.VirtualService], spec: written.VirtualService) -> Iterable[Message]:
    for found in reachability.unreached(spec):
        if found.duplicate:
            yield catalog.INEFFECTIVE_MATCH.about(item, found.rule, found.match, found.duplicate, path=found.path)
        else:
            yield catalog.UNREACHABLE_RULE.about(item, found.rule, found.reason, path=found.path)
