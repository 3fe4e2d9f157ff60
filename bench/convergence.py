"""How soon a change is in force at every proxy, and what the control plane costs. The work is done by `control_plane`."""

from __future__ import annotations

import json
import sys
from os import environ
from typing import Any

from bench.clusters import PATIENCE, Context, timed
from bench.figures import Figure, median, percentile

SERVICES, PROXIES, MANY = 1000, 200, 2000
PATIENCE_WITH_MANY = 1200
"""Seconds; a fifth of it for any one thing that is waited for."""


def _run(context: Context) -> dict[str, Any]:
    if context.control_plane is None:
        context.control_plane = _measured(PROXIES, ["--changes", "20" if context.quick else "50", "--full-pushes", "0"])
    return context.control_plane


def _measured(proxies: int, options: list[str], patience: float = PATIENCE) -> dict[str, Any]:
    command = [sys.executable, "-m", "bench.control_plane", "--services", str(SERVICES), "--proxies", str(proxies), *options]
    found: dict[str, Any] = json.loads(timed(command, dict(environ), patience=patience)[1].splitlines()[-1])
    return found


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


def full_push(context: Context) -> tuple[Figure, ...]:
    """A setting of the mesh that is in every cluster, at a mesh with many routes and policies."""
    found = _measured(
        PROXIES, ["--virtual-services", "500", "--policies", "300", "--changes", "1", "--steady", "1", "--full-pushes", "3" if context.quick else "5"]
    )
    how = f"{SERVICES:,} services, 500 VirtualServices, 300 policies, {PROXIES} proxies"
    times = found["full_push_seconds"]
    return (
        Figure(name="full push, median", value=median(times), unit="s", detail=f"{how}; worst {max(times):.2f} s"),
        Figure(name="control plane then, memory at its peak", value=found["rss_mb"], unit="MB", detail="RSS, API in memory included"),
    )


def cost(context: Context) -> tuple[Figure, ...]:
    """CPU and memory of the control plane at the mesh that changes were measured with."""
    found = _run(context)
    how = f"at {PROXIES} proxies, for which there is no budget"
    return (
        Figure(name=f"control plane with {PROXIES} proxies, CPU at one endpoint change a second", value=found["steady_cpu_share"], unit="cores", detail=how),
        Figure(
            name=f"control plane with {PROXIES} proxies, memory at its peak", value=found["rss_mb"], unit="MB", detail=f"RSS, API in memory included; {how}"
        ),
    )


def many(context: Context) -> tuple[Figure, ...]:
    """The same with ten times the proxies, for which the budgets are."""
    options = ["--changes", "3" if context.quick else "5", "--full-pushes", "0", "--patience", str(PATIENCE_WITH_MANY // 5)]
    found = _measured(MANY, options, PATIENCE_WITH_MANY)
    how = f"at {MANY:,} proxies"
    connected = f"{found['connect_cpu_seconds']:.1f} s of CPU in the control plane"
    return (
        Figure(name=f"{MANY:,} proxies connecting", value=found["connect_seconds"], unit="s", detail=connected),
        Figure(name=f"endpoint change, ACK by {MANY:,} proxies, p50", value=1000 * median(found["endpoint_seconds"]), unit="ms", detail=how),
        Figure(name=f"VirtualService change, ACK by {MANY:,} proxies, p50", value=1000 * median(found["route_seconds"]), unit="ms", detail=how),
        Figure(name="control plane, CPU at one endpoint change a second", value=found["steady_cpu_share"], unit="cores", budget=1, detail=how),
        Figure(name="control plane, memory at its peak", value=found["rss_mb"], unit="MB", budget=1500, detail=f"RSS, API in memory included; {how}"),
    )
