"""Runs inside a network namespace that plays the host: a cluster, and a plain process beside it that joins the mesh.

Prints one JSON object with what was seen; `test_outside_workload` starts it and judges.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml
from tests.system.clusters import PROGRAMS, Cluster

ADDRESS = "203.0.113.5"
HERE = Path(__file__).parent


class App(BaseHTTPRequestHandler):
    """The application outside: answers with the headers that it got."""

    def do_GET(self) -> None:
        """Any request."""
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def first(look: Callable[[], Any], seconds: float = 30) -> Any:
    """The first true answer, or the last one when the time is up."""
    deadline = time.monotonic() + seconds
    found = look()
    while not found and time.monotonic() < deadline:
        time.sleep(0.2)
        found = look()
    return found


def headers(text: str) -> Any:
    """What the application or httpbin saw; None for anything else."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    given = found.get("headers", found)
    return {name.lower(): value[0] if isinstance(value, list) else value for name, value in given.items()}


def main() -> None:
    """Set the stage, act, print."""
    folder = Path(sys.argv[1])
    for command in ("ip link set lo up", f"ip addr add {ADDRESS}/32 dev lo"):
        subprocess.run(command.split(), check=True)
    threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", 8080), App).serve_forever, daemon=True).start()
    cluster = Cluster("outside")
    agents: list[subprocess.Popen[bytes]] = []
    try:
        result = act(cluster, folder, agents)
    finally:
        for agent in agents:
            agent.kill()
        cluster.destroy()
    result["log"] = (folder / "agent.log").read_text()[-4000:]
    json.dump(result, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def act(cluster: Cluster, folder: Path, agents: list[subprocess.Popen[bytes]]) -> dict[str, Any]:
    """Let the process join, call and be called, and leave."""

    def istioctl(*arguments: str) -> str:
        return cluster.run(str(PROGRAMS / "istioctl"), *arguments, timeout=120).stdout

    cluster.up()
    istioctl("install", "--set", "profile=minimal", "-y")
    cluster.kubectl("label", "namespace", "istio-system", "topology.istio.io/network=inside")
    cluster.kubectl("label", "namespace", "default", "istio-injection=enabled")
    cluster.kubectl("set", "env", "-n", "istio-system", "deployment/istiod", "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD=1s")
    cluster.kubectl("rollout", "status", "-n", "istio-system", "deployment/istiod", "--timeout=60s", timeout=90)
    cluster.apply((HERE / "outside_workload.yaml").read_text())
    cluster.kubectl("create", "serviceaccount", "vm")
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", "default", "--timeout=60s", timeout=90)
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", "istio-system", "--timeout=60s", timeout=90)
    group = istioctl("x", "workload", "group", "create", "--name", "vm", "--namespace", "default", "--labels", "app=vm", "--serviceAccount", "vm")
    document = yaml.safe_load(group)
    document["spec"]["template"]["network"] = "machine"
    cluster.apply(yaml.safe_dump(document))
    istioctl("x", "workload", "entry", "configure", "--name", "vm", "-n", "default", "-o", str(folder / "vm"), "--internalIP", ADDRESS, "--autoregister")
    log = (folder / "agent.log").open("wb")
    agents.append(subprocess.Popen([str(PROGRAMS / "varka"), "agent", "--dir", str(folder / "vm")], stdout=log, stderr=log, env=cluster.environment))
    result: dict[str, Any] = {"group": document, "env": (folder / "vm" / "cluster.env").read_text()}
    result["entry"] = first(lambda: json.loads(cluster.kubectl("get", "workloadentry", "-o", "json").stdout)["items"])
    inside = ["exec", "client", "-c", "client", "--", "curl", "-s", "--max-time", "5", "--resolve", "vm.example:80:240.9.9.9", "http://vm.example/"]
    result["called"] = first(lambda: headers(cluster.kubectl(*inside, check=False).stdout))
    proxy = ["curl", "-s", "--max-time", "5", "--proxy", "http://127.0.0.1:15080"]
    result["calls"] = first(lambda: headers(cluster.run(*proxy, "http://httpbin.default.svc.cluster.local:8000/headers", check=False).stdout))
    result["refused"] = cluster.run(*proxy, "http://httpbin.default.svc.cluster.local:8000/status/200", "-w", "%{http_code}", check=False).stdout
    result["plain"] = cluster.run("curl", "-s", "--max-time", "5", f"http://{ADDRESS}:9090/", check=False).returncode
    result["status"] = istioctl("proxy-status")
    agents[0].send_signal(signal.SIGTERM)
    result["exit"] = agents[0].wait(30)
    result["left"] = first(lambda: not json.loads(cluster.kubectl("get", "workloadentry", "-o", "json").stdout)["items"])
    return result


if __name__ == "__main__":
    main()
