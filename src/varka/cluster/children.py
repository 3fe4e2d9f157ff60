"""Keeping a handful of processes running: start, restart with back-off, reap, stop. Used by `supervisor` and by `init`.

One loop, no threads: SIGCHLD and the stop signals wake it. A child that dies is started again after 0.1 s; the pause doubles
while it keeps dying, up to 10 s, and is short again once it has run for 10 s. Standard library only, because these two
processes live as long as the cluster and should be small.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from varka.cluster import state

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 10.0
STEADY = 10.0
_LOG_LIMIT = 16 << 20
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends (prctl(2), PR_SET_PDEATHSIG)."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


@dataclass(slots=True)
class Child:
    """One process to keep: how to start it, and how it fares."""

    name: str
    command: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)
    pass_fds: tuple[int, ...] = ()
    pid: int = 0
    start: int | None = None
    restarts: int = 0
    since: float = 0.0
    pause: float = FIRST_PAUSE
    due: float = 0.0
    last_exit: str = ""

    def launch(self) -> None:
        """Start the process; a command that cannot be started counts as one that ended at once."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > _LOG_LIMIT:
                self.log.replace(self.log.with_suffix(".log.1"))
        self.since = time.monotonic()
        try:
            with self.log.open("ab") as log:
                os.fchmod(log.fileno(), 0o600)
                process = subprocess.Popen(
                    self.command,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env={**os.environ, **self.env},
                    pass_fds=self.pass_fds,
                    cwd="/",
                    preexec_fn=die_with_parent,
                )
        except OSError as error:
            self.ended(f"cannot start: {error}")
            return
        process.returncode = 0
        self.pid = process.pid
        self.start = state.start_time(process.pid)

    def ended(self, how: str) -> None:
        """Note the end and set the time of the next start."""
        now = time.monotonic()
        if now - self.since >= STEADY:
            self.pause = FIRST_PAUSE
        self.pid, self.start, self.last_exit = 0, None, how
        self.due = now + self.pause
        self.pause = min(self.pause * 2, LONGEST_PAUSE)

    def record(self) -> dict[str, object]:
        """What `varka status` reads."""
        return {"pid": self.pid, "start": self.start, "restarts": self.restarts, "lastExit": self.last_exit, "command": self.command[:6]}


class Keeper:
    """Runs children until told to stop."""

    def __init__(self, children: list[Child], report: Callable[[list[Child]], None]) -> None:
        self.children = children
        self._report = report
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def run(self, grace: float) -> None:
        """Start all, keep them until SIGTERM or SIGINT, then stop them in reverse order within `grace` seconds."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for child in self.children:
            child.launch()
        self._report(self.children)
        while not self._stopping:
            self._wait(self._patience())
            changed = self._reap()
            now = time.monotonic()
            for child in self.children:
                if not child.pid and not self._stopping and child.due <= now:
                    child.restarts += 1
                    say(f"start {child.name} again ({child.last_exit}, restart {child.restarts})")
                    child.launch()
                    changed = True
            if changed:
                self._report(self.children)
        self._end_all(grace)

    def _stop(self, *_: object) -> None:
        self._stopping = True

    def _patience(self) -> float:
        due = [child.due - time.monotonic() for child in self.children if not child.pid]
        return max(0.0, min([*due, 60.0]))

    def _wait(self, seconds: float) -> None:
        if select.select([self._wake_read], [], [], seconds)[0]:
            with contextlib.suppress(BlockingIOError):
                os.read(self._wake_read, 512)

    def _reap(self) -> bool:
        changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return changed
            if not pid:
                return changed
            for child in self.children:
                if child.pid == pid:
                    code = os.waitstatus_to_exitcode(status)
                    child.ended(f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
                    changed = True

    def _end_all(self, grace: float) -> None:
        for child in reversed(self.children):
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + grace
        while any(child.pid for child in self.children) and time.monotonic() < deadline:
            self._wait(min(0.05, max(0.0, deadline - time.monotonic())))
            self._reap()
        for child in self.children:
            if child.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while any(child.pid for child in self.children) and time.monotonic() < deadline:
            self._wait(0.05)
            self._reap()


def say(text: str) -> None:
    """One line into this process's own log."""
    moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    print(f"{moment}\tinfo\t{text}", file=sys.stderr, flush=True)


def bare_python(script: Path, *arguments: str) -> list[str]:
    """Command line of a standard-library script of ours, started without site packages."""
    return [sys.executable, "-I", "-S", str(script), *arguments]
