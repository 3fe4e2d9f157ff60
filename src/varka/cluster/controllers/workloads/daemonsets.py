"""DaemonSets: one pod on every node that takes it."""

from __future__ import annotations

from varka.client.api import Object
from varka.client.informers import Key
from varka.client.resources import DAEMON_SETS, NODES, PODS
from varka.cluster.controllers import events, ownership, podstate, scheduler
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder
from varka.cluster.controllers.queues import Reconciler
from varka.cluster.controllers.workloads import rollouts
from varka.cluster.controllers.workloads.replicasets import availability

COMPONENT = "daemonset-controller"
REVISION = "controller-revision-hash"
TOLERATED = (
    "not-ready:NoExecute",
    "unreachable:NoExecute",
    "disk-pressure:NoSchedule",
    "memory-pressure:NoSchedule",
    "pid-pressure:NoSchedule",
    "unschedulable:NoSchedule",
)


class DaemonSets:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        self._sets, self._pods, self._nodes = context.informer(DAEMON_SETS), context.informer(PODS), context.informer(NODES)
        ownership.add_indexes(self._pods)
        self.reconciler = Reconciler("daemonsets", self.reconcile, context.clock, workers=4)
        self._sets.add_handler(self.reconciler.on_change())
        self._pods.add_handler(self._pod_changed)
        self._nodes.add_handler(self._node_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new if new is not None else old
        owner = ownership.controller_of(pod) if pod is not None else None
        if pod is not None and owner is not None and owner["kind"] == "DaemonSet":
            self.reconciler.add(Key(pod["metadata"]["namespace"], owner["name"]))

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or old.get("spec") != new.get("spec") or old["metadata"].get("labels") != new["metadata"].get("labels"):
            for key in self._sets.items:
                self.reconciler.add(key)

    async def reconcile(self, key: Key) -> float | None:
        """Create and replace pods, then count them."""
        owner = self._sets.items.get(key)
        if owner is None or "deletionTimestamp" in owner["metadata"]:
            return None
        revision = podstate.digest(owner["spec"]["template"])
        by_node: dict[str, list[Object]] = {}
        for pod in await ownership.claim(self._context, PODS, owner, "DaemonSet"):
            by_node.setdefault(_node_of(pod), []).append(pod)
        template = _template(owner)
        wanted = sorted(node["metadata"]["name"] for node in self._nodes if not scheduler.refusal(template, node))
        for name in wanted:
            live = [pod for pod in by_node.get(name, ()) if podstate.active(pod)]
            for pod in by_node.get(name, ()):
                if podstate.ended(pod) and not podstate.terminating(pod):
                    await self._delete(owner, pod)
            if not live and not any(podstate.terminating(pod) for pod in by_node.get(name, ())):
                await self._create(owner, template, name, revision)
            for pod in sorted(live, key=podstate.deletion_rank)[: len(live) - 1]:
                await self._delete(owner, pod)
        for name, pods in by_node.items():
            if name not in wanted:
                for pod in pods:
                    if not podstate.terminating(pod):
                        await self._delete(owner, pod)
        await self._replace(owner, [pod for name in wanted for pod in by_node.get(name, ())], len(wanted), revision)
        return await self._report(owner, set(wanted), revision)

    async def _replace(self, owner: Object, pods: list[Object], wanted: int, revision: str) -> None:
        """Rolling update: pods of an old template go, never more unavailable at once than allowed."""
        strategy = owner["spec"].get("updateStrategy") or {}
        if strategy.get("type") == "OnDelete":
            return
        allowed = max(1, rollouts.absolute((strategy.get("rollingUpdate") or {}).get("maxUnavailable", 1), wanted, up=True))
        live = [pod for pod in pods if podstate.active(pod)]
        stale = [pod for pod in live if (pod["metadata"].get("labels") or {}).get(REVISION) != revision]
        room = allowed - (wanted - sum(podstate.ready(pod) for pod in live))
        for pod in sorted(stale, key=podstate.deletion_rank):
            if podstate.ready(pod):
                if room <= 0:
                    continue
                room -= 1
            await self._delete(owner, pod)

    async def _create(self, owner: Object, template: Object, node: str, revision: str) -> None:
        pod = podstate.from_template(template, owner, ownership.reference(owner, "apps/v1", "DaemonSet"))
        pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), REVISION: revision, "pod-template-generation": "1"}
        term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}}}
        pod["spec"] = {**template["spec"], "affinity": {**(template["spec"].get("affinity") or {}), **affinity}}
        made = await self._context.create(PODS, pod)
        self._recorder.record(COMPONENT, owner, events.NORMAL, "SuccessfulCreate", f"Created pod: {made['metadata']['name']}")

    async def _delete(self, owner: Object, pod: Object) -> None:
        if await self._context.delete(PODS, pod):
            self._recorder.record(COMPONENT, owner, events.NORMAL, "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")

    async def _report(self, owner: Object, wanted: set[str], revision: str) -> float | None:
        pods = [pod for pod in self._pods.indexed(ownership.BY_CONTROLLER, owner["metadata"]["uid"]) if podstate.active(pod)]
        placed = [pod for pod in pods if _node_of(pod) in wanted]
        ready = [pod for pod in placed if podstate.ready(pod)]
        available, again = availability(self._context, ready, owner["spec"].get("minReadySeconds", 0))
        counts = {
            "updatedNumberScheduled": sum((pod["metadata"].get("labels") or {}).get(REVISION) == revision for pod in placed),
            "numberAvailable": available,
            "numberUnavailable": len(wanted) - available,
        }
        status = {
            "currentNumberScheduled": len(placed),
            "numberMisscheduled": len(pods) - len(placed),
            "desiredNumberScheduled": len(wanted),
            "numberReady": len(ready),
            "observedGeneration": owner["metadata"].get("generation", 1),
            **{name: count for name, count in counts.items() if count},
        }
        await self._context.update_status(DAEMON_SETS, owner, status)
        return again


def _template(owner: Object) -> Object:
    """The template with the tolerations that every daemon has."""
    template = owner["spec"]["template"]
    added = [{"key": f"node.kubernetes.io/{name}", "operator": "Exists", "effect": effect} for name, _, effect in (one.partition(":") for one in TOLERATED)]
    return {**template, "spec": {**template["spec"], "tolerations": [*(template["spec"].get("tolerations") or ()), *added]}}


def _node_of(pod: Object) -> str:
    if pod["spec"].get("nodeName"):
        return str(pod["spec"]["nodeName"])
    affinity = ((pod["spec"].get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    for term in affinity.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            return str(field["values"][0])
    return ""
