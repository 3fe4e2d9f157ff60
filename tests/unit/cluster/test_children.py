from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from varka.cluster import children


def _child(tmp_path: Path, name: str, code: str) -> children.Child:
    return children.Child(name=name, command=[sys.executable, "-I", "-S", "-c", code], log=tmp_path / f"{name}.log")


@pytest.fixture(autouse=True)
def _own_signals() -> object:
    """The keeper takes the process's signal handlers; give them back."""
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield None
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_child_that_ends_is_started_again_and_all_end_on_sigterm(tmp_path: Path) -> None:
    """Restarts are counted, the other child is left alone, and what ignores SIGTERM is killed."""
    steady = _child(tmp_path, "steady", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)")
    brief = _child(tmp_path, "brief", "print('here')")
    reports: list[dict[str, int]] = []

    def report(all_children: list[children.Child]) -> None:
        reports.append({child.name: child.restarts for child in all_children})
        if brief.restarts >= 2 and brief.pid:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()

    children.Keeper([steady, brief], report).run(grace=0.2)
    assert reports[0] == {"steady": 0, "brief": 0}
    assert reports[-1]["brief"] >= 2
    assert (steady.restarts, steady.pid, steady.last_exit) == (0, 0, "killed by SIGKILL")
    assert (tmp_path / "brief.log").read_text().startswith("here\nhere\n")


def test_the_pause_doubles_up_to_its_limit(tmp_path: Path) -> None:
    """0.1 s at first, 10 s at most."""
    child = _child(tmp_path, "x", "")
    child.since = float("inf")
    pauses = []
    for _ in range(9):
        pauses.append(child.pause)
        child.ended("exit code 1")
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_a_command_that_does_not_exist_counts_as_one_that_ended(tmp_path: Path) -> None:
    """The reason is kept for `varka status`."""
    child = children.Child(name="x", command=["/does/not/exist"], log=tmp_path / "x.log")
    child.launch()
    assert (child.pid, "cannot start" in child.last_exit) == (0, True)
