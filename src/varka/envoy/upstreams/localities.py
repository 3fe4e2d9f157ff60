"""Which localities a proxy prefers: nearest first when failover is wanted, or by given shares.

Failover needs outlier detection (without it nothing tells that a locality has failed), so without it all localities
are equal and weighted by their endpoints, as in Istio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from varka.model.services import Endpoint
from varka.model.traffic import TrafficPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """The endpoints of one locality, and what share or rank it has; priority 0 is used first."""

    locality: str
    endpoints: tuple[Endpoint, ...]
    weight: int
    priority: int = 0


def arrange(endpoints: Iterable[Endpoint], policy: TrafficPolicy, own: str) -> tuple[Group, ...]:
    """Group by locality, in order of name, and rank the groups as seen from the locality `own`."""
    by_locality: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_locality.setdefault(endpoint.locality, []).append(endpoint)
    groups = tuple(
        Group(locality=locality, endpoints=tuple(by_locality[locality]), weight=sum(max(1, e.weight) for e in by_locality[locality]))
        for locality in sorted(by_locality)
    )
    settings = policy.load_balancer.locality if policy.load_balancer else None
    if not own or (settings is not None and not settings.enabled):
        return groups
    if settings is not None and settings.distribute:
        return _distributed(groups, settings.distribute, own)
    if policy.outlier_detection is not None:
        return _ranked(groups, settings.failover if settings else {}, own)
    return groups


def _distributed(groups: tuple[Group, ...], shares: Mapping[str, Mapping[str, int]], own: str) -> tuple[Group, ...]:
    for source, targets in shares.items():
        if not _matches(source, own):
            continue
        chosen: list[Group] = []
        for target, percent in targets.items():
            matching = [group for group in groups if _matches(target, group.locality) and group not in chosen]
            total = sum(group.weight for group in matching)
            for group in matching:
                share = max(1, percent * group.weight // total)
                chosen.append(Group(locality=group.locality, endpoints=group.endpoints, weight=share))
        return tuple(sorted(chosen, key=lambda group: group.locality))
    return groups


def _matches(pattern: str, locality: str) -> bool:
    """`*`, `region`, `region/*`, `region/zone`, … against a full locality."""
    wanted, given = pattern.split("/"), locality.split("/")
    for index, part in enumerate(wanted):
        if part == "*":
            return True
        if index >= len(given) or given[index] != part:
            return False
    return True


def _ranked(groups: tuple[Group, ...], failover: Mapping[str, str], own: str) -> tuple[Group, ...]:
    """Same subzone, zone, region, then the region named for failover, then the rest; ranks are renumbered without gaps."""
    mine = own.split("/")
    ranks: dict[str, int] = {}
    for group in groups:
        theirs = group.locality.split("/")
        shared = 0
        for a, b in zip(mine, theirs, strict=False):
            if a != b:
                break
            shared += 1
        rank = max(0, len(mine) - shared) if shared else len(mine)
        if not shared and failover.get(mine[0]) not in (None, theirs[0]):
            rank += 1
        ranks[group.locality] = rank
    order = {rank: index for index, rank in enumerate(sorted(set(ranks.values())))}
    return tuple(Group(locality=group.locality, endpoints=group.endpoints, weight=group.weight, priority=order[ranks[group.locality]]) for group in groups)
