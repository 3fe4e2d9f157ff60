"""How a Deployment gets from its old ReplicaSets to the new one: pure arithmetic on replica counts.

The invariants of a rolling update: never more than `replicas + maxSurge` pods, never fewer than `replicas - maxUnavailable` available.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from varka.client.api import Object


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one Deployment allows while it rolls."""

    replicas: int
    surge: int
    unavailable: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """One ReplicaSet: what it is asked for and what it has."""

    wanted: int
    available: int


def limits(deployment: Object) -> Limits:
    """The rolling update's bounds as numbers: percentages round surge up and unavailable down, and both cannot be nothing."""
    replicas = deployment["spec"].get("replicas", 1)
    rolling = (deployment["spec"].get("strategy") or {}).get("rollingUpdate") or {}
    surge = absolute(rolling.get("maxSurge", "25%"), replicas, up=True)
    unavailable = absolute(rolling.get("maxUnavailable", "25%"), replicas, up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Limits(replicas=replicas, surge=surge, unavailable=min(unavailable, replicas))


def absolute(value: int | str, total: int, *, up: bool) -> int:
    """An IntOrString as a number of `total`."""
    if isinstance(value, int):
        return value
    share = float(value.removesuffix("%")) * total / 100 if value.endswith("%") else float(value)
    return math.ceil(share) if up else math.floor(share)


def grow(bounds: Limits, new: Counts, old: list[Counts]) -> int:
    """How many replicas the new ReplicaSet is to have now."""
    if new.wanted >= bounds.replicas:
        return bounds.replicas
    room = bounds.replicas + bounds.surge - new.wanted - sum(one.wanted for one in old)
    return new.wanted + max(0, min(room, bounds.replicas - new.wanted))


def shrink(bounds: Limits, new: Counts, old: list[Counts]) -> list[int]:
    """How many replicas each old ReplicaSet (oldest first) keeps now: unhealthy ones go first, then as availability allows."""
    total = new.wanted + sum(one.wanted for one in old)
    least = bounds.replicas - bounds.unavailable
    removable = total - least - (new.wanted - new.available)
    keep = [one.wanted for one in old]
    if removable <= 0:
        return keep
    for place, one in enumerate(old):
        gone = min(removable, max(0, one.wanted - one.available))
        keep[place] -= gone
        removable -= gone
    spare = new.available + sum(min(one.available, left) for one, left in zip(old, keep, strict=True)) - least
    for place in range(len(keep)):
        gone = max(0, min(spare, keep[place]))
        keep[place] -= gone
        spare -= gone
    return keep
