"""Events of the runtime, written in the background: what kubelet tells of a pod, repeated ones counted."""

from __future__ import annotations

import asyncio
import logging
import secrets

from varka.base.clock import Clock, rfc3339
from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Api, Object

log = logging.getLogger("varka.runtime.events")
MOST_WAITING = 2000
MOST_KNOWN = 5000


class Recorder:
    """Takes events without waiting; `run` writes them."""

    def __init__(self, api: Api, clock: Clock, node: str) -> None:
        self._api = api
        self._clock = clock
        self._node = node
        self._queue: asyncio.Queue[tuple[Object, str, str, str, str]] = asyncio.Queue(MOST_WAITING)
        self._known: dict[tuple[str, ...], tuple[str, int]] = {}

    def record(self, pod: Object, kind: str, reason: str, message: str, path: str = "") -> None:
        """`kind` is Normal or Warning; `path` names the container, as `spec.containers{app}`."""
        try:
            self._queue.put_nowait((pod, kind, reason, message, path))
        except asyncio.QueueFull:
            log.warning("too many events: %s of pod/%s/%s is dropped", reason, pod["metadata"]["namespace"], pod["metadata"]["name"])

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            pod, kind, reason, message, path = await self._queue.get()
            try:
                await self._write(pod, kind, reason, message, path)
            except VarkaError as error:
                log.debug("event %s of %s not written: %s", reason, pod["metadata"]["name"], error)

    async def _write(self, pod: Object, kind: str, reason: str, message: str, path: str) -> None:
        meta = pod["metadata"]
        key = (meta["uid"], kind, reason, message, path)
        now = rfc3339(self._clock.now())
        if key in self._known:
            name, count = self._known[key]
            try:
                await self._api.patch(resources.EVENTS, name, {"count": count + 1, "lastTimestamp": now}, meta["namespace"])
                self._known[key] = (name, count + 1)
                return
            except VarkaError:
                del self._known[key]
        event: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": f"{meta['name']}.{secrets.token_hex(8)}", "namespace": meta["namespace"]},
            "involvedObject": {
                "kind": "Pod",
                "apiVersion": "v1",
                "namespace": meta["namespace"],
                "name": meta["name"],
                "uid": meta["uid"],
                "resourceVersion": meta.get("resourceVersion", ""),
                **({"fieldPath": path} if path else {}),
            },
            "reason": reason,
            "message": message,
            "type": kind,
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "eventTime": None,
            "source": {"component": "kubelet", "host": self._node},
            "reportingComponent": "kubelet",
            "reportingInstance": self._node,
        }
        made = await self._api.create(resources.EVENTS, event, meta["namespace"])
        if len(self._known) >= MOST_KNOWN:
            self._known.pop(next(iter(self._known)))
        self._known[key] = (made["metadata"]["name"], 1)
