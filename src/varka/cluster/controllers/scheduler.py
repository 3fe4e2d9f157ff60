"""The scheduler: every pod that the node can take is bound to it; of the others it says why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.client.api import ApiError, Object
from varka.client.informers import Key
from varka.client.resources import NODES, PODS
from varka.cluster.controllers import conditions, events, podstate
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder
from varka.cluster.controllers.queues import Reconciler

COMPONENT = "default-scheduler"
WAITING = "waiting"


class Scheduler:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        self._pods, self._nodes = context.informer(PODS), context.informer(NODES)
        self._pods.add_index(WAITING, lambda pod: (WAITING,) if _waits(pod) else ())
        self.reconciler = Reconciler("scheduler", self.reconcile, context.clock, workers=16)
        self._pods.add_handler(self._pod_changed)
        self._nodes.add_handler(self._node_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if new is not None and _waits(new) and (old is None or old["spec"] != new["spec"]):
            self.reconciler.add(Key(new["metadata"]["namespace"], new["metadata"]["name"]))

    def _node_changed(self, old: Object | None, new: Object | None) -> None:
        if old is None or new is None or old.get("spec") != new.get("spec") or old["metadata"].get("labels") != new["metadata"].get("labels"):
            for pod in self._pods.indexed(WAITING, WAITING):
                self.reconciler.add(Key(pod["metadata"]["namespace"], pod["metadata"]["name"]))

    async def reconcile(self, key: Key) -> None:
        """Bind one pod, or say why it stays unbound."""
        pod = self._pods.items.get(key)
        if pod is None or not _waits(pod):
            return
        nodes = list(self._nodes)
        refusals = [reason for node in nodes if (reason := refusal(pod, node))]
        if nodes and len(refusals) < len(nodes):
            node = next(node for node in nodes if not refusal(pod, node))
            await self._bind(pod, node["metadata"]["name"])
        elif nodes:
            await self._refuse(pod, len(nodes), refusals)

    async def _bind(self, pod: Object, node: str) -> None:
        meta = pod["metadata"]
        named = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": named, "target": {"apiVersion": "v1", "kind": "Node", "name": node}}
        try:
            await self._context.api.create(PODS, body, meta["namespace"], name=meta["name"], subresource="binding")
        except ApiError as error:
            if error.code not in (404, 409):
                raise
            return
        self._recorder.record(COMPONENT, pod, events.NORMAL, "Scheduled", f"Successfully assigned {meta['namespace']}/{meta['name']} to {node}")

    async def _refuse(self, pod: Object, count: int, refusals: list[str]) -> None:
        counted = ", ".join(f"{refusals.count(reason)} {reason}" for reason in sorted(set(refusals)))
        preemption = f"preemption: 0/{count} nodes are available: {count} Preemption is not helpful for scheduling."
        message = f"0/{count} nodes are available: {counted}. {preemption}"
        old = conditions.find(pod, "PodScheduled")
        if old is None or old.get("message") != message:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
            status = pod.get("status") or {}
            listed = conditions.put(list(status.get("conditions") or ()), condition, self._context.timestamp())
            await self._context.update_status(PODS, pod, {**status, "phase": "Pending", "conditions": listed})
            self._recorder.record(COMPONENT, pod, events.WARNING, "FailedScheduling", message)


def _waits(pod: Object) -> bool:
    spec = pod["spec"]
    own = spec.get("schedulerName", COMPONENT) == COMPONENT and not spec.get("schedulingGates")
    return own and not spec.get("nodeName") and not podstate.terminating(pod) and not podstate.ended(pod)


def refusal(pod: Object, node: Object) -> str:
    """Why the node does not take the pod, empty when it does."""
    spec, labels, node_spec = pod["spec"], node["metadata"].get("labels") or {}, node.get("spec") or {}
    tolerations = spec.get("tolerations") or ()
    unschedulable = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    if node_spec.get("unschedulable") and not _tolerated(unschedulable, tolerations):
        return "node(s) were unschedulable"
    for taint in node_spec.get("taints") or ():
        if taint["effect"] != "PreferNoSchedule" and taint["key"] != unschedulable["key"] and not _tolerated(taint, tolerations):
            return f"node(s) had untolerated taint(s) {{{taint['key']}: {taint.get('value', '')}}}"
    selector: Mapping[str, str] = spec.get("nodeSelector") or {}
    affinity = ((spec.get("affinity") or {}).get("nodeAffinity") or {}).get("requiredDuringSchedulingIgnoredDuringExecution") or {}
    terms = affinity.get("nodeSelectorTerms")
    if not selector.items() <= labels.items() or (terms and not any(_term(term, labels, node["metadata"]["name"]) for term in terms)):
        return "node(s) didn't match Pod's node affinity/selector"
    return ""


def _tolerated(taint: Object, tolerations: Iterable[Object]) -> bool:
    for toleration in tolerations:
        if toleration.get("effect") not in (None, "", taint["effect"]):
            continue
        if toleration.get("operator") == "Exists" and toleration.get("key") in (None, "", taint["key"]):
            return True
        if toleration.get("key") == taint["key"] and toleration.get("value", "") == taint.get("value", ""):
            return True
    return False


def _term(term: Object, labels: Mapping[str, str], name: str) -> bool:
    wanted = term.get("matchExpressions") or ()
    fields = term.get("matchFields") or ()
    if not wanted and not fields:
        return False
    return all(_requirement(one, labels.get(one["key"])) for one in wanted) and all(_requirement(one, name) for one in fields)


def _requirement(requirement: Object, value: str | None) -> bool:
    values: list[str] = requirement.get("values") or []
    match requirement["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and value.isdigit() and int(value) > int(values[0])
        case "Lt":
            return value is not None and value.isdigit() and int(value) < int(values[0])
    return False
