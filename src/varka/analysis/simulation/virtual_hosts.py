"""Which virtual host a Host header finds: a full name, else the longest `*.suffix`, else the longest `prefix.*`, else `*`."""

from __future__ import annotations

from typing import Any

from varka.analysis.simulation import call as calls
from varka.analysis.simulation.result import Stage, Step


def choose(routes: Any, host: str) -> tuple[Any, Step]:
    """The virtual host and why; None when there is none."""
    name = host.lower()
    if routes.ignore_port_in_host_matching:
        name = calls.host_without_port(name)
    found: Any = None
    best: tuple[int, int] = (-1, 0)
    domain = ""
    for candidate in routes.virtual_hosts:
        for given in candidate.domains:
            rank = _rank(given.lower(), name)
            if rank is not None and rank > best:
                found, best, domain = candidate, rank, given
    if found is None:
        return None, Step(stage=Stage.VIRTUAL_HOST, chosen="", reason=f"no virtual host is for {name or '(no Host header)'}; the proxy answers 404")
    how = ("everything else", "the longest prefix", "the longest suffix", "the name itself")[best[0]]
    return found, Step(stage=Stage.VIRTUAL_HOST, chosen=found.name, reason=f"its domain {domain} is {how} for {name or '(no Host header)'}")


def _rank(domain: str, name: str) -> tuple[int, int] | None:
    if domain == "*":
        return (0, 0)
    if domain == name:
        return (3, 0)
    if domain.startswith("*") and len(name) > len(domain) - 1 and name.endswith(domain[1:]):
        return (2, len(domain))
    if domain.endswith("*") and len(name) > len(domain) - 1 and name.startswith(domain[:-1]):
        return (1, len(domain))
    return None
