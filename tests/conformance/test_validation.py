"""Verdicts on resources, as the control plane of reference gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from varka.resources import Severity, parse, validation

CASES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "validation"
UNSUPPORTED = yaml.safe_load((Path(__file__).parent / "unsupported_validation.yaml").read_text()) or {}

pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not CASES.is_dir(), reason="the conformance cases are not there")]


def _cases() -> list[Any]:
    found = []
    for path in sorted(CASES.glob("*.yaml")):
        for case in yaml.safe_load(path.read_text())["cases"]:
            name = f"{path.stem}: {case['name']}"
            marks = [pytest.mark.xfail(reason=UNSUPPORTED[name], strict=True)] if name in UNSUPPORTED else []
            found.append(pytest.param(case, id=name, marks=marks))
    return found


@pytest.mark.parametrize("case", _cases())
def test_verdict(case: dict[str, Any]) -> None:
    """A resource is valid or not, and warned about or not, as expected."""
    found = validation.validate(parse(case["resource"]))
    errors = [item.text for item in found if item.severity is Severity.ERROR]
    warnings = [item.text for item in found if item.severity is Severity.WARNING]
    expect = case["expect"]
    assert (not errors) == expect["valid"], errors
    if "warning" in expect:
        assert bool(warnings) == expect["warning"], warnings
    if "error_contains" in expect:
        assert any(expect["error_contains"] in text for text in errors), errors
    if "warning_contains" in expect:
        assert any(expect["warning_contains"] in text for text in warnings), warnings
