"""A local copy of one kind that follows the server.

An informer lists once and then watches. It starts over when the server has forgotten its version (410), watches on
when a watch ends, and waits a little longer each time when the server does not answer. Handlers are told of every
change as (old, new), with None for absence; they are plain functions and must be quick.
The objects are shared: whoever wants to change one copies it first.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from varka.base.clock import Clock, SystemClock
from varka.base.errors import VarkaError
from varka.client.api import Api, ApiError, Gvr, Object

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.05, 2.0


class Key(NamedTuple):
    """An object's namespace (empty for cluster-scoped ones) and name."""

    namespace: str
    name: str


Handler = Callable[[Object | None, Object | None], None]
Index = Callable[[Object], Iterable[str]]


def key_of(obj: Object) -> Key:
    """The key under which a cache keeps `obj`."""
    meta = obj["metadata"]
    return Key(meta.get("namespace") or "", meta["name"])


def _version(text: str) -> int:
    return int(text) if text.isdigit() else -1


class Informer:
    """The cache of one kind, in one namespace or in all, and the task (`run`) that keeps it fresh."""

    def __init__(
        self, api: Api, gvr: Gvr, namespace: str | None = None, *, label_selector: str = "", field_selector: str = "", clock: Clock | None = None
    ) -> None:
        self.gvr = gvr
        self.items: dict[Key, Object] = {}
        self.synced = asyncio.Event()
        self._api = api
        self._namespace = namespace
        self._selectors = {"label_selector": label_selector, "field_selector": field_selector}
        self._clock = clock or SystemClock()
        self._handlers: list[Handler] = []
        self._indexes: dict[str, Index] = {}
        self._index: dict[tuple[str, str], dict[Key, Object]] = {}
        self._seen = ""

    def get(self, name: str, namespace: str | None = None) -> Object | None:
        """The object of that name, if there is one."""
        return self.items.get(Key(namespace or "", name))

    def __iter__(self) -> Iterator[Object]:
        return iter(list(self.items.values()))

    def add_handler(self, handler: Handler) -> None:
        """Tell `handler` of every change, beginning with the objects that are already here."""
        self._handlers.append(handler)
        for obj in list(self.items.values()):
            handler(None, obj)

    def add_index(self, name: str, index: Index) -> None:
        """Let `indexed(name, value)` find the objects for which `index` gives `value`; adding a name again changes nothing."""
        if name in self._indexes:
            return
        self._indexes[name] = index
        for key, obj in self.items.items():
            for value in index(obj):
                self._index.setdefault((name, value), {})[key] = obj

    def indexed(self, name: str, value: str) -> list[Object]:
        """The objects that index `name` files under `value`."""
        return list(self._index.get((name, value), {}).values())

    def learn(self, obj: Object) -> None:
        """Take in the answer to a write of one's own, so that the cache is never behind its owner.

        Nothing happens when the watch has already gone past that version, or when versions are not numbers.
        """
        version = _version(obj["metadata"].get("resourceVersion", ""))
        if version > _version(self._seen) >= 0:
            self._store(obj)

    async def run(self) -> None:
        """Follow the server until cancelled."""
        wait = FIRST_WAIT
        fresh = False
        while True:
            try:
                if not fresh:
                    await self._list()
                    fresh = True
                async for event in self._api.watch(self.gvr, self._namespace, resource_version=self._seen, **self._selectors):
                    wait = FIRST_WAIT
                    self._take(event.type, event.object)
                pause = FIRST_WAIT / 10
            except ApiError as error:
                if error.code == 410:
                    fresh, pause = False, FIRST_WAIT / 10
                else:
                    if error.code == 404:
                        self._replace([], "")
                        self.synced.set()
                    else:
                        log.warning("following %s failed: %s", self.gvr.resource, error)
                    fresh, pause, wait = False, wait, min(wait * 2, LONGEST_WAIT)
            except (VarkaError, OSError, TimeoutError) as error:
                log.debug("following %s failed: %s", self.gvr.resource, error)
                pause, wait = wait, min(wait * 2, LONGEST_WAIT)
            await self._clock.sleep(pause)

    async def _list(self) -> None:
        answer = await self._api.list(self.gvr, self._namespace, **self._selectors)
        self._replace(answer.items, answer.resource_version)
        self.synced.set()

    def _replace(self, items: list[Object], version: str) -> None:
        """Become what a list says; objects learnt of after the list was made stay."""
        current = {key_of(obj): obj for obj in items}
        listed = _version(version)
        for key, old in list(self.items.items()):
            if key not in current and (listed < 0 or _version(old["metadata"].get("resourceVersion", "")) <= listed):
                self._drop(key)
        self._seen = version
        for obj in current.values():
            self._store(obj)

    def _take(self, kind: str, obj: Object) -> None:
        version = obj["metadata"].get("resourceVersion") or ""
        if kind == "DELETED":
            key = key_of(obj)
            held = self.items.get(key)
            if held is not None and (held["metadata"].get("uid") == obj["metadata"].get("uid") or _older(held, obj)):
                self._drop(key, obj)
        elif kind in ("ADDED", "MODIFIED"):
            self._store(obj)
        if version:
            self._seen = version

    def _store(self, obj: Object) -> None:
        key = key_of(obj)
        old = self.items.get(key)
        if old is not None:
            if old["metadata"].get("resourceVersion") == obj["metadata"].get("resourceVersion") or _older(obj, old):
                return
            if old["metadata"].get("uid") != obj["metadata"].get("uid"):
                self._drop(key)
                old = None
        self.items[key] = obj
        self._file(key, old, obj)
        self._tell(old, obj)

    def _drop(self, key: Key, last: Object | None = None) -> None:
        old = self.items.pop(key)
        self._file(key, old, None)
        self._tell(last if last is not None else old, None)

    def _file(self, key: Key, old: Object | None, new: Object | None) -> None:
        for name, index in self._indexes.items():
            for value in index(old) if old is not None else ():
                shelf = self._index.get((name, value))
                if shelf is not None:
                    shelf.pop(key, None)
                    if not shelf:
                        del self._index[name, value]
            for value in index(new) if new is not None else ():
                self._index.setdefault((name, value), {})[key] = new if new is not None else {}

    def _tell(self, old: Object | None, new: Object | None) -> None:
        for handler in self._handlers:
            try:
                handler(old, new)
            except Exception:
                log.exception("a handler of %s failed", self.gvr.resource)


