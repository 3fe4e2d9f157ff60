"""Which localities a proxy prefers: nearest first when failover is wanted, or by given shares.

Failover needs outlier detection (without it nothing tells that a locality has failed), so without it all localities
are equal and weighted by their endpoints, as in Istio.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from varka.model.services import Endpoint
from varka.model.traffic import LocalityLb, TrafficPolicy

REGION, ZONE, SUBZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"
NETWORK = "topology.istio.io/network"


class Group(Struct, frozen=True, kw_only=True):
    """The endpoints of one locality, and what share or rank it has; priority 0 is used first."""

    locality: str
    endpoints: tuple[Endpoint, ...]
    weight: int
    priority: int = 0


class Viewpoint(Struct, frozen=True, kw_only=True):
    """Where a proxy stands: its locality, and those of its labels (`key=value`) by which endpoints are preferred."""

    locality: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    gateways: tuple[tuple[str, tuple[tuple[str, int], ...]], ...] = ()
    """Other networks, and address and port of the gateways to them."""
    default: LocalityLb | None = None
    """What holds where no DestinationRule says anything of localities."""

    def __hash__(self) -> int:
        return hash((self.locality, self.labels, self.gateways))  # `default` has maps, which have no hash


def arrange(endpoints: Iterable[Endpoint], policy: TrafficPolicy, own: Viewpoint, *, near: bool = False) -> tuple[Group, ...]:
    """Group by locality, in order of name, and rank the groups as seen from `own`; `near`: also when nothing tells of failures."""
    groups = _grouped(endpoints)
    settings = (policy.load_balancer.locality if policy.load_balancer else None) or own.default
    if settings is not None and not settings.enabled:
        return groups
    if settings is not None and settings.distribute and own.locality:
        return _distributed(groups, settings.distribute, own.locality)
    if policy.outlier_detection is None and not near:
        return groups
    if settings is not None and settings.failover_priority:
        return _by_labels(groups, settings, own)
    return _ranked(groups, settings.failover if settings else {}, own.locality) if own.locality else groups


def _grouped(endpoints: Iterable[Endpoint]) -> tuple[Group, ...]:
    by_locality: dict[str, list[Endpoint]] = {}
    for endpoint in endpoints:
        by_locality.setdefault(endpoint.locality, []).append(endpoint)
    return tuple(_group(locality, tuple(by_locality[locality])) for locality in sorted(by_locality))


def _group(locality: str, endpoints: tuple[Endpoint, ...], priority: int = 0) -> Group:
    return Group(locality=locality, endpoints=endpoints, weight=sum(max(1, endpoint.weight) for endpoint in endpoints), priority=priority)


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
    return _renumbered([(group, (_distance(own, group.locality, failover),)) for group in groups])


def _distance(own: str, other: str, failover: Mapping[str, str]) -> int:
    mine, theirs = _parts(own), _parts(other)
    shared = next((index for index in range(3) if mine[index] != theirs[index]), 3)
    if not shared and failover.get(mine[0]) not in (None, theirs[0]):
        return 4
    return 3 - shared


def _parts(locality: str) -> list[str]:
    return [*locality.split("/"), "", "", ""][:3]


def _by_labels(groups: tuple[Group, ...], settings: LocalityLb, own: Viewpoint) -> tuple[Group, ...]:
    """Endpoints that share the first labels with the proxy come first: all of them, all but the last, and so on.

    Endpoints of one locality may differ in rank, so a locality can come out more than once. Where a failover between
    regions is given too, it decides among endpoints of equal rank.
    """
    mine = dict(own.labels)
    split: list[tuple[Group, tuple[int, ...]]] = []
    for group in groups:
        by_rank: dict[int, list[Endpoint]] = {}
        for endpoint in group.endpoints:
            by_rank.setdefault(_mismatch(endpoint, settings.failover_priority, mine), []).append(endpoint)
        far = _distance(own.locality, group.locality, settings.failover) if settings.failover and own.locality else 0
        split += [(_group(group.locality, tuple(found)), (rank, far)) for rank, found in by_rank.items()]
    return _renumbered(split)


def _mismatch(endpoint: Endpoint, labels: tuple[str, ...], mine: Mapping[str, str]) -> int:
    theirs = labels_of(endpoint.labels, endpoint.locality, endpoint.network)
    for index, label in enumerate(labels):
        key, fixed, value = label.partition("=")
        if theirs.get(key) != (value if fixed else mine.get(key)):
            return len(labels) - index
    return 0


def labels_of(labels: Mapping[str, str], locality: str, network: str) -> dict[str, str]:
    """Labels by which a workload may be preferred: its own, and those that say where it runs."""
    region, zone, subzone = _parts(locality)
    place = {REGION: region, ZONE: zone, SUBZONE: subzone, NETWORK: network}
    return {**{key: value for key, value in place.items() if value}, **labels}


def _renumbered(ranked: list[tuple[Group, tuple[int, ...]]]) -> tuple[Group, ...]:
    order = {rank: index for index, rank in enumerate(sorted({rank for _, rank in ranked}))}
    found = [Group(locality=group.locality, endpoints=group.endpoints, weight=group.weight, priority=order[rank]) for group, rank in ranked]
    return tuple(sorted(found, key=lambda group: (group.priority, group.locality)))
