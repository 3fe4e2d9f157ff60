"""Load balancing by locality: places named `region/zone/subzone`, their shares, and who takes over when one fails."""

from __future__ import annotations

from collections.abc import Iterable

from varka.resources.traffic import destination_rules as written
from varka.resources.validation.findings import Findings

_TOPOLOGY = {"topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"}


def check(setting: written.LocalityLoadBalancer, outliers: bool, path: str, found: Findings) -> None:
    """Check a whole setting; `outliers`: whether failures are noticed, without which nobody takes over."""
    if setting.distribute and setting.failover:
        found.error(path, "can not simultaneously specify 'distribute' and 'failover'")
        return
    for name in setting.failover_priority if setting.failover else ():
        if name in _TOPOLOGY:
            found.error(f"{path}.failoverPriority", f"can not simultaneously set 'failover' and the topology label {name!r} in 'failoverPriority'")
    for index, item in enumerate(setting.distribute):
        where = f"{path}.distribute[{index}].to"
        if any(not 1 <= weight <= 100 for weight in item.to.values()):
            found.error(where, "locality weight must be in range [1, 100]")
        elif sum(item.to.values()) != 100:
            found.error(where, f"total locality weight {sum(item.to.values())} != 100")
        _check_places(item.to, where, found)
    _check_places([item.from_ for item in setting.distribute], f"{path}.distribute", found)
    for index, pair in enumerate(setting.failover):
        _check_failover(pair, f"{path}.failover[{index}]", found)
    if (setting.failover or setting.failover_priority) and not outliers:
        found.warning(path, "outlier detection policy must be provided for failover: without it no failure is noticed")


def _check_failover(pair: written.Failover, path: str, found: Findings) -> None:
    both = pair.from_ + pair.to
    if pair.from_ == pair.to:
        found.error(path, "locality lb failover settings must specify different regions")
    if "/" in both or "*" in both:
        found.error(path, "failover is between regions; name a region without '/' and '*'")


def _check_places(given: Iterable[str], path: str, found: Findings) -> None:
    seen: list[tuple[str, ...]] = []
    for place in given:
        parts = tuple(place.split("/", 2))
        if "*" in place[:-1]:
            found.error(path, f"locality {place!r}: a wildcard stands once, at the end")
            continue
        if "" in parts:
            found.error(path, f"locality {place!r} must not have an empty region, zone or subzone")
            continue
        known = parts[:-1] if parts[-1] == "*" else parts
        if any(known[: len(other)] == other or other[: len(known)] == known for other in seen):
            found.error(path, f"locality {place!r} overlaps with another one")
        seen.append(known)
