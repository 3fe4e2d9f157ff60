"""What a Deployment's status says: counts, and the conditions Available, Progressing and ReplicaFailure in Kubernetes' words."""

from __future__ import annotations

from varka.client.api import Object
from varka.cluster.controllers import conditions
from varka.cluster.controllers.workloads import rollouts


def _total(sets: list[Object], name: str) -> int:
    return sum((one.get("status") or {}).get(name, 0) for one in sets)


def complete(deployment: Object, new: Object, old: list[Object]) -> bool:
    """Every replica is of the new template and available, and no other is left."""
    wanted = deployment["spec"].get("replicas", 1)
    counts = new.get("status") or {}
    return counts.get("replicas", 0) == wanted and counts.get("availableReplicas", 0) == wanted and _total(old, "replicas") == 0


def status(deployment: Object, new: Object | None, old: list[Object], now: str) -> Object:
    """The status that follows from the ReplicaSets."""
    before = deployment.get("status") or {}
    every = [*old, *([new] if new is not None else [])]
    available, wanted = _total(every, "availableReplicas"), sum(one["spec"].get("replicas", 1) for one in every)
    counts = {
        "replicas": _total(every, "replicas"),
        "updatedReplicas": _total([new] if new is not None else [], "replicas"),
        "readyReplicas": _total(every, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, wanted - available),
        "collisionCount": before.get("collisionCount", 0),
    }
    result: Object = {"observedGeneration": deployment["metadata"].get("generation", 1), **{name: count for name, count in counts.items() if count}}
    kept = conditions.put(list(before.get("conditions") or ()), _stamped(before, _available(deployment, available), now), now)
    kept = _failure(kept, every, before, now)
    progress = _progress(deployment, before, result, new, old)
    if progress is not None:
        kept = conditions.put(kept, _stamped(before, progress, now, moved=_moved(before, result)), now)
    result["conditions"] = kept
    return result


def _available(deployment: Object, available: int) -> Object:
    bounds = rollouts.limits(deployment)
    if available >= bounds.replicas - bounds.unavailable:
        return {"type": "Available", "status": "True", "reason": "MinimumReplicasAvailable", "message": "Deployment has minimum availability."}
    return {"type": "Available", "status": "False", "reason": "MinimumReplicasUnavailable", "message": "Deployment does not have minimum availability."}


def _failure(kept: list[Object], every: list[Object], before: Object, now: str) -> list[Object]:
    failure = next((found for one in reversed(every) if (found := conditions.find(one, "ReplicaFailure")) is not None), None)
    kept = [one for one in kept if one["type"] != "ReplicaFailure" or failure is not None]
    if failure is None:
        return kept
    wanted = {name: failure[name] for name in ("type", "status", "reason", "message")}
    return conditions.put(kept, _stamped(before, wanted, now), now)


def _progress(deployment: Object, before: Object, after: Object, new: Object | None, old: list[Object]) -> Object | None:
    current = conditions.find({"status": before}, "Progressing")
    if deployment["spec"].get("paused"):
        return {"type": "Progressing", "status": "Unknown", "reason": "DeploymentPaused", "message": "Deployment is paused"}
    if new is None:
        return current
    name = new["metadata"]["name"]
    if complete(deployment, new, old):
        return _progressing("NewReplicaSetAvailable", f'ReplicaSet "{name}" has successfully progressed.')
    if current is None:
        return _progressing("NewReplicaSetCreated", f'Created new replica set "{name}"')
    if current["reason"] == "DeploymentPaused":
        return {"type": "Progressing", "status": "Unknown", "reason": "DeploymentResumed", "message": "Deployment is resumed"}
    if _moved(before, after) or f'"{name}"' not in current["message"]:
        return _progressing("ReplicaSetUpdated", f'ReplicaSet "{name}" is progressing.')
    return current


def _progressing(reason: str, message: str) -> Object:
    return {"type": "Progressing", "status": "True", "reason": reason, "message": message}


def _moved(before: Object, after: Object) -> bool:
    """Replicas of the new template came, became ready or available, or old ones went."""
    if any(after.get(name, 0) > before.get(name, 0) for name in ("updatedReplicas", "readyReplicas", "availableReplicas")):
        return True
    return bool(after.get("replicas", 0) - after.get("updatedReplicas", 0) < before.get("replicas", 0) - before.get("updatedReplicas", 0))


def _stamped(before: Object, condition: Object, now: str, *, moved: bool = False) -> Object:
    """The condition with its lastUpdateTime, which stays while nothing it says changes."""
    old = conditions.find({"status": before}, condition["type"])
    same = old is not None and all(old.get(name) == condition.get(name) for name in ("status", "reason", "message"))
    kept = old.get("lastUpdateTime", now) if old is not None and same and not moved else now
    return {**condition, "lastUpdateTime": kept}


def deadline(deployment: Object, after: Object) -> float | None:
    """The seconds without progress after which the rollout has failed, None when it cannot fail now."""
    current = conditions.find({"status": after}, "Progressing")
    seconds = deployment["spec"].get("progressDeadlineSeconds", 600)
    if current is None or current["status"] != "True" or current["reason"] == "NewReplicaSetAvailable" or seconds >= 2**31 - 1:
        return None
    return float(seconds)


def last_progress(after: Object) -> str:
    """When the rollout last moved."""
    current = conditions.find({"status": after}, "Progressing") or {}
    return str(current.get("lastUpdateTime") or current.get("lastTransitionTime"))


def timed_out(after: Object, new: Object, now: str) -> Object:
    """The status of a rollout that has missed its deadline."""
    message = f'ReplicaSet "{new["metadata"]["name"]}" has timed out progressing.'
    failed = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": message, "lastUpdateTime": now}
    return {**after, "conditions": conditions.put(after["conditions"], failed, now)}
