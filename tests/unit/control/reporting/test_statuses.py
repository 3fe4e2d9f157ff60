from __future__ import annotations

from typing import Any

from tests.builders.meshobjects import istio

from varka.analysis import catalog
from varka.control.reporting import statuses
from varka.control.reporting.statuses import Known
from varka.resources import conditions, parse
from varka.resources.validation import extensions

NOW, EARLIER = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"
SUBJECT = parse(istio("VirtualService", "v", {}))


def _conditions(known: Known, given: dict[str, Any] | None = None) -> list[tuple[str, str, str, str]]:
    status = statuses.of(known, given, NOW)
    assert status is not None
    return [(one["type"], one["status"], one["reason"], one["message"]) for one in status["conditions"]]


def test_nothing_to_say_is_not_written() -> None:
    """A resource that is in order, and has no status of ours, stays as it is; the status of others stays too."""
    assert statuses.of(Known(), None, NOW) is None
    assert statuses.of(Known(), {"conditions": [{"type": "Others", "status": "True"}]}, NOW) is None


def test_one_condition_a_subject() -> None:
    """Mistakes, doubts, fields without effect, references and analysis are told apart."""
    known = Known(
        found=(conditions.error("spec.a", "bad"), conditions.warning("spec.b", "odd")),
        unused=(conditions.info("spec.c", "accepted, but c is not acted on yet", "NotActedOn"),),
        references=(conditions.error("spec.d", "referenced gateway not found: 'x'", "ReferencedResourceNotFound"),),
        messages=(catalog.SCHEMA_WARNING.about(SUBJECT, "said", path="spec.e"),),
    )
    assert _conditions(known) == [
        ("Accepted", "False", "Invalid", "spec.a: bad"),
        ("Warning", "True", "Questionable", "spec.b: odd"),
        ("NotActedOn", "True", "NotActedOn", "spec.c: accepted, but c is not acted on yet"),
        ("ResolvedRefs", "False", "ReferencedResourceNotFound", "spec.d: referenced gateway not found: 'x'"),
        ("PassedAnalysis", "False", "SchemaWarning", "IST0133 spec.e: Schema validation warning: said"),
    ]


def test_what_holds_for_every_resource_of_a_kind_is_not_repeated() -> None:
    """Admission says it; the status has what is doubtful of this one, and what is only to be known."""
    general = conditions.warning("spec.configPatches", "prefer another API", extensions.ADMISSION_ONLY)
    assert statuses.of(Known(found=(general,)), None, NOW) is None
    known = Known(found=(general, conditions.info("spec.a", "the label stays as it is")))
    assert _conditions(known) == [("Warning", "True", "Note", "spec.a: the label stays as it is")]


def test_the_same_is_not_said_twice() -> None:
    """What `ResolvedRefs` has, the analysis leaves to it."""
    known = Known(
        references=(conditions.error("spec.d", "referenced gateway not found: 'x'", "ReferencedResourceNotFound"),),
        messages=(catalog.REFERENCED_RESOURCE_NOT_FOUND.about(SUBJECT, "gateway", "x"),),
    )
    assert [one[0] for one in _conditions(known)] == ["ResolvedRefs"]


def test_validation_messages_have_istios_codes() -> None:
    """Each code once, with its level and the page about it."""
    known = Known(found=(conditions.error("spec.a", "bad"), conditions.error("spec.b", "bad")), messages=(catalog.NAMESPACE_NOT_INJECTED.about(SUBJECT, "x"),))
    status = statuses.of(known, None, NOW)
    assert status is not None
    base = "https://istio.io/v1.28/docs/reference/config/analysis"
    assert status["validationMessages"] == [
        {"type": {"name": "SchemaValidationError", "code": "IST0106"}, "level": "ERROR", "documentationUrl": f"{base}/ist0106/"},
        {"type": {"name": "NamespaceNotInjected", "code": "IST0102"}, "level": "INFO", "documentationUrl": f"{base}/ist0102/"},
    ]


def test_time_is_that_of_the_change() -> None:
    """A condition that stays keeps its time, whatever it says; the very same status is not written again."""
    known = Known(found=(conditions.error("spec.a", "bad"),))
    first = statuses.of(known, None, EARLIER)
    assert first is not None and statuses.of(known, first, NOW) is None
    second = statuses.of(Known(found=(conditions.error("spec.b", "bad"),)), first, NOW)
    assert second is not None and second["conditions"][0]["lastTransitionTime"] == EARLIER


def test_what_is_mended_is_taken_back() -> None:
    """Conditions of others stay."""
    other = {"type": "Others", "status": "True"}
    given = {"conditions": [other, {"type": "Accepted", "status": "False"}], "validationMessages": []}
    assert statuses.of(Known(), given, NOW) == {"conditions": [other], "validationMessages": []}


def test_many_mistakes() -> None:
    """The first ten are named, each in at most a thousand letters."""
    known = Known(found=tuple(conditions.error(f"spec.a[{number}]", "x" * 2000) for number in range(1000)))
    ((_, _, _, message),) = _conditions(known)
    assert message.endswith("; and 990 more") and message.count("; ") == 10 and len(message) < 10_100
