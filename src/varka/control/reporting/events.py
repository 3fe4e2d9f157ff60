"""Events: what people see with `kubectl get events`.

The same event again raises the count of the one that is there. Recording never waits and never fails a caller.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass

from varka.base.clock import Clock, rfc3339
from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Api, ApiError, Object
from varka.control.certificates.tokens import Caller
from varka.control.settings import Settings
from varka.resources.conditions import Condition

log = logging.getLogger("varka.control.reporting.events")

PENDING = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    namespace: str
    regarding: tuple[str, str, str, str]
    """Kind, namespace, name, uid."""
    reason: str
    message: str
    about: str
    """What tells this event from another of the same reason on the same object; a change of the message alone is the same event."""


class Recorder:
    """Writes events in the background; what does not fit into the queue is dropped."""

    def __init__(self, api: Api, settings: Settings, clock: Clock) -> None:
        self._api = api
        self._settings = settings
        self._clock = clock
        self._queue: asyncio.Queue[_Event] = asyncio.Queue(PENDING)

    def secret_rotated(self, caller: Caller, serial: str) -> None:
        """A workload has got a certificate in place of its old one: told where it runs, and where the authority runs."""
        place = f"{caller.namespace}/{caller.pod}"
        own = ("Pod", caller.namespace, caller.pod, caller.pod_uid)
        self._put(_Event(namespace=caller.namespace, regarding=own, reason="SecretRotated", message=f"new workload certificate {serial}", about=""))
        if caller.namespace != self._settings.namespace:
            authority = ("Pod", self._settings.namespace, self._settings.pod_name, "")
            message = f"signed a new workload certificate for {place}"
            self._put(_Event(namespace=self._settings.namespace, regarding=authority, reason="SecretRotated", message=message, about=place))

    def mesh_config(self, name: str, findings: Iterable[Condition]) -> None:
        """What the mesh configuration says and has no effect, or cannot be read."""
        own = ("ConfigMap", self._settings.namespace, name, "")
        for item in findings:
            self._put(_Event(namespace=self._settings.namespace, regarding=own, reason=item.reason, message=f"{item.severity}: {item.text}", about=item.text))

    def _put(self, event: _Event) -> None:
        try:
            self._queue.put_nowait(event)
        except asyncio.QueueFull:
            log.debug("event dropped: %s", event.message)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            event = await self._queue.get()
            try:
                await self._write(event)
            except VarkaError as error:
                log.debug("an event was not written: %s", error)

    async def _write(self, event: _Event) -> None:
        kind, namespace, name, uid = event.regarding
        digest = hashlib.blake2b(f"{event.regarding}{event.reason}{event.about}".encode(), digest_size=8).hexdigest()
        full_name = f"{name}.{digest}"
        now = rfc3339(self._clock.now())
        body: Object = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": full_name, "namespace": event.namespace},
            "involvedObject": {"apiVersion": "v1", "kind": kind, "namespace": namespace, "name": name, **({"uid": uid} if uid else {})},
            "reason": event.reason,
            "message": event.message,
            "type": "Normal",
            "source": {"component": "istiod"},
            "reportingComponent": "istiod",
            "reportingInstance": self._settings.pod_name,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        try:
            await self._api.create(resources.EVENTS, body, event.namespace)
        except ApiError as error:
            if error.code != 409:
                raise
            current = await self._api.get(resources.EVENTS, full_name, event.namespace)
            again = {"count": int(current.get("count") or 1) + 1, "lastTimestamp": now, "message": event.message}
            await self._api.patch(resources.EVENTS, full_name, again, event.namespace)
