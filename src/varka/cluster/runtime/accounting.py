"""What containers use, read from /proc: control groups may belong to somebody else, so they are not asked.

A container's processes are those in its mount namespace, whoever started them. Processor time is what they used over the
last window; memory is their proportional set size (PSS), which counts once what many share. Everything is seen from the
node's process namespace, which is the parent of every pod's.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from varka.cluster.apiserver.podruntime import ContainerUsage

if TYPE_CHECKING:
    from varka.cluster.runtime.pods import PodWorker

SAMPLE_SECONDS = 15.0
"""Between two samples when nobody asks."""
FRESH_SECONDS = 2.0
"""A question is answered from the last sample when that is younger; the window between two samples is never shorter."""
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process: `mounts` names its mount namespace as the kernel does (`mnt:[4026…]`), `busy` is seconds, `memory` bytes of PSS."""

    pid: int
    start: int
    mounts: str
    busy: float
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All processes at one moment of the monotonic clock; `machine` is how long the processors have worked since boot."""

    moment: float
    processes: Mapping[tuple[int, int], Process]
    machine: float


def rates(old: Sample, new: Sample) -> dict[str, float]:
    """Processors used in each mount namespace between two samples; a process that is new used all its time in between."""
    window = max(new.moment - old.moment, 0.001)
    used: dict[str, float] = {}
    for key, process in new.processes.items():
        before = old.processes.get(key)
        spent = process.busy - (before.busy if before else 0.0)
        used[process.mounts] = used.get(process.mounts, 0.0) + max(0.0, spent) / window
    return used


def spent(old: Sample, new: Sample, before: Mapping[str, float]) -> dict[str, float]:
    """Seconds used in each mount namespace since its first process; `before` is what was known of them at the old sample."""
    window = max(new.moment - old.moment, 0.001)
    now = {space: before.get(space, 0.0) + rate * window for space, rate in rates(old, new).items()}
    return {**before, **now}


def processes(sample: Sample) -> dict[str, int]:
    """How many there are in each mount namespace."""
    found: dict[str, int] = {}
    for process in sample.processes.values():
        found[process.mounts] = found.get(process.mounts, 0) + 1
    return found


def memory(sample: Sample) -> dict[str, int]:
    """Bytes in each mount namespace."""
    used: dict[str, int] = {}
    for process in sample.processes.values():
        used[process.mounts] = used.get(process.mounts, 0) + process.memory
    return used


class Usage:
    """Samples now and then; a rate is over the time between the last two samples."""

    def __init__(self, workers: Mapping[str, PodWorker], proc: Path = Path("/proc")) -> None:
        self._workers = workers
        self._proc = proc
        self._new = Sample(moment=time.monotonic(), processes={}, machine=machine_busy(proc))
        self._rates: dict[str, float] = {}
        self._memory: dict[str, int] = {}
        self._spent: dict[str, float] = {}
        self._processes: dict[str, int] = {}
        self._machine = 0.0

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            await asyncio.to_thread(self.sample)

    def sample(self) -> None:
        """Read /proc once; some milliseconds for a hundred processes."""
        old, new = self._new, take(self._proc)
        self._rates, self._memory, self._processes = rates(old, new), memory(new), processes(new)
        alive = {space for worker in list(self._workers.values()) for space in list(worker.mounts.values())} | set(self._processes)
        self._spent = {space: seconds for space, seconds in spent(old, new, self._spent).items() if space in alive}
        self._machine = max(0.0, new.machine - old.machine) / max(new.moment - old.moment, 0.001)
        self._new = new

    def _refresh(self) -> None:
        if not self._memory or time.monotonic() - self._new.moment > FRESH_SECONDS:
            self.sample()

    def of_pod(self, worker: PodWorker) -> list[ContainerUsage]:
        """Of a pod's running containers."""
        self._refresh()
        found = []
        for name, runner in worker.runners.items():
            if runner.state.running_since:
                space = worker.mounts.get(name, "")
                found.append(
                    ContainerUsage(
                        container=name,
                        cpu_nanocores=int(self._rates.get(space, 0.0) * 1e9),
                        memory_bytes=self._memory.get(space, 0),
                        cpu_seconds=self._spent.get(space, 0.0),
                        disk_bytes=_size(runner.log_path),
                        processes=self._processes.get(space, 0),
                    )
                )
        return found

    def of_node(self) -> ContainerUsage:
        """Of the whole machine, as its capacity is the node's."""
        self._refresh()
        used = int(self._machine * 1e9)
        return ContainerUsage(container="", cpu_nanocores=used, memory_bytes=machine_memory(self._proc), cpu_seconds=machine_busy(self._proc))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def take(proc: Path = Path("/proc")) -> Sample:
    """All processes that can be read; those that end meanwhile are left out."""
    found = [process for name in os.listdir(proc) if name.isdigit() and (process := _read(proc / name))]
    return Sample(moment=time.monotonic(), processes={(each.pid, each.start): each for each in found}, machine=machine_busy(proc))


def _read(folder: Path) -> Process | None:
    try:
        mounts = os.readlink(folder / "ns/mnt")
        fields = (folder / "stat").read_bytes().rpartition(b")")[2].split()
        resident = int((folder / "statm").read_bytes().split()[1]) * _PAGE
        busy = (int(fields[11]) + int(fields[12])) / _TICK
        return Process(pid=int(folder.name), start=int(fields[19]), mounts=mounts, busy=busy, memory=_proportional(folder, resident))
    except (OSError, IndexError, ValueError):
        return None


def _proportional(folder: Path, otherwise: int) -> int:
    try:
        lines = (folder / "smaps_rollup").read_bytes().splitlines()
    except OSError:
        return otherwise
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(b"Pss:")), otherwise)


def machine_busy(proc: Path = Path("/proc")) -> float:
    """Seconds that the processors have worked since the machine started (proc(5): the first line of stat, less idle and iowait)."""
    fields = [int(field) for field in (proc / "stat").read_text().partition("\n")[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICK


def machine_memory(proc: Path = Path("/proc")) -> int:
    """Bytes that are in use and cannot be given back at once."""
    found = dict(line.split(":", 1) for line in (proc / "meminfo").read_text().splitlines())
    return (int(found["MemTotal"].split()[0]) - int(found["MemAvailable"].split()[0])) * 1024
