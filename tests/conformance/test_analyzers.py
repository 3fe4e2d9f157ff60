"""Messages of the analyzers, as the reference gives them; only cases of analyzers that exist here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from varka.analysis import analyzers

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "analyzers"
UNSUPPORTED = yaml.safe_load((Path(__file__).parent / "unsupported_analyzers.yaml").read_text()) or {}

pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not FOLDER.is_dir(), reason="the conformance cases are not there")]


def _cases() -> list[Any]:
    if not FOLDER.is_dir():
        return []
    found = []
    for case in yaml.safe_load((FOLDER / "cases.yaml").read_text())["cases"]:
        reason = UNSUPPORTED.get(case["id"]) or ("" if case["analyzer"] in analyzers.ANALYZERS else f"there is no {case['analyzer']} yet")
        found.append(pytest.param(case, id=case["id"], marks=[pytest.mark.xfail(reason=reason, strict=True)] if reason else []))
    return found


def _load(name: str) -> list[dict[str, Any]]:
    text = (FOLDER / name).read_text()
    return [item for item in yaml.load_all(text, Loader=yaml.CSafeLoader) if isinstance(item, dict)]


@pytest.mark.parametrize("case", _cases())
def test_messages(case: dict[str, Any]) -> None:
    """One analyzer yields exactly the expected codes for the expected resources."""
    objects = [item for name in case["input_files"] for item in _load(name)]
    found = analyzers.analyze(objects, only=case["analyzer"])
    assert sorted((item.code, item.level.title, item.resource) for item in found) == sorted(
        (item["code"], item["level"], item["resource"]) for item in case["expected"]
    )
