"""How soon a change is in force at every proxy, and what the control plane costs. The work is done by `control_plane`."""

from __future__ import annotations

import json
import sys
from os import environ
from typing import Any

from bench.clusters import Context, timed
from bench.figures import Figure, median, percentile

SERVICES, PROXIES = 1000, 200


def _run(context: Context) -> dict[str, Any]:
    if context.control_plane is None:
        changes = 20 if context.quick else 50
        command = [sys.executable, "-m", "bench.control_plane", "--services", str(SERVICES), "--proxies", str(PROXIES), "--changes", str(changes)]
        context.control_plane = json.loads(timed(command, dict(environ))[1].splitlines()[-1])
    return context.control_plane


def endpoints(context: Context) -> tuple[Figure, ...]:
    """From the write of an EndpointSlice to the last acknowledgement."""
    return _latencies("endpoint change", [1000 * one for one in _run(context)["endpoint_seconds"]], 100)


def routes(context: Context) -> tuple[Figure, ...]:
    """From the write of a VirtualService to the last acknowledgement."""
    return _latencies("VirtualService change", [1000 * one for one in _run(context)["route_seconds"]], 250)


def _latencies(name: str, times: list[float], budget: float) -> tuple[Figure, ...]:
    how = f"{len(times)} changes, {SERVICES:,} services, ACK by {PROXIES} proxies"
    return (
        Figure(name=f"{name}, p50", value=median(times), unit="ms", detail=how),
        Figure(name=f"{name}, p99", value=percentile(times, 0.99), unit="ms", budget=budget, detail=f"worst {max(times):.0f} ms"),
    )


def connecting(context: Context) -> tuple[Figure, ...]:
    """All proxies at once, until all have acknowledged all of their configuration."""
    found = _run(context)
    detail = f"{found['connect_cpu_seconds']:.1f} s of CPU in the control plane"
    return (Figure(name=f"{PROXIES} proxies connecting at once", value=found["connect_seconds"], unit="s", budget=15, detail=detail),)


def cost(context: Context) -> tuple[Figure, ...]:
    """CPU and memory of the control plane with these proxies."""
    found = _run(context)
    how = f"at {PROXIES} proxies (the budget is for 2,000)"
    return (
        Figure(name="control plane, CPU at one endpoint change a second", value=found["steady_cpu_share"], unit="cores", budget=1, detail=how),
        Figure(name="control plane, memory at its peak", value=found["rss_mb"], unit="MB", budget=1500, detail=f"RSS, API in memory included; {how}"),
    )
