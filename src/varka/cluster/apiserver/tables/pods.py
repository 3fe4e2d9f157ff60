"""The row of a pod: which of the many things its containers tell is the one to show."""

from __future__ import annotations

from datetime import datetime

from varka.client.api import Object
from varka.cluster.apiserver.tables import columns
from varka.cluster.apiserver.tables.columns import NONE, Cell


def row(pod: Object, now: datetime) -> list[Cell]:
    """Name, Ready, Status, Restarts, Age; IP, Node, Nominated Node, Readiness Gates."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    tally = _Tally(pod, spec, status)
    restarts = str(tally.restarts)
    if tally.restarts and tally.last:
        restarts += f" ({columns.since(tally.last, now)} ago)"
    ips = status.get("podIPs")
    return [
        pod["metadata"]["name"],
        f"{tally.ready}/{tally.total}",
        tally.reason,
        restarts,
        columns.age(pod, now),
        (ips[0].get("ip") if ips else status.get("podIP")) or NONE,
        spec.get("nodeName") or NONE,
        status.get("nominatedNodeName") or NONE,
        _gates(spec, status),
    ]


def condition(pod: Object) -> Object | None:
    """The row's own condition: a pod that has ended."""
    phase = (pod.get("status") or {}).get("phase")
    if phase == "Succeeded":
        return {"type": "Completed", "status": "True", "reason": "Succeeded", "message": "The pod has completed successfully."}
    if phase == "Failed":
        return {"type": "Completed", "status": "True", "reason": "Failed", "message": "The pod failed."}
    return None


class _Tally:
    """Counts over the containers, and the reason that wins."""

    def __init__(self, pod: Object, spec: Object, status: Object) -> None:
        self._spec = spec
        self._conditions = {one["type"]: one for one in status.get("conditions") or ()}
        sidecars = [one for one in spec.get("initContainers") or () if one.get("restartPolicy") == "Always"]
        self.total = len(spec.get("containers") or ()) + len(sidecars)
        self.ready = 0
        self.restarts = 0
        self.last = ""
        self.reason = status.get("reason") or status.get("phase") or "Unknown"
        scheduled = self._conditions.get("PodScheduled")
        if scheduled is not None and scheduled.get("reason") == "SchedulingGated":
            self.reason = "SchedulingGated"
        initializing, side = self._init({one["name"] for one in sidecars}, status)
        if not initializing or self._holds("Initialized"):
            self.restarts, self.last = side
            self._main(status)
        if "deletionTimestamp" in pod["metadata"]:
            if status.get("reason") == "NodeLost":
                self.reason = "Unknown"
            elif status.get("phase") not in ("Succeeded", "Failed"):
                self.reason = "Terminating"

    def _holds(self, kind: str) -> bool:
        found = self._conditions.get(kind)
        return found is not None and found["status"] == "True"

    def _init(self, sidecars: set[str], status: Object) -> tuple[bool, tuple[int, str]]:
        """Whether the pod is still initializing, and the restarts of its sidecars alone."""
        count, last = 0, ""
        for place, one in enumerate(status.get("initContainerStatuses") or ()):
            state = one.get("state") or {}
            ended = _last_end(one)
            self.restarts += one.get("restartCount", 0)
            self.last = max(self.last, ended)
            terminated, waiting = state.get("terminated"), state.get("waiting")
            sidecar = one["name"] in sidecars
            if sidecar:
                count, last = count + one.get("restartCount", 0), max(last, ended)
            if terminated is not None and terminated.get("exitCode", 0) == 0:
                continue
            if sidecar and one.get("started"):
                self.ready += bool(one.get("ready"))
                continue
            if terminated is not None:
                self.reason = "Init:" + _end(terminated)
            elif waiting is not None and waiting.get("reason") not in (None, "", "PodInitializing"):
                self.reason = "Init:" + waiting["reason"]
            else:
                self.reason = f"Init:{place}/{len(self._spec.get('initContainers') or ())}"
            return True, (count, last)
        return False, (count, last)

    def _main(self, status: Object) -> None:
        running = False
        for one in reversed(status.get("containerStatuses") or ()):
            state = one.get("state") or {}
            self.restarts += one.get("restartCount", 0)
            self.last = max(self.last, _last_end(one))
            waiting, terminated = state.get("waiting"), state.get("terminated")
            if waiting is not None and waiting.get("reason"):
                self.reason = waiting["reason"]
            elif terminated is not None:
                self.reason = _end(terminated)
            elif one.get("ready") and "running" in state:
                running = True
                self.ready += 1
        if self.reason == "Completed" and running:
            self.reason = "Running" if self._holds("Ready") else "NotReady"


def _end(terminated: Object) -> str:
    if terminated.get("reason"):
        return str(terminated["reason"])
    return f"Signal:{terminated['signal']}" if terminated.get("signal") else f"ExitCode:{terminated.get('exitCode', 0)}"


def _last_end(one: Object) -> str:
    last = one.get("lastState")
    return str((last.get("terminated") or {}).get("finishedAt") or "") if last else ""


def _gates(spec: Object, status: Object) -> str:
    gates = spec.get("readinessGates")
    if not gates:
        return NONE
    true = {one["type"] for one in status.get("conditions") or () if one["status"] == "True"}
    return f"{sum(gate['conditionType'] in true for gate in gates)}/{len(gates)}"
