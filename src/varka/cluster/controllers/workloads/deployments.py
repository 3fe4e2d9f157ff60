"""Deployments: one ReplicaSet for every template there has been, replicas moved from the old ones to the new one."""

from __future__ import annotations

from typing import Any

from varka.client.api import ApiError, Object
from varka.client.informers import Key
from varka.client.resources import DEPLOYMENTS, PODS, REPLICA_SETS
from varka.cluster.controllers import events, ownership, podstate
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder
from varka.cluster.controllers.queues import Reconciler
from varka.cluster.controllers.workloads import deploymentstatus, rollouts

COMPONENT = "deployment-controller"
HASH = "pod-template-hash"
REVISION = "deployment.kubernetes.io/revision"
DESIRED = "deployment.kubernetes.io/desired-replicas"
MAXIMUM = "deployment.kubernetes.io/max-replicas"
NOT_COPIED = ("kubectl.kubernetes.io/last-applied-configuration", REVISION, DESIRED, MAXIMUM, "deployment.kubernetes.io/revision-history")


class Deployments:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        self._deployments, self._sets, self._pods = context.informer(DEPLOYMENTS), context.informer(REPLICA_SETS), context.informer(PODS)
        ownership.add_indexes(self._sets)
        ownership.add_indexes(self._pods)
        self.reconciler = Reconciler("deployments", self.reconcile, context.clock)
        self._deployments.add_handler(self.reconciler.on_change())
        self._sets.add_handler(self._set_changed)
        self._pods.add_handler(self._pod_changed)

    def _set_changed(self, old: Object | None, new: Object | None) -> None:
        for one in (old, new):
            owner = ownership.controller_of(one) if one is not None else None
            if one is not None and owner is not None:
                self.reconciler.add(Key(one["metadata"]["namespace"], owner["name"]))

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        """A Recreate rollout waits for the last pod to be gone."""
        owner = ownership.controller_of(old) if new is None and old is not None else None
        if old is not None and owner is not None and owner["kind"] == "ReplicaSet":
            parent = self._sets.get(owner["name"], old["metadata"]["namespace"])
            if parent is not None:
                self._set_changed(None, parent)

    async def reconcile(self, key: Key) -> float | None:
        """One step of the rollout, and the status."""
        deployment = self._deployments.items.get(key)
        if deployment is None or "deletionTimestamp" in deployment["metadata"]:
            return None
        sets = sorted(await ownership.claim(self._context, REPLICA_SETS, deployment, "Deployment"), key=_age)
        new = next((one for one in sets if _template(one) == _template(deployment)), None)
        old = [one for one in sets if one is not new]
        spec = deployment["spec"]
        if spec.get("paused"):
            await self._scale_paused(deployment, sets)
        elif (spec.get("strategy") or {}).get("type") == "Recreate":
            new = await self._recreate(deployment, new, old)
        else:
            new = await self._roll(deployment, new, old)
        fresh = [self._sets.items.get(_key(one), one) for one in old]
        newest = self._sets.items.get(_key(new), new) if new is not None else None
        again = await self._report(deployment, newest, fresh)
        if newest is not None and deploymentstatus.complete(deployment, newest, fresh):
            await self._forget(deployment, fresh)
        return again

    async def _roll(self, deployment: Object, new: Object | None, old: list[Object]) -> Object:
        bounds = rollouts.limits(deployment)
        new = await self._newest(deployment, new, old, rollouts.grow(bounds, _counts(new), [_counts(one) for one in old]))
        live = [one for one in old if one["spec"].get("replicas", 1)]
        for one, keep in zip(live, rollouts.shrink(bounds, _counts(new), [_counts(one) for one in live]), strict=True):
            await self._scale(deployment, one, keep)
        return new

    async def _recreate(self, deployment: Object, new: Object | None, old: list[Object]) -> Object | None:
        for one in old:
            await self._scale(deployment, one, 0)
        if any(not podstate.ended(pod) for one in old for pod in self._pods.indexed(ownership.BY_CONTROLLER, one["metadata"]["uid"])):
            return new
        return await self._newest(deployment, new, old, deployment["spec"].get("replicas", 1))

    async def _scale_paused(self, deployment: Object, sets: list[Object]) -> None:
        live = [one for one in sets if one["spec"].get("replicas", 1)] or sets[-1:]
        if len(live) == 1:
            await self._scale(deployment, live[0], deployment["spec"].get("replicas", 1))

    async def _newest(self, deployment: Object, new: Object | None, old: list[Object], replicas: int) -> Object:
        """The ReplicaSet of the current template, made or brought to the newest revision, with `replicas`."""
        revision = str(max((_revision(one) for one in old), default=0) + 1)
        if new is None:
            new = await self._create(deployment, revision, replicas)
            self._scaled(deployment, new, 0, replicas)
        else:
            if _revision(new) < int(revision):
                patch = {"metadata": {"annotations": {**_copied(deployment), REVISION: revision}}}
                new = await self._context.patch(REPLICA_SETS, new, patch)
            new = await self._scale(deployment, new, replicas)
        if _annotations(deployment).get(REVISION) != _annotations(new)[REVISION]:
            await self._context.patch(DEPLOYMENTS, deployment, {"metadata": {"annotations": {REVISION: _annotations(new)[REVISION]}}})
        return new

    async def _create(self, deployment: Object, revision: str, replicas: int) -> Object:
        meta, spec = deployment["metadata"], deployment["spec"]
        collisions = (deployment.get("status") or {}).get("collisionCount", 0)
        digest = podstate.digest([spec["template"], collisions] if collisions else spec["template"])
        template = {**spec["template"], "metadata": {**(spec["template"].get("metadata") or {})}}
        labels = {**(template["metadata"].get("labels") or {}), HASH: digest}
        template["metadata"]["labels"] = labels
        selector = {**spec["selector"], "matchLabels": {**(spec["selector"].get("matchLabels") or {}), HASH: digest}}
        made: Object = {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": f"{meta['name']}-{digest}",
                "namespace": meta["namespace"],
                "labels": labels,
                "annotations": {**_copied(deployment), **_sizes(deployment), REVISION: revision},
                "ownerReferences": [ownership.reference(deployment, "apps/v1", "Deployment")],
            },
            "spec": {"replicas": replicas, "selector": selector, "template": template},
        }
        if spec.get("minReadySeconds"):
            made["spec"]["minReadySeconds"] = spec["minReadySeconds"]
        try:
            return await self._context.create(REPLICA_SETS, made)
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return await self._collided(deployment, made, collisions, error)

    async def _collided(self, deployment: Object, made: Object, collisions: int, error: ApiError) -> Object:
        """The name is taken: by the same template of ours (the cache was behind), or by another one with the same digest."""
        there = await self._context.api.get(REPLICA_SETS, made["metadata"]["name"], made["metadata"]["namespace"])
        owner = ownership.controller_of(there)
        if owner is not None and owner["uid"] == deployment["metadata"]["uid"] and _template(there) == _template(deployment):
            return there
        await self._context.update_status(DEPLOYMENTS, deployment, {**(deployment.get("status") or {}), "collisionCount": collisions + 1})
        raise error

    async def _scale(self, deployment: Object, one: Object, replicas: int) -> Object:
        sizes = _sizes(deployment)
        before = one["spec"].get("replicas", 1)
        if before == replicas and sizes.items() <= _annotations(one).items():
            return one
        after = await self._context.patch(REPLICA_SETS, one, {"metadata": {"annotations": sizes}, "spec": {"replicas": replicas}})
        if before != replicas:
            self._scaled(deployment, one, before, replicas)
        return after

    def _scaled(self, deployment: Object, one: Object, before: int, after: int) -> None:
        if before != after:
            way = "up" if after > before else "down"
            message = f"Scaled {way} replica set {one['metadata']['name']} from {before} to {after}"
            self._recorder.record(COMPONENT, deployment, events.NORMAL, "ScalingReplicaSet", message)

    async def _report(self, deployment: Object, new: Object | None, old: list[Object]) -> float | None:
        key = _key(deployment)
        current = self._deployments.items.get(key, deployment)
        status = deploymentstatus.status(current, new, old, self._context.timestamp())
        late = deploymentstatus.deadline(current, status)
        if late is not None and new is not None:
            wait = late - self._context.age(deploymentstatus.last_progress(status))
            if wait <= 0:
                status = deploymentstatus.timed_out(status, new, self._context.timestamp())
                late = None
            else:
                late = wait + 0.1
        await self._context.update_status(DEPLOYMENTS, current, status)
        return late

    async def _forget(self, deployment: Object, old: list[Object]) -> None:
        """Keep no more old ReplicaSets than the history limit."""
        limit = deployment["spec"].get("revisionHistoryLimit", 10)
        idle = [one for one in sorted(old, key=_revision) if not one["spec"].get("replicas", 1) and not (one.get("status") or {}).get("replicas")]
        for one in idle[: max(0, len(idle) - limit)]:
            await self._context.delete(REPLICA_SETS, one)


