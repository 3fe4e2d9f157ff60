"""What is known of a resource, as the `status` that people and programs read: conditions, and Istio's `validationMessages`.

Everything is bounded: a resource with a thousand mistakes names the first few and how many more there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from varka.analysis.messages import Level, Message
from varka.client.api import Object
from varka.resources.conditions import Condition, Severity
from varka.resources.validation import extensions

ACCEPTED, WARNING, UNUSED, RESOLVED, PASSED = "Accepted", "Warning", "NotActedOn", "ResolvedRefs", "PassedAnalysis"
OWN = frozenset({ACCEPTED, WARNING, UNUSED, RESOLVED, PASSED})
"""The types of conditions that are ours."""
MOST_TEXTS, MOST_MESSAGES, LONGEST = 10, 50, 1000
DOCUMENTATION = "https://istio.io/v1.28/docs/reference/config/analysis"
_REFERRING = frozenset({"IST0101", "IST0174"})
"""Messages about what is not there, which `ResolvedRefs` has already for the kinds whose references the model follows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of one resource."""

    found: tuple[Condition, ...] = ()
    """Of reading, of validation, and of the stages that acted on it."""
    unused: tuple[Condition, ...] = ()
    """Fields that nothing acts on."""
    references: tuple[Condition, ...] = ()
    """Of what it refers to."""
    messages: tuple[Message, ...] = ()
    """Of analyzers."""


def of(known: Known, given: Object | None, now: str) -> Object | None:
    """The status to write instead of the given one; None when that says it already. A condition keeps its time for as long as its status stays."""
    old = given or {}
    known = replace(known, found=tuple(one for one in known.found if one.reason != extensions.ADMISSION_ONLY))
    before = {one.get("type"): one for one in old.get("conditions") or () if isinstance(one, dict)}
    wanted = _conditions(known)
    for one in wanted:
        last = before.get(one["type"], {})
        one["lastTransitionTime"] = last["lastTransitionTime"] if last.get("status") == one["status"] and last.get("lastTransitionTime") else now
    listed = _validation_messages(known)
    kept = [one for name, one in before.items() if name not in OWN]
    if [one for one in before.values() if one.get("type") in OWN] == wanted and list(old.get("validationMessages") or ()) == listed:
        return None
    return {"conditions": [*kept, *wanted], "validationMessages": listed}


def _conditions(known: Known) -> list[Object]:
    errors = _severe(known.found, Severity.ERROR)
    warnings = [*_severe(known.found, Severity.WARNING), *_severe(known.found, Severity.INFO)]
    broken = [*_severe(known.references, Severity.ERROR), *_severe(known.references, Severity.WARNING)]
    said = [one for one in known.messages if one.level >= Level.WARNING and not (broken and one.code in _REFERRING)]
    result: list[Object] = []
    if errors:
        result.append(_condition(ACCEPTED, "False", errors[0].reason, [one.text for one in errors]))
    if warnings:
        result.append(_condition(WARNING, "True", warnings[0].reason, [one.text for one in warnings]))
    if known.unused:
        result.append(_condition(UNUSED, "True", known.unused[0].reason, [one.text for one in known.unused]))
    if broken:
        result.append(_condition(RESOLVED, "False", broken[0].reason, [one.text for one in broken]))
    if said:
        result.append(
            _condition(PASSED, "False", said[0].type, [f"{one.code} {one.path}: {one.text}" if one.path else f"{one.code} {one.text}" for one in said])
        )
    return result


def _severe(found: Iterable[Condition], severity: Severity) -> list[Condition]:
    return [one for one in found if one.severity is severity]


def _condition(kind: str, status: str, reason: str, texts: Sequence[str]) -> Object:
    shown = [text if len(text) <= LONGEST else text[: LONGEST - 1] + "…" for text in texts[:MOST_TEXTS]]
    if len(texts) > MOST_TEXTS:
        shown.append(f"and {len(texts) - MOST_TEXTS} more")
    return {"type": kind, "status": status, "reason": reason, "message": "; ".join(shown)}


def _validation_messages(known: Known) -> list[Object]:
    """Codes and levels; texts stand in the conditions, since Istio's form has no place for them."""
    codes = {Severity.ERROR: ("SchemaValidationError", "IST0106", "ERROR"), Severity.WARNING: ("SchemaWarning", "IST0133", "WARNING")}
    found = [codes[one.severity] for one in known.found if one.severity in codes]
    found += [(one.type, one.code, one.level.name) for one in known.messages]
    return [
        {"type": {"name": name, "code": code}, "level": level, "documentationUrl": f"{DOCUMENTATION}/{code.lower()}/"}
        for name, code, level in list(dict.fromkeys(found))[:MOST_MESSAGES]
    ]
