"""The state folder of a cluster: what lies where, and which processes belong to it.

Processes are known by pid and start time, so that a number used again by the kernel is never mistaken for ours. Standard
library only.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varka.base.errors import VarkaError

DEFAULT_NAME = "varka"
_LONGEST_SOCKET = 107
_LONGEST_SOCKET_NAME = len("/run/agent/agent.sock") + 16


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Paths below one cluster's folder."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def settings(self) -> Path:
        return self.root / "settings.json"

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def store(self) -> Path:
        return self.root / "store.db"

    @property
    def pki(self) -> Path:
        return self.root / "pki"

    @property
    def pods(self) -> Path:
        return self.root / "pods"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def images(self) -> Path:
        return self.root / "images.yaml"

    @property
    def addresses(self) -> Path:
        """Which pod has which address; kept from one start to the next, since the stored pods name them."""
        return self.root / "addresses.json"

    @property
    def run(self) -> Path:
        """What is true only while the cluster runs: sockets, pids."""
        return self.root / "run"

    @property
    def supervisor_file(self) -> Path:
        return self.run / "supervisor.json"

    @property
    def init_file(self) -> Path:
        return self.run / "init.json"

    @property
    def ready_file(self) -> Path:
        """Written by the node once it is Ready, removed when it starts."""
        return self.run / "ready.json"

    @property
    def serving_file(self) -> Path:
        """Written by the node once its API server answers, removed when it starts."""
        return self.run / "serving.json"

    @property
    def api_socket(self) -> Path:
        return self.run / "apiserver.sock"

    @property
    def node_socket(self) -> Path:
        """The node's door for the relay: connections from the host into the cluster."""
        return self.run / "node.sock"

    @property
    def relay_socket(self) -> Path:
        """The relay's door for the node: wanted forwards, dials to the outside, names of the outside."""
        return self.run / "egress.sock"

    @property
    def forwards_file(self) -> Path:
        """What the relay forwards now: read by `varka env`, `varka status` and a restarted relay."""
        return self.run / "forwards.json"

    def create(self) -> None:
        """Make the folders, private to the user; VarkaError when that is not possible."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
            for folder in (self.run, self.logs, self.pki, self.pods):
                folder.mkdir(exist_ok=True, mode=0o700)
            probe = self.run / ".writable"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise VarkaError(
                f"the state folder {self.root} cannot be written: {error.strerror or error}",
                "make it writable, or name another place in the environment variable VARKA_HOME",
            ) from error
        if len(os.fsencode(self.root)) + _LONGEST_SOCKET_NAME > _LONGEST_SOCKET:
            raise VarkaError(f"the path of the state folder {self.root} is too long for sockets", "name a shorter one in the environment variable VARKA_HOME")


def home() -> Path:
    """The folder that holds one folder for each cluster: VARKA_HOME, or `varka` in XDG_STATE_HOME."""
    if chosen := os.environ.get("VARKA_HOME"):
        return Path(chosen).absolute()
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(base).absolute() / "varka"


def folder(name: str) -> StateFolder:
    """The state folder of the cluster `name`."""
    return StateFolder(home() / name)


def write_json(path: Path, value: Any) -> None:
    """Write `value` in one step, so that a reader never sees half of it."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(value))
    draft.replace(path)


def read_json(path: Path) -> Any:
    """The content of `path`, or None when it is missing or damaged."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def start_time(pid: int) -> int | None:
    """When `pid` was started, in clock ticks since boot (proc(5), field 22 of stat); None when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def age(pid: int) -> float | None:
    """Seconds since `pid` was started."""
    ticks = start_time(pid)
    if ticks is None:
        return None
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"))


def is_alive(record: Any) -> bool:
    """Whether the process of a record `{"pid": …, "start": …}` still runs."""
    return isinstance(record, dict) and record.get("start") is not None and start_time(int(record.get("pid", 0))) == record["start"]


def inner_to_host(ancestor: int) -> dict[int, int]:
    """Pids as the process namespace of `ancestor` counts them → pids here, for `ancestor` and everything below it."""
    found: dict[int, int] = {}
    waiting = [ancestor]
    while waiting:
        pid = waiting.pop()
        try:
            status = Path(f"/proc/{pid}/status").read_text()
            children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except (OSError, ValueError):
            continue
        for line in status.splitlines():
            if line.startswith("NSpid:"):
                numbers = line.split()[1:]
                if len(numbers) == 2:
                    found[int(numbers[1])] = pid
        waiting.extend(children)
    return found


def end(record: Any, *, grace: float) -> None:
    """End a recorded process: SIGTERM, then SIGKILL after `grace` seconds; nothing happens when it is no longer ours."""
    if not is_alive(record):
        return
    pid = int(record["pid"])
    for number, patience in ((signal.SIGTERM, grace), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not is_alive(record):
                return
            time.sleep(0.01)
