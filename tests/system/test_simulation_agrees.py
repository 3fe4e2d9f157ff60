from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
SEEDS, CALLS = "2,7,12,23", 150
pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def rounds() -> list[dict[str, Any]]:
    """Random configurations in a real sidecar and a real gateway, random calls, and where the simulator sees them otherwise."""
    if shutil.which("nft") is None or subprocess.run(["unshare", "-rn", "true"], check=False).returncode != 0:
        pytest.skip("needs nft and unprivileged namespaces")
    command = ["unshare", "-rn", sys.executable, "-m", "tests.system.routing_lab", SEEDS, str(CALLS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr.decode()
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def test_envoy_and_simulator_agree(rounds: list[dict[str, Any]]) -> None:
    """Every call ends where the simulator says: the same route and cluster, the same answer, or no connection at all."""
    assert [item["compared"] for item in rounds] == [CALLS] * 4
    wrong = [(item["seed"], each) for item in rounds for each in item["wrong"]]
    assert not wrong, yaml.safe_dump(wrong[:3])


def test_envoy_takes_every_configuration(rounds: list[dict[str, Any]]) -> None:
    """Whatever the rules say, no resource is refused."""
    assert [item["refusals"] for item in rounds] == [[]] * 4


def test_every_kind_of_outcome_was_met(rounds: list[dict[str, Any]]) -> None:
    """The rounds reach clusters, answers, redirects to https, unknown hosts and rules that are missing."""
    kinds = {kind for item in rounds for kind in item["kinds"]}
    assert {"cluster", "answer", "TLSRedirect", "NoVirtualHost", "NoRoute", "NoFilterChain", "NoListener"} <= kinds
