"""The injector against upstream's own cases: the fields that decide what runs, not the bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from varka.control.injection import workloads
from varka.control.injection.options import Options

FOLDER = Path(__file__).parents[3] / "shared" / "conformance" / "injection"
pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not FOLDER.is_dir(), reason="the folder ../shared/conformance is not here")]
VALUES = {
    "global": {
        "hub": "gcr.io/istio-testing",
        "tag": "latest",
        "proxy": {"resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "2000m", "memory": "1024Mi"}}},
    }
}
LEFT_OUT: dict[str, str] = {}


def cases() -> list[Any]:
    """All cases, none where the folder is absent."""
    if not FOLDER.is_dir():
        return []
    return [pytest.param(case, id=case["want"]) for case in yaml.safe_load((FOLDER / "cases.yaml").read_text())["cases"]]


def simple(value: Any, path: tuple[str, ...] = ()) -> Any:
    """Two ways to write the same become one: quantities, JSON in strings, absent and empty."""
    if isinstance(value, dict):
        if "name" in value and path[-1:] == ("volumes",) and len(value) == 1:
            return {"name": value["name"], "emptyDir": {}}
        found = {
            key: simple(one, (*path, key))
            for key, one in value.items()
            if key not in ("creationTimestamp", "status", "strategy", "updateStrategy", "minReadySeconds", "paused", "test")
        }
        return {key: one for key, one in found.items() if one not in (None, {}, []) or key == "emptyDir"}
    if isinstance(value, list):
        items = [simple(one, path) for one in value]
        return (
            sorted(items, key=lambda one: str(one.get("name")) if isinstance(one, dict) else str(one))
            if path[-1:] in {("env",), ("volumeMounts",), ("volumes",)}
            else items
        )
    if isinstance(value, str):
        if value.strip()[:1] in "{[" and value.strip():
            try:
                return json.loads(value)
            except ValueError:
                return value
        return {"2000m": "2", "1024Mi": "1Gi", "1000m": "1"}.get(value, value)
    return value


def differences(want: Any, got: Any, path: str = "") -> list[str]:
    """One line for each field that differs."""
    if isinstance(want, dict) and isinstance(got, dict):
        return [line for key in sorted({*want, *got}) for line in differences(want.get(key), got.get(key), f"{path}.{key}")]
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        return [line for number, (one, other) in enumerate(zip(want, got, strict=True)) for line in differences(one, other, f"{path}[{number}]")]
    return [] if want == got else [f"{path}: want {want!r}, got {got!r}"]


@pytest.mark.parametrize("case", cases())
def test_injection(case: dict[str, Any]) -> None:
    """The injected workload is what upstream's injector makes of it."""
    if case["want"] in LEFT_OUT:
        pytest.skip(LEFT_OUT[case["want"]])
    options = Options(mesh=case.get("mesh_config") or {}, values=VALUES, native_sidecars=True)
    inputs = list(yaml.safe_load_all((FOLDER / "testdata" / case["in"]).read_text()))
    wants = list(yaml.safe_load_all((FOLDER / "testdata" / case["want"]).read_text()))
    got = [workloads.inject(obj, options) for obj in inputs if obj]
    found = differences([simple(obj) for obj in wants if obj], [simple(obj) for obj in got])
    assert not found, "\n".join(found)
