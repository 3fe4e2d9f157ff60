"""Telling the API server how a pod stands, whenever that changed; a burst of changes becomes one write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from varka.base.clock import Clock, rfc3339
from varka.client import resources
from varka.client.api import Api, ApiError, Object, PatchType
from varka.cluster.runtime import status
from varka.cluster.runtime.status import PodState

if TYPE_CHECKING:
    from varka.cluster.runtime.pods import PodWorker

log = logging.getLogger("varka.runtime.telling")

TAKE_BACK_SECONDS = 0.3
"""How long a pod that a new node process takes back says nothing: until its containers are known again, it looks as if they waited."""
RETRY_WAITS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def retries() -> Iterator[float]:
    """Seconds to wait before each further try, without end."""
    yield from RETRY_WAITS
    while True:
        yield RETRY_WAITS[-1]


async def tell(worker: PodWorker, state: PodState, changed: asyncio.Event, api: Api, clock: Clock) -> None:
    """Write the status after every `changed`, until cancelled or the object is gone."""
    told: Object | None = None
    waits = retries()
    while True:
        await changed.wait()
        await asyncio.sleep(TAKE_BACK_SECONDS if told is None and worker.taken_back else 0)
        changed.clear()
        if not state.ip:
            continue
        current = status.build(state, worker.pod, rfc3339(clock.now()))
        if told is not None and same(told, current):
            continue
        try:
            answer = await _write(worker, current, api)
        except ApiError as error:
            if error.code in {404, 409}:
                return
            log.warning("status of pod/%s/%s not written: %s", worker.namespace, worker.name, error)
        except Exception:
            log.exception("status of pod/%s/%s not written", worker.namespace, worker.name)
        else:
            told, waits = current, retries()
            worker.pod = {**worker.pod, "status": answer.get("status") or {}}
            continue
        await asyncio.sleep(next(waits))
        changed.set()


async def _write(worker: PodWorker, current: Object, api: Api) -> Object:
    """Addresses replace the earlier ones: a strategic merge would keep both."""
    patch = dict(current)
    for key in ("podIPs", "hostIPs"):
        if key in patch:
            patch[key] = [{"$patch": "replace"}, *patch[key]]
    body = {"metadata": {"uid": worker.uid}, "status": patch}
    return await api.patch(resources.PODS, worker.name, body, worker.namespace, type=PatchType.STRATEGIC, subresource="status", manager="kubelet")


def same(told: Object, current: Object) -> bool:
    """Whether two statuses differ in no more than the moment of writing."""

    def essence(found: Object) -> Object:
        conditions = [(each["type"], each["status"], each.get("reason"), each.get("message")) for each in found["conditions"]]
        return {**found, "conditions": conditions}

    return essence(told) == essence(current)
