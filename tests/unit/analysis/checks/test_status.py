from __future__ import annotations

from tests.builders.findings import texts
from tests.builders.meshobjects import istio


def test_negative_conditions() -> None:
    """A condition that is False is told of, whatever it is about; malformed status is passed over."""
    bad = {"type": "Accepted", "status": "False", "reason": "Invalid", "message": "no"}
    entry = {**istio("ServiceEntry", "e", {"hosts": ["a.b"]}), "status": {"conditions": [bad, {"type": "Ready", "status": "True"}, "x"]}}
    odd = [{**istio("ServiceEntry", name, {"hosts": ["a.b"]}), "status": status} for name, status in (("f", "x"), ("g", {"conditions": 1}))]
    assert texts("conditions.ConditionAnalyzer", entry, *odd) == ["A condition with a negative status is present: type=Accepted, reason=Invalid, message=no."]
