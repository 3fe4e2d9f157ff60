"""StatefulSets: pods with names that stay, made and replaced in order.

A pod's template is known by the label `controller-revision-hash`. Pods below a partition that have to be made again are
made from the newest template.
"""

from __future__ import annotations

from varka.client.api import ApiError, Object
from varka.client.informers import Key
from varka.client.resources import PERSISTENT_VOLUME_CLAIMS, PODS, STATEFUL_SETS
from varka.cluster.controllers import events, ownership, podstate
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder
from varka.cluster.controllers.queues import Reconciler
from varka.cluster.controllers.workloads.replicasets import availability

COMPONENT = "statefulset-controller"
REVISION = "controller-revision-hash"


class StatefulSets:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        self._sets, self._pods = context.informer(STATEFUL_SETS), context.informer(PODS)
        ownership.add_indexes(self._pods)
        self.reconciler = Reconciler("statefulsets", self.reconcile, context.clock, workers=4)
        self._sets.add_handler(self.reconciler.on_change())
        self._pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new if new is not None else old
        owner = ownership.controller_of(pod) if pod is not None else None
        if pod is not None and owner is not None and owner["kind"] == "StatefulSet":
            self.reconciler.add(Key(pod["metadata"]["namespace"], owner["name"]))

    async def reconcile(self, key: Key) -> float | None:
        """One step, and the status."""
        owner = self._sets.items.get(key)
        if owner is None or "deletionTimestamp" in owner["metadata"]:
            return None
        revision = f"{key.name}-{podstate.digest(owner['spec']['template'])}"
        pods = {ordinal: pod for pod in await ownership.claim(self._context, PODS, owner, "StatefulSet") if (ordinal := _ordinal(owner, pod)) is not None}
        await self._step(owner, pods, revision)
        return await self._report(owner, revision)

    async def _step(self, owner: Object, pods: dict[int, Object], revision: str) -> None:
        spec = owner["spec"]
        first = (spec.get("ordinals") or {}).get("start", 0)
        wanted = range(first, first + spec.get("replicas", 1))
        in_order = spec.get("podManagementPolicy", "OrderedReady") == "OrderedReady"
        for ordinal in wanted:
            pod = pods.get(ordinal)
            if pod is None:
                await self._create(owner, ordinal, revision)
            elif podstate.ended(pod) and not podstate.terminating(pod):
                await self._delete(owner, pod)
            if in_order and (pod is None or podstate.terminating(pod) or not podstate.ready(pod)):
                return
        for ordinal in sorted(set(pods) - set(wanted), reverse=True):
            if not podstate.terminating(pods[ordinal]):
                await self._delete(owner, pods[ordinal])
            if in_order:
                return
        await self._update(owner, pods, wanted, revision)

    async def _update(self, owner: Object, pods: dict[int, Object], wanted: range, revision: str) -> None:
        """Replace the pod with the highest ordinal that is of an old template, when all above it are ready again."""
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        partition = (strategy.get("rollingUpdate") or {}).get("partition", 0)
        for ordinal in reversed(wanted):
            pod = pods.get(ordinal)
            if ordinal < partition or pod is None or podstate.terminating(pod):
                return
            if (pod["metadata"].get("labels") or {}).get(REVISION) != revision:
                await self._delete(owner, pod)
                return
            if not podstate.ready(pod):
                return

    async def _create(self, owner: Object, ordinal: int, revision: str) -> None:
        name = f"{owner['metadata']['name']}-{ordinal}"
        template = owner["spec"]["template"]
        pod = podstate.from_template(template, owner, ownership.reference(owner, "apps/v1", "StatefulSet"), name)
        identity = {"statefulset.kubernetes.io/pod-name": name, "apps.kubernetes.io/pod-index": str(ordinal), REVISION: revision}
        pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), **identity}
        volumes: list[Object] = list(template["spec"].get("volumes") or ())
        for claim in owner["spec"].get("volumeClaimTemplates") or ():
            claimed = f"{claim['metadata']['name']}-{name}"
            await self._claim(owner, claim, claimed)
            volumes = [one for one in volumes if one["name"] != claim["metadata"]["name"]]
            volumes.append({"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": claimed}})
        pod["spec"] = {**template["spec"], "hostname": name}
        if owner["spec"].get("serviceName"):
            pod["spec"]["subdomain"] = owner["spec"]["serviceName"]
        if volumes:
            pod["spec"]["volumes"] = volumes
        try:
            await self._context.create(PODS, pod)
        except ApiError as error:
            message = f"create Pod {name} in StatefulSet {owner['metadata']['name']} failed error: {error.message}"
            self._recorder.record(COMPONENT, owner, events.WARNING, "FailedCreate", message)
            raise
        message = f"create Pod {name} in StatefulSet {owner['metadata']['name']} successful"
        self._recorder.record(COMPONENT, owner, events.NORMAL, "SuccessfulCreate", message)

    async def _claim(self, owner: Object, template: Object, name: str) -> None:
        meta = {"name": name, "namespace": owner["metadata"]["namespace"], "labels": (owner["spec"]["selector"].get("matchLabels") or {})}
        claim = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": template["spec"]}
        try:
            await self._context.api.create(PERSISTENT_VOLUME_CLAIMS, claim, owner["metadata"]["namespace"])
        except ApiError as error:
            if error.code != 409:
                raise

    async def _delete(self, owner: Object, pod: Object) -> None:
        if await self._context.delete(PODS, pod):
            message = f"delete Pod {pod['metadata']['name']} in StatefulSet {owner['metadata']['name']} successful"
            self._recorder.record(COMPONENT, owner, events.NORMAL, "SuccessfulDelete", message)

    async def _report(self, owner: Object, revision: str) -> float | None:
        pods = [pod for pod in self._pods.indexed(ownership.BY_CONTROLLER, owner["metadata"]["uid"]) if podstate.active(pod)]
        ready = [pod for pod in pods if podstate.ready(pod)]
        available, again = availability(self._context, ready, owner["spec"].get("minReadySeconds", 0))
        updated = sum((pod["metadata"].get("labels") or {}).get(REVISION) == revision for pod in pods)
        old = owner.get("status") or {}
        done = updated == len(pods) == len(ready) == owner["spec"].get("replicas", 1)
        current = revision if done else old.get("currentRevision") or revision
        counts = {
            "readyReplicas": len(ready),
            "currentReplicas": sum((pod["metadata"].get("labels") or {}).get(REVISION) == current for pod in pods),
            "updatedReplicas": updated,
        }
        status = {
            "observedGeneration": owner["metadata"].get("generation", 1),
            "replicas": len(pods),
            "availableReplicas": available,
            "collisionCount": 0,
            "currentRevision": current,
            "updateRevision": revision,
            **{name: count for name, count in counts.items() if count},
        }
        await self._context.update_status(STATEFUL_SETS, owner, status)
        return again


def _ordinal(owner: Object, pod: Object) -> int | None:
    parent, _, number = pod["metadata"]["name"].rpartition("-")
    return int(number) if parent == owner["metadata"]["name"] and number.isdigit() else None
