"""Clusters of a run: each in a state folder of its own, taken down when the run ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from varka.cluster import state

PATIENCE = 240


class Failed(Exception):
    """A measurement cannot be taken; the text says why."""


class Cluster:
    """One cluster, by the commands that a person uses."""

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.folder = state.StateFolder(home / name)
        self.environment = {**os.environ, "VARKA_HOME": str(home), "KUBECONFIG": str(home / name / "kubeconfig")}

    def varka(self, verb: str, *arguments: str) -> float:
        """Run `varka VERB --name …`; the seconds that it took."""
        return timed([sys.executable, "-m", "varka.cli.main", verb, "--name", self.name, *arguments], self.environment)[0]

    def kubectl(self, *arguments: str, given: str | None = None) -> str:
        """The output of the real kubectl."""
        return timed([str(Path(sys.executable).parent / "kubectl"), *arguments], self.environment, given)[1]

    def get(self, *arguments: str) -> Any:
        """Objects by kubectl."""
        return json.loads(self.kubectl("get", "-o", "json", *arguments))

    @property
    def supervisor(self) -> int:
        """Its pid."""
        return int((state.read_json(self.folder.supervisor_file) or {})["pid"])


def timed(arguments: list[str], environment: dict[str, str], given: str | None = None, patience: float = PATIENCE) -> tuple[float, str]:
    """Run a command: seconds and output; Failed with its last words, or when it takes longer than `patience` seconds."""
    started = time.monotonic()
    try:
        done = subprocess.run(arguments, env=environment, input=given or "", capture_output=True, text=True, timeout=patience, check=False)
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{' '.join(arguments[-3:])} did not end within {patience:.0f} s") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        raise Failed(f"{' '.join(arguments[-3:])}: {' '.join(words[-2:])}"[:300])
    return time.monotonic() - started, done.stdout


class Context:
    """What measurements of one run share; `close` takes everything down."""

    def __init__(self, *, quick: bool) -> None:
        self.quick = quick
        self._home = tempfile.TemporaryDirectory(prefix="varka-bench-")
        self._clusters: dict[str, Cluster] = {}
        self._mesh_error = ""
        self.demo_seconds = 0.0
        self.control_plane: dict[str, Any] | None = None

    def cluster(self, name: str) -> Cluster:
        """A cluster that is not started yet; it will be taken down in the end."""
        return self._clusters.setdefault(name, Cluster(Path(self._home.name), name))

    def down(self, name: str) -> None:
        """Take one cluster down now."""
        self._clusters.pop(name).varka("down")

    def bookinfo(self) -> Cluster:
        """The mesh that `varka demo` leaves running; started by whoever asks first."""
        if self._mesh_error:
            raise Failed(self._mesh_error)
        mesh = self.cluster("demo")
        if not self.demo_seconds:
            try:
                self.demo_seconds = mesh.varka("demo")
            except Failed as error:
                self._mesh_error = str(error)
                raise
        return mesh

    def close(self) -> None:
        """Take down what was started."""
        for name in list(self._clusters):
            try:
                self.down(name)
            except Failed as error:
                print(f"cluster {name} could not be taken down: {error}", file=sys.stderr)
        self._home.cleanup()
