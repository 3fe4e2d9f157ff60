from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SEED = int(os.environ.get("VARKA_POLICY_SEED", "1"))
CASES, REQUESTS, EXTREME = 60, 12, 4


@pytest.fixture(scope="module")
def seen() -> Any:
    """What random requests to random policies met, and what the evaluator says of them."""
    if shutil.which("nft") is None or subprocess.run(["unshare", "-rn", "true"], check=False).returncode != 0:
        pytest.skip("needs nft and unprivileged namespaces")
    command = ["unshare", "-rn", sys.executable, "-m", "tests.system.policy_probe", str(SEED), str(CASES), str(REQUESTS)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return json.loads(done.stdout)


def test_envoy_accepts_every_policy(seen: Any) -> None:
    """No generated configuration is refused, whatever the policies say, malformed values included."""
    assert seen["refusals"] == []


def test_every_verdict_is_asked_for(seen: Any) -> None:
    """The requests meet every outcome often enough to mean something."""
    found = [row["expected"] for row in seen["rows"]]
    assert len(found) == CASES * REQUESTS + EXTREME
    assert min(found.count(status) for status in (200, 401, 403)) > 30


def test_envoy_and_evaluator_agree(seen: Any) -> None:
    """Envoy lets through exactly what the evaluator allows."""
    assert [(row["status"], row["expected"], row["about"]) for row in seen["rows"] if row["status"] != row["expected"]] == []


def test_the_log_names_the_deciding_rule(seen: Any) -> None:
    """A denied request's line in the access log names the rule that the evaluator names."""
    assert [(row["logged"], row["rule"], row["about"]) for row in seen["rows"] if row["status"] == row["expected"] and row["logged"] != row["rule"]] == []


def test_500_rules_with_nonsense(seen: Any) -> None:
    """A policy whose rules hold broken expressions, line breaks and letters of all kinds is enforced: its good rules count."""
    found = [row for row in seen["rows"] if row["label"].startswith(f"case-{CASES}-")]
    assert [row["status"] for row in found] == [200, 200, 403, 403]
