"""PeerAuthentication merged as the control plane of reference merges it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from varka.model.memo import Kept
from varka.model.policies import peer_authentication
from varka.resources import parse

CASES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "authn" / "compose_peer_authentication.yaml"

pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not CASES.is_file(), reason="the conformance cases are not there")]


def _cases() -> list[Any]:
    return [pytest.param(case, id=case["name"]) for case in yaml.safe_load(CASES.read_text())["cases"]] if CASES.is_file() else []


@pytest.mark.parametrize("case", _cases())
def test_merged_mode(case: dict[str, Any]) -> None:
    """The mode of a workload that all given policies apply to."""
    policies = peer_authentication.index([parse(obj) for obj in case["configs"]], "root-namespace", Kept())
    found = policies.of("my-ns", {"app": "foo", "stage": "prod"})
    assert found.mode == case["want"]["Mode"]
    assert {str(port): str(mode) for port, mode in found.ports.items()} == {str(k): v for k, v in (case["want"].get("PerPort") or {}).items()}
