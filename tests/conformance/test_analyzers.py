"""Messages of the analyzers, as the reference gives them.

The cases name files for the mesh's configuration and for a second cluster that do not come with them; files of the same
names under `inputs` stand in for those, written after what the cases say of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from varka.analysis import analyzers, defaults
from varka.analysis.context import Surroundings
from varka.cli.istioctl.analyzing import files

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "analyzers"
STAND_INS = Path(__file__).parent / "inputs"
UNSUPPORTED = yaml.safe_load((Path(__file__).parent / "unsupported_analyzers.yaml").read_text()) or {}
NOW = 1_760_000_000.0

pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not FOLDER.is_dir(), reason="the conformance cases are not there")]


def _cases() -> list[Any]:
    if not FOLDER.is_dir():
        return []
    found = []
    for case in yaml.safe_load((FOLDER / "cases.yaml").read_text())["cases"]:
        reason = UNSUPPORTED.get(case["id"])
        found.append(pytest.param(case, id=case["id"], marks=[pytest.mark.xfail(reason=reason, strict=True)] if reason else []))
    return found


def _load(name: str) -> list[dict[str, Any]]:
    path = FOLDER / name if (FOLDER / name).exists() else STAND_INS / name
    return [item for item in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if isinstance(item, dict)]


def _settings(name: str | None) -> dict[str, Any]:
    return _load(name)[0] if name else {}


def _analyzer(name: str) -> str:
    """The checks of single resources are one analyzer for each kind in the reference, and named in several ways."""
    if name in analyzers.ANALYZERS or not name.startswith("schema."):
        return name
    kind = name.rstrip(")").rpartition(".")[2]
    return f"schema.ValidationAnalyzer.{kind}" if f"schema.ValidationAnalyzer.{kind}" in analyzers.BY_KIND else "schema.ValidationAnalyzer"


@pytest.mark.parametrize("case", _cases())
def test_messages(case: dict[str, Any]) -> None:
    """One analyzer yields exactly the expected codes for the expected resources."""
    mesh = _settings(case.get("mesh_config"))
    objects = files.unfolded(item for name in case["input_files"] for item in _load(name))
    others = [item for name in case.get("input_cluster2", ()) for item in _load(name)]
    networks = _settings(case.get("mesh_networks") or case.get("mesh_networks_file"))
    around = Surroundings(mesh_config=mesh, mesh_networks=networks, now=NOW, clusters={"cluster2": tuple(others)} if others else {})
    found = analyzers.analyze([*defaults.objects(mesh), *objects], _analyzer(case["analyzer"]), around)
    assert sorted((item.code, item.level.title, item.resource) for item in found) == sorted(
        (item["code"], item["level"], item["resource"]) for item in case["expected"]
    )
