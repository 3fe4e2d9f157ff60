"""The store: current objects in memory, changes in logs, writes acknowledged when they are on disk.

One counter of revisions for everything, as in etcd. A write names the revision it expects to replace; readers see a write
only after it is on disk, in the order of revisions. Lists and watches never touch the disk.
"""

from __future__ import annotations

import asyncio
import logging
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from varka.cluster.store.database import Database, Key, Write
from varka.cluster.store.log import Change, ChangeLog, Entry, Object

_log = logging.getLogger(__name__)
WINDOW = 1024
"""Changes of each resource that stay known for watches."""


class RevisionConflict(Exception):
    """The object is not at the expected revision; `current` is what is there, None for nothing."""

    def __init__(self, current: Entry | None) -> None:
        super().__init__("revision conflict")
        self.current = current


class StoreFailed(Exception):
    """The disk refused the write; nothing was stored."""


class _Shelf:
    """All objects of one resource, by (namespace, name), with the sorted keys of each namespace and of all."""

    def __init__(self, start: int, window: int) -> None:
        self.entries: dict[tuple[str, str], Entry] = {}
        self.order: list[tuple[str, str]] = []
        self.log = ChangeLog(start, window)
        self.namespaces: dict[str, list[str]] = {}

    def insert(self, namespace: str, name: str, entry: Entry) -> None:
        if (namespace, name) not in self.entries:
            insort(self.order, (namespace, name))
            insort(self.namespaces.setdefault(namespace, []), name)
        self.entries[namespace, name] = entry

    def remove(self, namespace: str, name: str) -> None:
        del self.entries[namespace, name]
        del self.order[bisect_left(self.order, (namespace, name))]
        names = self.namespaces[namespace]
        del names[bisect_left(names, name)]


class Store:
    """Objects of all resources. To be used from one event loop; `await start()` first."""

    def __init__(self, path: Path, *, window: int = WINDOW) -> None:
        self._database = Database(path)
        self._window = window
        self._shelves: dict[str, _Shelf] = {}
        self._pending: dict[Key, asyncio.Future[None]] = {}
        self._assigned = 0
        self._start = 0
        self.observers: list[Callable[[Key, Change], None]] = []
        """Called with every change when it is on disk, before any reader can see it."""
        self.revision = 0
        """The revision of the newest write that is on disk."""

    async def start(self) -> None:
        """Read everything from disk and begin to accept writes."""
        last, rows = self._database.load()
        self.revision = self._assigned = self._start = max(last, 1)
        for key, revision, body in rows:
            self._shelf(key.resource).insert(key.namespace, key.name, Entry(msgspec.json.decode(body), body, revision))
        self._database.start()

    async def close(self) -> None:
        """Finish the accepted writes and close the file."""
        await asyncio.get_running_loop().run_in_executor(None, self._database.close)

    def get(self, resource: str, namespace: str, name: str) -> Entry | None:
        """The object, or None."""
        return self._shelf(resource).entries.get((namespace, name))

    def list(self, resource: str, namespace: str = "") -> Sequence[Entry]:
        """All objects of a resource, of one namespace when given, in the order of namespace and name."""
        shelf = self._shelf(resource)
        if namespace:
            return [shelf.entries[namespace, name] for name in shelf.namespaces.get(namespace, ())]
        return [shelf.entries[key] for key in shelf.order]

    def log(self, resource: str) -> ChangeLog:
        """The resource's recent changes."""
        return self._shelf(resource).log

    def resources(self) -> Sequence[str]:
        """Resources of which there are objects."""
        return sorted(name for name, shelf in self._shelves.items() if shelf.entries)

    async def put(self, key: Key, obj: Object, expected: int) -> Entry:
        """Store `obj` in place of the revision `expected` (0: there must be none) and give it its resourceVersion.

        Raises RevisionConflict, or StoreFailed when the disk fails.
        """
        await self._settle(key)
        current = self._shelf(key.resource).entries.get((key.namespace, key.name))
        if (current.revision if current else 0) != expected:
            raise RevisionConflict(current)
        self._assigned += 1
        obj["metadata"]["resourceVersion"] = str(self._assigned)
        entry = Entry(obj, msgspec.json.encode(obj), self._assigned)
        change = Change("MODIFIED" if current else "ADDED", entry.revision, key.namespace, entry, current)
        await self._commit(key, change, entry.body)
        return entry

    async def delete(self, key: Key, expected: int) -> Entry:
        """Remove the object at revision `expected`; the answer carries the deletion's resourceVersion."""
        await self._settle(key)
        current = self._shelf(key.resource).entries.get((key.namespace, key.name))
        if current is None or current.revision != expected:
            raise RevisionConflict(current)
        self._assigned += 1
        last = {**current.object, "metadata": {**current.object["metadata"], "resourceVersion": str(self._assigned)}}
        entry = Entry(last, msgspec.json.encode(last), self._assigned)
        await self._commit(key, Change("DELETED", entry.revision, key.namespace, entry, current), None)
        return entry

    def _shelf(self, resource: str) -> _Shelf:
        shelf = self._shelves.get(resource)
        if shelf is None:
            shelf = self._shelves[resource] = _Shelf(self._start, self._window)
        return shelf

    async def _settle(self, key: Key) -> None:
        """Wait for a write of the same object that is on its way to disk."""
        while (pending := self._pending.get(key)) is not None:
            await asyncio.wait([pending])

    async def _commit(self, key: Key, change: Change, body: bytes | None) -> None:
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()
        self._pending[key] = settled

        def finish(failure: Exception | None) -> None:
            del self._pending[key]
            if failure is None:
                self._apply(key, change)
            settled.set_result(None)
            failures.append(failure)

        def report(failure: Exception | None) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(finish, failure)

        failures: list[Exception | None] = []
        self._database.submit(Write(key, change.revision, body, report))
        await asyncio.shield(settled)
        if failures[0] is not None:
            raise StoreFailed(f"cannot write to the store: {failures[0]}") from failures[0]

    def _apply(self, key: Key, change: Change) -> None:
        for observer in self.observers:
            try:
                observer(key, change)
            except Exception:
                _log.exception("an observer failed at %s/%s/%s", *key)
        shelf = self._shelf(key.resource)
        if change.type == "DELETED":
            shelf.remove(key.namespace, key.name)
        else:
            shelf.insert(key.namespace, key.name, change.entry)
        self.revision = change.revision
        shelf.log.append(change)
        shelf.log.wake()
