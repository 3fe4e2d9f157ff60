"""One loop of a controller: keys in, `reconcile(key)` out.

A key that is added many times while it waits is reconciled once; a key is never reconciled twice at the same time; a
failure brings it back after a wait that doubles. What is queued are keys, never events: reconcile looks at the state as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.client.api import ApiError, Object
from varka.client.informers import Handler, Key, key_of

log = logging.getLogger(__name__)

Reconcile = Callable[[Key], Awaitable[float | None]]
"""Bring one object to its wanted state; gives the seconds after which to look again, or None."""

FIRST_WAIT, LONGEST_WAIT = 0.005, 10.0


class Reconciler:
    """The queue of one controller and its workers; `run` works until cancelled."""

    def __init__(self, name: str, reconcile: Reconcile, clock: Clock, *, workers: int = 8) -> None:
        self.name = name
        self._reconcile = reconcile
        self._clock = clock
        self._workers = workers
        self._waiting: dict[Key, None] = {}
        self._running: set[Key] = set()
        self._again: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._due: dict[Key, float] = {}
        self._wake = asyncio.Event()
        self._timer_wake = asyncio.Event()

    def add(self, key: Key) -> None:
        """Reconcile `key` as soon as possible."""
        if key in self._running:
            self._again.add(key)
        else:
            self._waiting[key] = None
            self._wake.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Reconcile `key` in `seconds` at the latest."""
        due = self._clock.monotonic() + seconds
        if due < self._due.get(key, float("inf")):
            self._due[key] = due
            self._timer_wake.set()

    def on_change(self) -> Handler:
        """An informer's handler that adds the changed object itself."""

        def handle(old: Object | None, new: Object | None) -> None:
            obj = new if new is not None else old
            if obj is not None:
                self.add(key_of(obj))

        return handle

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self._waiting and not self._running

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._timers(), name=f"{self.name}:timers")
            for number in range(self._workers):
                group.create_task(self._work(), name=f"{self.name}:{number}")

    async def _work(self) -> None:
        while True:
            while not self._waiting:
                self._wake.clear()
                await self._wake.wait()
            key = next(iter(self._waiting))
            del self._waiting[key]
            self._running.add(key)
            try:
                await self._once(key)
            finally:
                self._running.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _once(self, key: Key) -> None:
        try:
            again = await self._reconcile(key)
        except ApiError as error:
            if error.code not in (404, 409):
                log.warning("%s: %s: %s", self.name, "/".join(filter(None, key)), error.message)
            self._retry(key)
        except (VarkaError, OSError, TimeoutError) as error:
            log.warning("%s: %s: %s", self.name, "/".join(filter(None, key)), error)
            self._retry(key)
        except Exception:
            log.exception("%s: %s", self.name, "/".join(filter(None, key)))
            self._retry(key)
        else:
            self._failures.pop(key, None)
            if again is not None:
                self.add_after(key, again)

    def _retry(self, key: Key) -> None:
        count = self._failures.get(key, 0)
        self._failures[key] = count + 1
        self.add_after(key, min(FIRST_WAIT * 2 ** min(count, 20), LONGEST_WAIT))

    async def _timers(self) -> None:
        while True:
            now = self._clock.monotonic()
            for key in [key for key, due in self._due.items() if due <= now]:
                del self._due[key]
                self.add(key)
            self._timer_wake.clear()
            if not self._due:
                await self._timer_wake.wait()
                continue
            nap = asyncio.ensure_future(self._clock.sleep(min(self._due.values()) - now))
            news = asyncio.ensure_future(self._timer_wake.wait())
            try:
                await asyncio.wait((nap, news), return_when=asyncio.FIRST_COMPLETED)
            finally:
                nap.cancel()
                news.cancel()
