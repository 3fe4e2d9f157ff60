"""All measurements, in the order in which they run."""

from __future__ import annotations

from collections.abc import Callable

from bench import analysis, convergence, listing, memory, metrics, start, telemetry, traffic
from bench.clusters import Context
from bench.figures import Figure

Measurement = Callable[[Context], tuple[Figure, ...]]

MEASUREMENTS: dict[str, Measurement] = {
    "commands": start.commands,
    "validation": start.validation,
    "analysis": analysis.resources,
    "up": start.cluster,
    "listing": listing.pods,
    "demo": start.mesh,
    "memory": memory.bookinfo,
    "traffic": traffic.pair,
    "metrics": metrics.pipeline,
    "spans": telemetry.spans,
    "requests": telemetry.requests,
    "connecting": convergence.connecting,
    "endpoints": convergence.endpoints,
    "routes": convergence.routes,
    "full-push": convergence.full_push,
    "control-plane": convergence.cost,
    "many-proxies": convergence.many,
}
BY_REQUEST = frozenset({"many-proxies"})
"""Measurements that take minutes: only with `--all`, or by name."""