def _older(one: Object, other: Object) -> bool:
    """Both versions are numbers and `one` is the older."""
    first, second = _version(one["metadata"].get("resourceVersion", "")), _version(other["metadata"].get("resourceVersion", ""))
    return 0 <= first < second


class Informers:
    """One informer a kind, shared by everyone in the process; `run` starts them all, and later ones as they are asked for."""

    def __init__(self, api: Api, clock: Clock | None = None) -> None:
        self._api = api
        self._clock = clock
        self._informers: dict[Gvr, Informer] = {}
        self._group: asyncio.TaskGroup | None = None
        self._tasks: dict[Gvr, asyncio.Task[None]] = {}

    def of(self, gvr: Gvr) -> Informer:
        """The informer of a kind over all namespaces."""
        informer = self._informers.get(gvr)
        if informer is None:
            informer = self._informers[gvr] = Informer(self._api, gvr, clock=self._clock)
            if self._group is not None:
                self._start(gvr, informer)
        return informer

    def forget(self, gvr: Gvr) -> None:
        """Stop following a kind that is gone."""
        self._informers.pop(gvr, None)
        task = self._tasks.pop(gvr, None)
        if task is not None:
            task.cancel()

    @property
    def kinds(self) -> list[Gvr]:
        """The kinds that are followed."""
        return list(self._informers)

    async def synced(self, timeout: float = 60.0) -> None:
        """Wait until each has its first list; TimeoutError when that takes too long."""
        async with asyncio.timeout(timeout):
            for informer in list(self._informers.values()):
                await informer.synced.wait()

    async def run(self) -> None:
        """Follow everything until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            try:
                for gvr, informer in self._informers.items():
                    self._start(gvr, informer)
                await asyncio.Event().wait()
            finally:
                self._group = None

    def _start(self, gvr: Gvr, informer: Informer) -> None:
        if self._group is not None:
            self._tasks[gvr] = self._group.create_task(informer.run(), name=f"informer:{gvr.resource}")
