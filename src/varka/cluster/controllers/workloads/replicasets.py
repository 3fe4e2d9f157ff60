"""ReplicaSets: as many pods as wanted, no more and no fewer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from varka.base.errors import VarkaError
from varka.client.api import ApiError, Object
from varka.client.informers import Key
from varka.client.resources import PODS, REPLICA_SETS
from varka.cluster.controllers import conditions, events, ownership, podstate
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder
from varka.cluster.controllers.queues import Reconciler

COMPONENT = "replicaset-controller"
BURST = 500


class ReplicaSets:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        self._sets, self._pods = context.informer(REPLICA_SETS), context.informer(PODS)
        ownership.add_indexes(self._pods)
        self.reconciler = Reconciler("replicasets", self.reconcile, context.clock)
        self._sets.add_handler(self.reconciler.on_change())
        self._pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        for pod in (old, new):
            owner = ownership.controller_of(pod) if pod is not None else None
            if pod is not None and owner is not None and owner["kind"] == "ReplicaSet":
                self.reconciler.add(Key(pod["metadata"]["namespace"], owner["name"]))
        if new is not None and ownership.controller_of(new) is None and not podstate.terminating(new) and new["metadata"].get("labels"):
            namespace = new["metadata"]["namespace"]
            for key, owner in self._sets.items.items():
                if key.namespace == namespace and ownership.selected(owner["spec"].get("selector"), new["metadata"]["labels"]):
                    self.reconciler.add(key)

    async def reconcile(self, key: Key) -> float | None:
        """Create or delete pods, then tell in the status what there is."""
        owner = self._sets.items.get(key)
        if owner is None or "deletionTimestamp" in owner["metadata"]:
            return None
        pods = [pod for pod in await ownership.claim(self._context, PODS, owner, "ReplicaSet") if podstate.active(pod)]
        failure: ApiError | None = None
        surplus = len(pods) - owner["spec"].get("replicas", 1)
        if surplus < 0:
            failure = await self._grow(owner, min(-surplus, BURST))
        elif surplus > 0:
            await self._shrink(owner, sorted(pods, key=podstate.deletion_rank)[: min(surplus, BURST)])
        if surplus:
            pods = [pod for pod in self._pods.indexed(ownership.BY_CONTROLLER, owner["metadata"]["uid"]) if podstate.active(pod)]
        again = await self._report(owner, pods, failure, surplus)
        if failure is not None:
            raise failure
        return again

    async def _grow(self, owner: Object, count: int) -> ApiError | None:
        reference = ownership.reference(owner, "apps/v1", "ReplicaSet")
        wanted = podstate.from_template(owner["spec"]["template"], owner, reference)

        async def create() -> None:
            made = await self._context.create(PODS, wanted)
            self._recorder.record(COMPONENT, owner, events.NORMAL, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

        error = await slow_start(count, create)
        if error is not None and not (error.code == 403 and "being terminated" in error.message):
            self._recorder.record(COMPONENT, owner, events.WARNING, "FailedCreate", f"Error creating: {error.message}")
        return error

    async def _shrink(self, owner: Object, pods: list[Object]) -> None:
        for pod in pods:
            if await self._context.delete(PODS, pod):
                self._recorder.record(COMPONENT, owner, events.NORMAL, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    async def _report(self, owner: Object, pods: list[Object], failure: ApiError | None, surplus: int) -> float | None:
        template_labels = (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
        ready = [pod for pod in pods if podstate.ready(pod)]
        available, again = availability(self._context, ready, owner["spec"].get("minReadySeconds", 0))
        old = owner.get("status") or {}
        status: Object = {"replicas": len(pods), "observedGeneration": owner["metadata"].get("generation", 1)}
        counts = {
            "fullyLabeledReplicas": sum(template_labels.items() <= (pod["metadata"].get("labels") or {}).items() for pod in pods),
            "readyReplicas": len(ready),
            "availableReplicas": available,
        }
        status |= {name: count for name, count in counts.items() if count}
        kept = [condition for condition in old.get("conditions") or () if condition["type"] != "ReplicaFailure" or failure is not None]
        if failure is not None:
            reason = "FailedCreate" if surplus < 0 else "FailedDelete"
            kept = conditions.put(kept, {"type": "ReplicaFailure", "status": "True", "reason": reason, "message": failure.message}, self._context.timestamp())
        if kept:
            status["conditions"] = kept
        await self._context.update_status(REPLICA_SETS, self._sets.items.get(Key(owner["metadata"]["namespace"], owner["metadata"]["name"]), owner), status)
        return again


def availability(context: Context, ready: list[Object], minimum: float) -> tuple[int, float | None]:
    """How many ready pods have been so for `minimum` seconds, and when to look again for those that have not."""
    if not minimum:
        return len(ready), None
    waits = [minimum - context.age(podstate.ready_since(pod)) for pod in ready]
    open_waits = [wait for wait in waits if wait > 0]
    return len(waits) - len(open_waits), min(open_waits) if open_waits else None


async def slow_start(count: int, action: Callable[[], Awaitable[None]]) -> ApiError | None:
    """Run `action` `count` times: once, then two at a time, four, …, and stop after a batch in which one failed. Gives the first failure."""
    batch = 1
    while count > 0:
        size = min(batch, count)
        results = await asyncio.gather(*(action() for _ in range(size)), return_exceptions=True)
        for result in results:
            if isinstance(result, ApiError):
                return result
            if isinstance(result, VarkaError):
                return ApiError(500, "InternalError", result.message)
            if isinstance(result, BaseException):
                raise result
        count -= size
        batch *= 2
    return None
