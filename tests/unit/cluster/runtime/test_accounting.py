"""What containers use."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from varka.cluster.runtime import accounting
from varka.cluster.runtime.accounting import Process, Sample

TICK = os.sysconf("SC_CLK_TCK")


def process(pid: int, mounts: str, busy: float, memory: int = 0) -> Process:
    """One that started at 1."""
    return Process(pid=pid, start=1, mounts=mounts, busy=busy, memory=memory)


def sample(moment: float, *processes: Process) -> Sample:
    """Of these processes."""
    return Sample(moment=moment, processes={(each.pid, each.start): each for each in processes}, machine=0.0)


def test_rates_are_over_the_window() -> None:
    """Processes of one mount namespace count together; new ones count whole, ended ones not at all."""
    old = sample(10.0, process(1, "a", 5.0), process(2, "b", 1.0), process(3, "b", 100.0))
    new = sample(20.0, process(1, "a", 10.0), process(2, "b", 1.0), process(4, "b", 2.0))
    assert accounting.rates(old, new) == pytest.approx({"a": 0.5, "b": 0.2})


def test_a_pid_that_is_used_again_starts_from_nothing() -> None:
    """The start time tells them apart."""
    old = sample(0.0, process(1, "a", 50.0))
    new = sample(10.0, Process(pid=1, start=2, mounts="a", busy=1.0, memory=0))
    assert accounting.rates(old, new) == pytest.approx({"a": 0.1})


def test_memory_is_summed() -> None:
    """By mount namespace."""
    assert accounting.memory(sample(0.0, process(1, "a", 0, 5), process(2, "a", 0, 7), process(3, "b", 0, 1))) == {"a": 12, "b": 1}


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc with one process: 3 s user, 1 s system, 4 KiB resident, 2 KiB PSS."""
    folder = tmp_path / "42"
    (folder / "ns").mkdir(parents=True)
    (folder / "ns/mnt").symlink_to("mnt:[7]")
    fields = ["S", *["0"] * 10, str(3 * TICK), str(TICK), *["0"] * 6, "99", "0"]
    (folder / "stat").write_text(f"42 (a) b) {' '.join(fields)}\n")
    (folder / "statm").write_text("9 1 0 0 0 0 0\n")
    (folder / "smaps_rollup").write_text("0-1 ---p\nRss:   4 kB\nPss:   2 kB\n")
    (tmp_path / "stat").write_text(f"cpu {TICK} 0 {TICK} 500 500 0 0 0 0 0\ncpu0 1\n")
    (tmp_path / "meminfo").write_text("MemTotal:  100 kB\nMemFree:  10 kB\nMemAvailable:  40 kB\n")
    return tmp_path


def test_take_reads_processes_whatever_their_name(proc: Path) -> None:
    """A name with parentheses does not confuse."""
    assert list(accounting.take(proc).processes.values()) == [Process(pid=42, start=99, mounts="mnt:[7]", busy=4.0, memory=2048)]


def test_without_pss_the_resident_size_counts(proc: Path) -> None:
    """Kernels may be built without smaps."""
    (proc / "42/smaps_rollup").unlink()
    (found,) = accounting.take(proc).processes.values()
    assert found.memory == os.sysconf("SC_PAGE_SIZE")


def test_of_pod_and_of_node(proc: Path) -> None:
    """A question before the first sample is answered, too; containers that do not run are left out."""
    running, waiting = (SimpleNamespace(state=SimpleNamespace(running_since=since), log_path=proc / "app.log") for since in (1.0, 0.0))
    (proc / "app.log").write_bytes(b"12345")
    worker: Any = SimpleNamespace(runners={"app": running, "init": waiting}, mounts={"app": "mnt:[7]"})
    usage = accounting.Usage({}, proc)
    (found,) = usage.of_pod(worker)
    assert (found.container, found.memory_bytes) == ("app", 2048)
    assert found.cpu_nanocores > 0
    assert (found.disk_bytes, found.processes) == (5, 1)
    assert found.cpu_seconds > 0
    node = usage.of_node()
    assert (node.container, node.cpu_nanocores, node.memory_bytes, node.cpu_seconds) == ("", 0, 60 * 1024, accounting.machine_busy(proc))


def test_seconds_only_grow() -> None:
    """What a container has used stays counted when the process that used it has ended."""
    busy = accounting.Process(pid=1, start=1, mounts="mnt:[7]", busy=3.0, memory=1)
    samples = [accounting.Sample(moment=moment, processes=found, machine=0.0) for moment, found in ((0.0, {}), (10.0, {(1, 1): busy}), (20.0, {}))]
    first = accounting.spent(samples[0], samples[1], {})
    assert first == {"mnt:[7]": 3.0}
    assert accounting.spent(samples[1], samples[2], first) == {"mnt:[7]": 3.0}
