"""Events: what happened to an object, for `kubectl describe` and `kubectl get events`.

An event that says the same of the same object again counts up instead of being written anew. Old ones are removed.
Writing never holds up who records: events wait in a bounded queue, and are dropped when it is full.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict

from varka.base.errors import VarkaError
from varka.client.api import ApiError, Object
from varka.client.resources import EVENTS
from varka.cluster.controllers.context import Context

log = logging.getLogger(__name__)

NORMAL, WARNING = "Normal", "Warning"


class Recorder:
    """Writes the events of one process; `run` does the writing."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._queue: asyncio.Queue[tuple[str, Object]] = asyncio.Queue(maxsize=1000)
        self._written: OrderedDict[tuple[str, ...], tuple[str, str, int]] = OrderedDict()
        self._serial = itertools.count(time.time_ns())

    def record(self, component: str, obj: Object, kind: str, reason: str, message: str) -> None:
        """`kind` is NORMAL or WARNING; `obj` needs apiVersion, kind and metadata."""
        meta = obj["metadata"]
        involved = {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "name": meta["name"], "uid": meta.get("uid", "")}
        if meta.get("namespace"):
            involved["namespace"] = meta["namespace"]
        if meta.get("resourceVersion"):
            involved["resourceVersion"] = meta["resourceVersion"]
        event = {"type": kind, "reason": reason, "message": message[:1024], "involvedObject": involved}
        try:
            self._queue.put_nowait((component, event))
        except asyncio.QueueFull:
            log.warning("too many events, dropping %s of %s", reason, meta["name"])

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            component, event = await self._queue.get()
            try:
                await self._write(component, event)
            except (VarkaError, OSError, TimeoutError) as error:
                log.debug("an event could not be written: %s", error)

    async def _write(self, component: str, event: Object) -> None:
        involved = event["involvedObject"]
        key = (component, involved["kind"], involved.get("namespace", ""), involved["name"], involved["uid"], event["type"], event["reason"], event["message"])
        namespace, now = involved.get("namespace") or "default", self._context.timestamp()
        known = self._written.get(key)
        if known is not None:
            name, _, count = known
            try:
                await self._context.api.patch(EVENTS, name, {"count": count + 1, "lastTimestamp": now}, namespace)
                self._remember(key, (name, namespace, count + 1))
                return
            except ApiError as error:
                if error.code != 404:
                    raise
        name = f"{involved['name'][:200]}.{next(self._serial):x}"
        event |= {"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace}, "firstTimestamp": now, "lastTimestamp": now}
        event |= {"count": 1, "source": {"component": component}, "reportingComponent": component, "reportingInstance": ""}
        await self._context.api.create(EVENTS, event, namespace)
        self._remember(key, (name, namespace, 1))

    def _remember(self, key: tuple[str, ...], value: tuple[str, str, int]) -> None:
        self._written[key] = value
        self._written.move_to_end(key)
        while len(self._written) > 4096:
            self._written.popitem(last=False)


class Expiry:
    """Removes events when nothing has been added to them for as long as the settings say."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def run(self) -> None:
        """Look every minute until cancelled."""
        while True:
            await self._context.clock.sleep(60)
            try:
                await self.sweep()
            except (VarkaError, OSError, TimeoutError) as error:
                log.warning("old events could not be removed: %s", error)

    async def sweep(self) -> None:
        """Remove what is too old now."""
        context = self._context
        for event in (await context.api.list(EVENTS)).items:
            last = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"]["creationTimestamp"]
            if context.age(last[:19] + "Z") > context.settings.event_seconds:
                await context.api.delete(EVENTS, event["metadata"]["name"], event["metadata"]["namespace"])
