"""Between the receivers and the disk: a bounded queue and the one thread that writes.

`offer` never waits: when the queue is full, spans are dropped and counted, so a slow disk can never hold up a proxy. What
the writer cannot keep (a full disk) is dropped and counted as well, and `trouble` says why until a write succeeds again.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence

from varka.telemetry.traces import metrics
from varka.telemetry.traces.settings import Settings
from varka.telemetry.traces.spans import Span
from varka.telemetry.traces.store import Store

_log = logging.getLogger("varka.traces")
_LINGER = 0.2
"""Seconds that the writer gathers spans: one transaction for many."""
_BATCH = 4000
"""Most spans of one transaction."""
_CLEARING = 30.0
"""Seconds between two looks at age and size."""


class Intake:
    """Takes spans from any thread; `start` and `stop` its own."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._waiting: deque[Span] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self._written = 0
        self._accepted = 0
        self._thread = threading.Thread(target=self._run, name="traces-writer", daemon=True)
        self.trouble = ""
        """Why spans cannot be kept now; empty when they can."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Write what waits, and end."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join(timeout=10.0)

    def offer(self, batch: Sequence[Span]) -> int:
        """Take spans; how many found no room."""
        with self._changed:
            room = self._settings.queue_spans - len(self._waiting)
            taken = batch[: max(0, room)]
            self._waiting.extend(taken)
            self._accepted += len(taken)
            metrics.QUEUED.set(len(self._waiting))
            self._changed.notify()
        lost = len(batch) - len(taken)
        if lost:
            metrics.DROPPED.labels("queue-full").inc(lost)
        return lost

    def settled(self, timeout: float) -> bool:
        """Wait until all that was accepted before has been written or dropped."""
        with self._changed:
            target = self._accepted
            return self._changed.wait_for(lambda: self._written >= target, timeout)

    def _run(self) -> None:
        next_clearing = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping, timeout=_CLEARING)
                stopping = self._stopping
            if not stopping:
                time.sleep(_LINGER)
            self._drain()
            if time.monotonic() >= next_clearing:
                self._clear()
                next_clearing = time.monotonic() + _CLEARING
            if stopping:
                return

    def _drain(self) -> None:
        while True:
            with self._changed:
                batch = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
                metrics.QUEUED.set(len(self._waiting))
            if not batch:
                return
            self._write(batch)
            with self._changed:
                self._written += len(batch)
                self._changed.notify_all()

    def _write(self, batch: list[Span]) -> None:
        try:
            self._store.write(batch)
        except (sqlite3.Error, OverflowError) as error:
            metrics.DROPPED.labels("storage").inc(len(batch))
            if str(error) != self.trouble:
                _log.error("%d spans are lost, the store does not take them: %s", len(batch), error)
            self.trouble = str(error)
        else:
            metrics.SAVED.inc(len(batch))
            if self.trouble:
                _log.info("the store takes spans again")
            self.trouble = ""

    def _clear(self) -> None:
        try:
            metrics.EXPIRED.inc(self._store.expire(time.time_ns(), int(self._settings.max_age * 1e9), self._settings.max_bytes))
            metrics.BYTES.set(self._store.size())
        except sqlite3.Error as error:
            _log.warning("old spans cannot be removed: %s", error)