def _key(obj: Object) -> Key:
    return Key(obj["metadata"]["namespace"], obj["metadata"]["name"])


def _age(obj: Object) -> tuple[str, str]:
    return obj["metadata"].get("creationTimestamp", ""), obj["metadata"]["name"]


def _annotations(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def _revision(obj: Object) -> int:
    text = _annotations(obj).get(REVISION, "0")
    return int(text) if text.isdigit() else 0


def _copied(deployment: Object) -> dict[str, str]:
    return {name: value for name, value in _annotations(deployment).items() if name not in NOT_COPIED}


def _sizes(deployment: Object) -> dict[str, str]:
    bounds = rollouts.limits(deployment)
    recreate = (deployment["spec"].get("strategy") or {}).get("type") == "Recreate"
    return {DESIRED: str(bounds.replicas), MAXIMUM: str(bounds.replicas + (0 if recreate else bounds.surge))}


def _counts(one: Object | None) -> rollouts.Counts:
    if one is None:
        return rollouts.Counts(wanted=0, available=0)
    return rollouts.Counts(wanted=one["spec"].get("replicas", 1), available=(one.get("status") or {}).get("availableReplicas", 0))


def _template(owner: Object) -> dict[str, Any]:
    """The template without the label that ReplicaSets add, for comparison."""
    template = owner["spec"]["template"]
    meta = {name: value for name, value in (template.get("metadata") or {}).items() if value}
    meta["labels"] = {name: value for name, value in (meta.get("labels") or {}).items() if name != HASH}
    return {"metadata": meta, "spec": template["spec"]}
