"""Pods as controllers see them: pure answers about one pod, and new pods made from templates."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from varka.client.api import Object
from varka.cluster.controllers import conditions

_SAFE = "bcdfghjklmnpqrstvwxz2456789"


def phase(pod: Object) -> str:
    """The pod's phase; a pod without a status is Pending."""
    return str((pod.get("status") or {}).get("phase") or "Pending")


def ended(pod: Object) -> bool:
    """All containers have ended for good."""
    return phase(pod) in ("Succeeded", "Failed")


def terminating(pod: Object) -> bool:
    """The pod is being deleted."""
    return "deletionTimestamp" in pod["metadata"]


def active(pod: Object) -> bool:
    """The pod counts as a replica."""
    return not ended(pod) and not terminating(pod)


def ready(pod: Object) -> bool:
    """The Ready condition holds."""
    return conditions.holds(pod, "Ready")


def ready_since(pod: Object) -> str:
    """Since when the pod is ready; empty when it is not."""
    condition = conditions.find(pod, "Ready")
    return str(condition.get("lastTransitionTime") or "") if condition and condition["status"] == "True" else ""


def digest(value: Any) -> str:
    """A short name for a template, of letters that spell no words, like Kubernetes' pod-template-hash."""
    number = int.from_bytes(hashlib.blake2b(msgspec.json.encode(value, order="sorted"), digest_size=4).digest())
    return "".join(_SAFE[ord(digit) % len(_SAFE)] for digit in str(number))


def from_template(template: Object, owner: Object, reference: Object, name: str = "") -> Object:
    """A pod as its controller creates it: `name`, or a generated one that begins with the owner's."""
    meta = template.get("metadata") or {}
    made: Object = {"namespace": owner["metadata"]["namespace"], "ownerReferences": [reference]}
    if name:
        made["name"] = name
    else:
        made["generateName"] = owner["metadata"]["name"][:243] + "-"
    for part in ("labels", "annotations", "finalizers"):
        if meta.get(part):
            made[part] = meta[part]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": made, "spec": template["spec"]}


def deletion_rank(pod: Object) -> tuple[Any, ...]:
    """Sort key: the pods to delete first come first (unassigned, pending, not ready, cheap, ready for the shortest time, restarted, newest)."""
    meta, status = pod["metadata"], pod.get("status") or {}
    cost = (meta.get("annotations") or {}).get("controller.kubernetes.io/pod-deletion-cost", "0")
    restarts = max((one.get("restartCount", 0) for one in status.get("containerStatuses") or ()), default=0)
    return (
        bool(pod["spec"].get("nodeName")),
        {"Pending": 0, "Unknown": 1}.get(phase(pod), 2),
        ready(pod),
        int(cost) if cost.lstrip("-").isdigit() else 0,
        _descending(ready_since(pod)),
        -restarts,
        _descending(meta.get("creationTimestamp", "")),
        meta["name"],
    )


def _descending(text: str) -> tuple[int, ...]:
    return tuple(-ord(letter) for letter in text)
