"""What a pod's status says of its containers: phases, conditions, reasons, as kubelet writes them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from varka.base.clock import rfc3339
from varka.client.api import Object


@dataclass(slots=True, kw_only=True)
class Ended:
    """One finished run of a container; times in seconds since the epoch."""

    code: int
    started: float
    finished: float
    reason: str = ""
    message: str = ""
    container_id: str = ""

    def to_json(self) -> Object:
        reason = self.reason or ("Completed" if self.code == 0 else "Error")
        found: Object = {"exitCode": self.code, "reason": reason, "startedAt": _time(self.started), "finishedAt": _time(self.finished)}
        if self.message:
            found["message"] = self.message
        if self.container_id:
            found["containerID"] = self.container_id
        return found


@dataclass(slots=True, kw_only=True)
class ContainerState:
    """Where one container stands."""

    name: str
    image: str
    init: bool = False
    restartable: bool = False
    """A native sidecar: an init container that stays."""
    waiting: str = "ContainerCreating"
    waiting_message: str = ""
    running_since: float = 0.0
    """0: not running."""
    ended: Ended | None = None
    last: Ended | None = None
    restarts: int = 0
    ready: bool = False
    started: bool = False
    container_id: str = ""
    done: bool = False
    """It has ended and will not be started again."""

    def to_json(self) -> Object:
        state: Object
        if self.running_since:
            state = {"running": {"startedAt": _time(self.running_since)}}
        elif self.ended is not None and (self.done or not self.waiting):
            state = {"terminated": self.ended.to_json()}
        else:
            state = {"waiting": {"reason": self.waiting, **({"message": self.waiting_message} if self.waiting_message else {})}}
        return {
            "name": self.name,
            "image": self.image,
            "imageID": f"varka://{self.image}" if self.container_id else "",
            "containerID": self.container_id,
            "state": state,
            "lastState": {"terminated": self.last.to_json()} if self.last else {},
            "ready": self.ready or (self.init and not self.restartable and self.done and self.ended is not None and self.ended.code == 0),
            "started": self.started,
            "restartCount": self.restarts,
        }


@dataclass(slots=True, kw_only=True)
class PodState:
    """Where a pod stands."""

    containers: list[ContainerState]
    inits: list[ContainerState] = field(default_factory=list)
    ip: str = ""
    host_ip: str = ""
    start_time: float = 0.0
    reason: str = ""
    message: str = ""


def _time(moment: float) -> str:
    return rfc3339(datetime.fromtimestamp(moment, UTC))


def initialized(state: PodState) -> bool:
    """Every init container has done its part: ended well, or, for a native sidecar, started."""
    return all(each.started if each.restartable else (each.done and each.ended is not None and each.ended.code == 0) for each in state.inits)


def phase(state: PodState, restart_policy: str) -> str:
    """Pending, Running, Succeeded or Failed."""
    if state.reason in {"Evicted", "DeadlineExceeded"}:
        return "Failed"
    if any(each.done and each.ended is not None and each.ended.code != 0 for each in state.inits if not each.restartable):
        return "Failed"
    if all(each.done for each in state.containers) and state.containers:
        if any(each.restartable and each.running_since for each in state.inits):
            return "Running"
        return "Failed" if any(each.ended is not None and each.ended.code != 0 for each in state.containers) else "Succeeded"
    if not initialized(state):
        return "Pending"
    if any(each.running_since or each.ended or each.last for each in state.containers):
        never_started = [each for each in state.containers if not (each.running_since or each.ended or each.last)]
        return "Pending" if never_started else "Running"
    return "Pending"


def conditions(state: PodState, pod: Object, current: str, now: str) -> list[Object]:
    """The kubelet's conditions; transition times stay while a condition's status stays."""
    before = {each["type"]: each for each in (pod.get("status") or {}).get("conditions") or []}
    unready = [each.name for each in [*(each for each in state.inits if each.restartable), *state.containers] if not each.ready]
    over = current in {"Succeeded", "Failed"}
    missing_init = [each.name for each in state.inits if not (each.started if each.restartable else each.done)]
    ready_reason: tuple[str, str] = ("", "")
    if over:
        ready_reason = ("PodCompleted" if current == "Succeeded" else "PodFailed", "")
    elif unready:
        ready_reason = ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
    init_ok = not missing_init
    found = [
        _condition("PodReadyToStartContainers", bool(state.ip) and not over, ("", "")),
        _condition(
            "Initialized", init_ok, ("", "") if init_ok else ("ContainersNotInitialized", f"containers with incomplete status: [{' '.join(missing_init)}]")
        ),
        _condition("Ready", not ready_reason[0] and _gates(pod, before), ready_reason),
        _condition("ContainersReady", not ready_reason[0], ready_reason),
    ]
    for each in found:
        old = before.get(each["type"])
        same = old is not None and old.get("status") == each["status"]
        each["lastTransitionTime"] = old["lastTransitionTime"] if same and old and old.get("lastTransitionTime") else now
        each["lastProbeTime"] = None
        if old is not None:
            for key in ("reason", "message"):
                if key in old and key not in each:
                    each[key] = None
    return found


def _gates(pod: Object, before: dict[str, Any]) -> bool:
    gates = [gate["conditionType"] for gate in pod["spec"].get("readinessGates") or []]
    return all((before.get(gate) or {}).get("status") == "True" for gate in gates)


def _condition(kind: str, holds: bool, why: tuple[str, str]) -> Object:
    found: Object = {"type": kind, "status": "True" if holds else "False"}
    if not holds and why[0]:
        found["reason"] = why[0]
        if why[1]:
            found["message"] = why[1]
    return found


def build(state: PodState, pod: Object, now: str) -> Object:
    """The whole status."""
    current = phase(state, pod["spec"].get("restartPolicy", "Always"))
    found: Object = {
        "phase": current,
        "conditions": conditions(state, pod, current, now),
        "hostIP": state.host_ip,
        "hostIPs": [{"ip": state.host_ip}],
        "startTime": _time(state.start_time),
        "qosClass": quality(pod),
        "containerStatuses": [each.to_json() for each in state.containers],
    }
    if state.ip:
        found |= {"podIP": state.ip, "podIPs": [{"ip": state.ip}]}
    if state.inits:
        found["initContainerStatuses"] = [each.to_json() for each in state.inits]
    if state.reason:
        found |= {"reason": state.reason, "message": state.message}
    return found


def quality(pod: Object) -> str:
    """Guaranteed, Burstable or BestEffort (Kubernetes: Pod Quality of Service Classes)."""
    given = [each.get("resources") or {} for each in [*pod["spec"]["containers"], *(pod["spec"].get("initContainers") or [])]]
    if not any(each.get("requests") or each.get("limits") for each in given):
        return "BestEffort"
    equal = all(
        {"cpu", "memory"} <= set(each.get("limits") or {})
        and all((each.get("requests") or each["limits"]).get(key) == each["limits"][key] for key in ("cpu", "memory"))
        for each in given
    )
    return "Guaranteed" if equal else "Burstable"
