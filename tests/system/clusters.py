"""A real cluster for system tests: its own name, state folder and ports, and the programs that work on it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from varka.cluster import state

PROGRAMS = Path(sys.executable).parent


class Cluster:
    """One cluster, not yet started. Every command has a time limit and shows its output when it fails."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.home = Path(tempfile.mkdtemp(prefix="varka-"))
        self.folder = state.StateFolder(self.home / name)
        self.environment = {**os.environ, "VARKA_HOME": str(self.home), "VARKA_CLUSTER": name, "KUBECONFIG": str(self.folder.kubeconfig)}

    def run(self, *command: str, check: bool = True, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Any program, with this cluster's environment."""
        done = subprocess.run(list(command), input=stdin, capture_output=True, text=True, timeout=timeout, env=self.environment, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def varka(self, *arguments: str, check: bool = True, timeout: float = 90) -> subprocess.CompletedProcess[str]:
        """The command line `varka`."""
        return self.run(str(PROGRAMS / "varka"), *arguments, check=check, timeout=timeout)

    def kubectl(self, *arguments: str, check: bool = True, stdin: str | None = None, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """The real kubectl."""
        return self.run(str(PROGRAMS / "kubectl"), *arguments, check=check, stdin=stdin, timeout=timeout)

    def apply(self, manifest: str) -> None:
        """`kubectl apply` of YAML text."""
        self.kubectl("apply", "-f", "-", stdin=manifest)

    def get(self, *arguments: str) -> Any:
        """`kubectl get … -o json`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json").stdout)

    def status(self) -> dict[str, Any]:
        """`varka status -o json`."""
        found: dict[str, Any] = json.loads(self.varka("status", "-o", "json", check=False).stdout)
        return found

    def pid(self, process: str) -> int:
        """Pid on the host of one of the cluster's processes, 0 when it does not run."""
        return next((int(one["pid"]) for one in self.status()["processes"] if one["name"] == process), 0)

    def up(self, *arguments: str) -> None:
        """Start it."""
        self.varka("up", *arguments)

    def destroy(self) -> None:
        """Stop it and remove its folder."""
        self.varka("down", check=False)
        shutil.rmtree(self.home, ignore_errors=True)


def eventually(condition: Callable[[], Any], *, seconds: float = 20, what: str = "the condition") -> Any:
    """The first true answer of `condition`; an assertion error when none comes in time."""
    deadline = time.monotonic() + seconds
    last: Any = None
    while time.monotonic() < deadline:
        last = condition()
        if last:
            return last
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {seconds} s; last: {last!r}")
