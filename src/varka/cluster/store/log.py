"""The recent changes of one resource, from which watches are served.

A bounded list in the order of revisions. Watchers keep only a position in it, so a slow watcher costs nothing; one that
falls behind the list's beginning is told that its version is too old.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from typing import Any, NamedTuple

Object = dict[str, Any]


class Entry(NamedTuple):
    """A stored object, its JSON text and its revision. The object is shared: nobody may change it."""

    object: Object
    body: bytes
    revision: int


class Change(NamedTuple):
    """`type` is ADDED, MODIFIED or DELETED; `previous` is the object before; a deleted object carries the deletion's revision."""

    type: str
    revision: int
    namespace: str
    entry: Entry
    previous: Entry | None


class Expired(Exception):
    """The asked-for revision is older than the log's beginning."""


class ChangeLog:
    """The last `capacity` changes (at least) after `start`."""

    def __init__(self, start: int, capacity: int) -> None:
        self._start = start
        self._capacity = capacity
        self._changes: list[Change] = []
        self._revisions: list[int] = []
        self._waiters: list[asyncio.Future[None]] = []

    def append(self, change: Change) -> None:
        """Add the newest change; `wake` tells the watchers."""
        self._changes.append(change)
        self._revisions.append(change.revision)
        if len(self._changes) > 2 * self._capacity:
            cut = len(self._changes) - self._capacity
            self._start = self._revisions[cut - 1]
            del self._changes[:cut]
            del self._revisions[:cut]

    def since(self, revision: int) -> list[Change]:
        """All changes after `revision`, oldest first; Expired when some of them are no longer known."""
        if revision < self._start:
            raise Expired
        return self._changes[bisect_right(self._revisions, revision) :]

    @property
    def start(self) -> int:
        """The oldest revision that a watch may start from."""
        return self._start

    @property
    def last(self) -> int:
        """The revision of the newest change, or of the log's beginning."""
        return self._revisions[-1] if self._revisions else self._start

    def wake(self) -> None:
        """Tell every waiting watcher that there are changes."""
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, revision: int, seconds: float) -> bool:
        """Wait until there is a change after `revision`; False when `seconds` passed first."""
        if self.last > revision:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter
        except TimeoutError:
            return False
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
        return True
