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
EXAMPLES = os.environ.get("VARKA_FUZZ_EXAMPLES", "8")
OWN_WORDS = {"EnvoyFilter"}
"""Kinds in which a user writes Envoy's configuration, which nobody but Envoy can judge."""

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def seen() -> Any:
    """What real Envoys refused of the configurations of generated resources."""
    if subprocess.run(["unshare", "-rn", "true"], check=False).returncode != 0 or shutil.which("ip") is None:
        pytest.skip("needs unprivileged namespaces")
    command = ["unshare", "-rn", sys.executable, "-m", "tests.system.fuzz_probe", EXAMPLES]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return json.loads(done.stdout)


def test_envoy_takes_every_configuration(seen: Any) -> None:
    """Whatever resources admission lets in, of any kind, no Envoy refuses what becomes of them."""
    refused = [row for row in seen["rows"] if row["kind"] not in OWN_WORDS and not _names_a_file_that_is_not_there(row)]
    assert [(row["kind"], row["node"], row["refused"], row["resource"]) for row in refused] == []


def _names_a_file_that_is_not_there(row: dict[str, Any]) -> bool:
    """A module in the proxy's own file system: only Envoy can see whether it is there, and it takes everything else all the same."""
    return row["kind"] == "WasmPlugin" and str(row["resource"]["spec"].get("url", "")).startswith(("file:", "/")) and "Invalid path" in row["refused"]


def test_enough_was_tried(seen: Any) -> None:
    """Most of the resources were such that admission lets them in."""
    assert seen["fed"] > 60
