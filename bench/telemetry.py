"""The trace store and the load generator on one core each: spans a second without loss, requests a second that are sent.

The program that is measured is pinned to the first core and its counterpart to the last, each a process of its own: the
sender of spans knows nothing of the store but its port, and the server that the generator asks only answers.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from bench.clusters import Context, Failed
from bench.figures import Figure

RATE, SECONDS, QUICK = 2000, 20, 5
SPANS_IN_A_REQUEST = 20
"""As many as an Envoy under load gathers before it sends."""


def spans(context: Context) -> tuple[Figure, ...]:
    """OTLP over gRPC at 2,000 spans a second: what is lost, and what the store costs."""
    seconds = QUICK if context.quick else SECONDS
    query, admin, otlp, http, zipkin = free_ports(5)
    with tempfile.TemporaryDirectory(prefix="varka-bench-") as folder:
        settings = f"bind='127.0.0.1', folder=Path({folder!r}), query_port={query}, admin_port={admin}, otlp_grpc_port={otlp}, otlp_http_port={http}, zipkin_port={zipkin}"
        code = f"import uvloop; from pathlib import Path; from varka.telemetry.traces import __main__ as m, settings as s; uvloop.run(m.serve(s.Settings({settings})))"
        store = subprocess.Popen(on_core(0, sys.executable, "-c", code), stderr=subprocess.DEVNULL)
        try:
            until(lambda: counted(admin) >= 0, "the trace store")
            before = cpu(store.pid)
            sender = subprocess.run(
                on_core(-1, sys.executable, "-m", "bench.span_sender", str(otlp), str(RATE), str(seconds)),
                capture_output=True,
                text=True,
                timeout=seconds * 5 + 60,
                check=False,
            )
            if sender.returncode != 0:
                raise Failed(sender.stderr.strip()[-200:])
            sent = json.loads(sender.stdout)
            until(lambda: counted(admin) + counted(admin, "dropped") >= sent["spans"], "the last spans")
            lost = sent["spans"] - counted(admin)
            used = cpu(store.pid) - before
        finally:
            store.terminate()
            store.wait(30)
    about = f"{sent['spans']:,.0f} spans by OTLP/gRPC in {sent['seconds']:.1f} s, {SPANS_IN_A_REQUEST} in a request"
    return (
        Figure(name="trace store: spans a second", value=sent["spans"] / sent["seconds"], unit="spans/s", budget=RATE * 0.99, at_least=True, detail=about),
        Figure(name="trace store: spans lost", value=lost, unit="spans", budget=0, detail="sent and not in the store"),
        Figure(name="trace store: CPU of one core", value=used / sent["seconds"], unit="cores", budget=1.0, detail=about),
    )


def requests(context: Context) -> tuple[Figure, ...]:
    """`varka traffic` at 2,000 requests a second: what was sent, and what it cost."""
    seconds = QUICK if context.quick else SECONDS
    (port,) = free_ports(1)
    server = subprocess.Popen(on_core(-1, sys.executable, "-m", "bench.answers", str(port)), stderr=subprocess.DEVNULL)
    try:
        until(lambda: reachable(port), "the server")
        started, before = time.monotonic(), os.times()
        command = on_core(
            0, sys.executable, "-m", "varka.cli.main", "traffic", f"http://127.0.0.1:{port}/", "--rate", str(RATE), "--for", f"{seconds}s", "-o", "json"
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds * 5 + 60, check=False)
        took, after = time.monotonic() - started, os.times()
    finally:
        server.terminate()
        server.wait(30)
    if done.returncode != 0:
        raise Failed(done.stderr.strip()[-200:] or "nothing was answered")
    told = json.loads(done.stdout)
    answered = told["codes"].get("200", 0)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    about = f"{answered:,} answers of {told['sent']:,} requests, whole command {took:.1f} s"
    return (
        Figure(name="varka traffic: requests a second", value=answered / max(seconds, took), unit="req/s", budget=RATE * 0.9, at_least=True, detail=about),
        Figure(name="varka traffic: CPU of one core", value=used / took, unit="cores", budget=1.0, detail=f"{told['late']:,} requests waited for a connection"),
    )


def on_core(core: int, *command: str) -> list[str]:
    """A command that runs on one of this process's cores only."""
    return ["taskset", "-c", str(sorted(os.sched_getaffinity(0))[core]), *command]


def cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def counted(port: int, what: str = "saved") -> float:
    """A counter of the trace store; -1 while it does not answer."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return -1
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"jaeger_collector_spans_{what}_total"))


def reachable(port: int) -> bool:
    """Whether something listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition; Failed after half a minute."""
    deadline = time.monotonic() + 30
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"{what} did not come within 30 s")
        time.sleep(0.1)


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [int(one.getsockname()[1]) for one in held]
    finally:
        for one in held:
            one.close()
