"""How much processor time and memory containers use, by /proc: control groups may not be delegated to an ordinary user.

A process belongs to the container whose mount namespace it is in.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from varka.cluster.apiserver.podruntime import ContainerUsage

if TYPE_CHECKING:
    from varka.cluster.runtime.pods import PodWorker

SAMPLE_SECONDS = 10.0
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage:
    """Samples every few seconds; a rate is over the time since the sample before."""

    def __init__(self, workers: Mapping[str, PodWorker]) -> None:
        self._workers = workers
        self._before: dict[str, float] = {}
        self._taken = time.monotonic()
        self._rates: dict[str, float] = {}
        self._memory: dict[str, int] = {}
        self._node = ContainerUsage(container="", cpu_nanocores=0, memory_bytes=0)
        self._node_before = _machine_busy()

    async def run(self) -> None:
        """Sample until cancelled."""
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self.sample()

    def sample(self) -> None:
        """Read /proc once."""
        now = time.monotonic()
        elapsed = max(now - self._taken, 0.001)
        busy: dict[str, float] = {}
        memory: dict[str, int] = {}
        for name in os.listdir("/proc"):
            if not name.isdigit():
                continue
            try:
                space = os.readlink(f"/proc/{name}/ns/mnt")
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(")")[2].split()
                with open(f"/proc/{name}/statm") as file:
                    resident, shared = (int(field) for field in file.read().split()[1:3])
            except OSError:
                continue
            busy[space] = busy.get(space, 0.0) + (int(fields[11]) + int(fields[12])) / _TICK
            memory[space] = memory.get(space, 0) + (resident - shared // 2) * _PAGE
        self._rates = {space: max(0.0, spent - self._before.get(space, spent)) / elapsed for space, spent in busy.items()}
        self._before, self._memory, self._taken = busy, memory, now
        total = _machine_busy()
        self._node = ContainerUsage(container="", cpu_nanocores=int(max(0.0, total - self._node_before) / elapsed * 1e9), memory_bytes=_machine_memory())
        self._node_before = total

    def of_pod(self, worker: PodWorker) -> list[ContainerUsage]:
        """Of a pod's running containers, at the last sample."""
        if time.monotonic() - self._taken > 1.0 and not self._rates:
            self.sample()
        found = []
        for name, runner in worker.runners.items():
            if runner.state.running_since:
                space = worker.mounts.get(name, "")
                found.append(ContainerUsage(container=name, cpu_nanocores=int(self._rates.get(space, 0.0) * 1e9), memory_bytes=self._memory.get(space, 0)))
        return found

    def of_node(self) -> ContainerUsage:
        """Of the whole machine, at the last sample."""
        if not self._node.memory_bytes:
            self.sample()
        return self._node


def _machine_busy() -> float:
    """Seconds that the processors have worked since the machine started."""
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / _TICK


def _machine_memory() -> int:
    with open("/proc/meminfo") as file:
        found = dict(line.split(":", 1) for line in file)
    return (int(found["MemTotal"].split()[0]) - int(found["MemAvailable"].split()[0])) * 1024
