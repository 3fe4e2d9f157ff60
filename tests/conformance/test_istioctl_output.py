"""istioctl's tables and documents, compared with Istio's own for the same config dumps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from varka.cli.istioctl import main, proxy_status, tables

CASES = Path(__file__).parents[3] / "shared" / "conformance" / "istioctl_output"


def cases() -> list[dict[str, str]]:
    if not CASES.is_dir():
        return []
    return [case for case in yaml.safe_load((CASES / "cases.yaml").read_text())["cases"] if case["cmd"].startswith("proxy-config")]


@pytest.mark.conformance
@pytest.mark.skipif(not CASES.is_dir(), reason="the folder ../shared/conformance is absent")
@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case['cmd']} {Path(case['in']).parent.name}")
def test_proxy_config_prints_what_istio_prints(case: dict[str, str]) -> None:
    """A table is the same byte for byte, a document the same value."""
    arguments = [str(CASES / case["in"]) if word == "IN" else word for word in case["cmd"].split()]
    result = CliRunner().invoke(main.cli, arguments, catch_exceptions=False)
    expected = (CASES / case["out"]).read_text()
    if "json" in arguments:
        assert json.loads(result.output) == json.loads(expected)
    elif "yaml" in arguments:
        assert yaml.safe_load(result.output) == yaml.safe_load(expected)
    else:
        assert result.output == expected


def status(number: int, types: dict[str, str], version: str = "1.20", istiod: int | None = None) -> dict[str, object]:
    return {"proxy": f"proxy{number}", "cluster_id": f"cluster{number}", "istiod": f"istiod{istiod or number}", "istio_version": version, "types": types}


@pytest.mark.conformance
@pytest.mark.skipif(not CASES.is_dir(), reason="the folder ../shared/conformance is absent")
def test_compact_proxy_status() -> None:
    """With verbosity 0 the subscribed types stand in one column, as istioctl 1.28 prints them."""
    synced = dict.fromkeys(proxy_status.TYPES, "SYNCED")
    several = [status(1, synced), status(2, synced, "1.19"), status(3, synced), status(4, dict.fromkeys(proxy_status.TYPES, "UNKNOWN"))]
    expected = (CASES / "writer/pilot/testdata/multiXdsStatusMultiPilot.txt").read_text()
    assert tables.render(proxy_status.compact(several)) == expected
    one = [status(1, synced, istiod=1), status(2, synced, istiod=1)]
    assert tables.render(proxy_status.compact(one)) == (CASES / "writer/pilot/testdata/multiXdsStatusSinglePilot.txt").read_text()


@pytest.mark.conformance
@pytest.mark.skipif(not CASES.is_dir(), reason="the folder ../shared/conformance is absent")
def test_detailed_proxy_status() -> None:
    """The detailed table has the cells of Istio's, with the columns in the order that the types are documented in."""
    types = {"CDS": "STALE", "ECDS": "SYNCED", "EDS": "SYNCED", "LDS": "SYNCED", "RDS": "NOT SENT"}
    header, row = proxy_status.detailed([status(1, types)])
    lines = (CASES / "writer/pilot/testdata/multiXdsStatusMultiPilot_verbose.txt").read_text().splitlines()
    expected_header, expected_row = ([cell for cell in line.replace("     ", "\t").split("\t") if cell.strip()] for line in lines)
    assert {name: cell.strip() for name, cell in zip(header, row, strict=True)} == {
        name.strip(): cell.strip() for name, cell in zip(expected_header, expected_row, strict=True)
    }
