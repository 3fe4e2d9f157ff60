"""PodDisruptionBudgets: how many pods may be evicted now, for the eviction subresource to go by."""

from __future__ import annotations

from varka.client.api import Object
from varka.client.informers import Key
from varka.client.resources import DEPLOYMENTS, DISRUPTION_BUDGETS, PODS, REPLICA_SETS, STATEFUL_SETS
from varka.cluster.controllers import conditions, ownership, podstate
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.queues import Reconciler
from varka.cluster.controllers.workloads import rollouts


class DisruptionBudgets:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._budgets, self._pods = context.informer(DISRUPTION_BUDGETS), context.informer(PODS)
        self._owners = {kind: context.informer(gvr) for kind, gvr in (("ReplicaSet", REPLICA_SETS), ("StatefulSet", STATEFUL_SETS))}
        self._deployments = context.informer(DEPLOYMENTS)
        self.reconciler = Reconciler("disruption", self.reconcile, context.clock, workers=2)
        self._budgets.add_handler(self.reconciler.on_change())
        self._pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        for key, budget in self._budgets.items.items():
            for pod in (old, new):
                if pod is not None and key.namespace == pod["metadata"]["namespace"] and _covers(budget, pod):
                    self.reconciler.add(key)

    async def reconcile(self, key: Key) -> None:
        """Count the pods of one budget."""
        budget = self._budgets.items.get(key)
        if budget is None or "deletionTimestamp" in budget["metadata"]:
            return
        pods = [pod for pod in self._pods if pod["metadata"]["namespace"] == key.namespace and _covers(budget, pod) and not podstate.ended(pod)]
        expected = self._expected(pods)
        spec = budget["spec"]
        if "maxUnavailable" in spec:
            desired = max(0, expected - rollouts.absolute(spec["maxUnavailable"], expected, up=True))
        else:
            desired = rollouts.absolute(spec.get("minAvailable", 1), expected, up=True)
        healthy = sum(podstate.ready(pod) and not podstate.terminating(pod) for pod in pods)
        allowed = max(0, healthy - desired) if expected else 0
        old = budget.get("status") or {}
        reason = "SufficientPods" if allowed else "InsufficientPods"
        condition = {"type": "DisruptionAllowed", "status": str(allowed > 0), "reason": reason, "message": ""}
        condition["observedGeneration"] = budget["metadata"].get("generation", 1)
        status = {
            **old,
            "currentHealthy": healthy,
            "desiredHealthy": desired,
            "disruptionsAllowed": allowed,
            "expectedPods": expected,
            "observedGeneration": budget["metadata"].get("generation", 1),
            "conditions": conditions.put(list(old.get("conditions") or ()), condition, self._context.timestamp()),
        }
        await self._context.update_status(DISRUPTION_BUDGETS, budget, status)

    def _expected(self, pods: list[Object]) -> int:
        """How many pods their controllers want; pods without one count for themselves."""
        wanted: dict[str, int] = {}
        for pod in pods:
            owner = ownership.controller_of(pod)
            informer = self._owners.get(owner["kind"]) if owner is not None else None
            found = informer.get(owner["name"], pod["metadata"]["namespace"]) if informer is not None and owner is not None else None
            if found is None:
                wanted[pod["metadata"]["uid"]] = 1
                continue
            above = ownership.controller_of(found)
            parent = self._deployments.get(above["name"], pod["metadata"]["namespace"]) if above is not None else None
            top = parent if parent is not None else found
            wanted[top["metadata"]["uid"]] = top["spec"].get("replicas", 1)
        return sum(wanted.values())


def _covers(budget: Object, pod: Object) -> bool:
    selector = budget["spec"].get("selector")
    return selector == {} or ownership.selected(selector, pod["metadata"].get("labels"))
