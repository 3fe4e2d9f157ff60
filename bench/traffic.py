"""What a pair of sidecars adds to a request, and how its throughput compares with a pair of Envoys configured by hand.

Everything runs in the same two pods of the Bookinfo mesh: the application, the sidecars, the pair by hand on ports that
the redirection leaves alone, and the load generator. Each path is measured in turn, several times over.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import envoy_pair, processes
from bench.clusters import Cluster, Context, Failed
from bench.figures import Figure, median

NAMESPACE = "bench"
CONNECTIONS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One way to the application."""

    name: str
    host: str
    port: int


def manifests() -> list[dict[str, Any]]:
    """Client and server with sidecars, and a service."""
    ports = f"{envoy_pair.DIRECT},{envoy_pair.SECURE}"
    annotations = {f"traffic.sidecar.istio.io/exclude{side}Ports": ports for side in ("Inbound", "Outbound")}
    labels = {"istio-injection": "enabled"}
    found: list[dict[str, Any]] = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}]
    spec = {"selector": {"app": "server"}, "ports": [{"name": "http", "port": envoy_pair.APPLICATION}]}
    found.append({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "server", "namespace": NAMESPACE}, "spec": spec})
    meta = {"name": "strict", "namespace": NAMESPACE}
    found.append({"apiVersion": "security.istio.io/v1", "kind": "PeerAuthentication", "metadata": meta, "spec": {"mtls": {"mode": "STRICT"}}})
    quiet = {"accessLogging": [{"disabled": True}]}
    found.append({"apiVersion": "telemetry.istio.io/v1", "kind": "Telemetry", "metadata": {**meta, "name": "quiet"}, "spec": quiet})
    allow = {"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy", "metadata": {"name": "allow", "namespace": NAMESPACE}}
    found.append({**allow, "spec": {"rules": [{"from": [{"source": {"namespaces": [NAMESPACE]}}]}]}})
    return found + [_pod(name, annotations) for name in ("client", "server")]


def _pod(name: str, annotations: dict[str, str]) -> dict[str, Any]:
    container = {"name": "app", "image": "busybox", "command": ["sleep", "infinity"]}
    meta = {"name": name, "namespace": NAMESPACE, "labels": {"app": name}, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container], "terminationGracePeriodSeconds": 0}}


class Pods:
    """The two pods, and processes started in their network namespaces."""

    def __init__(self, mesh: Cluster) -> None:
        self._mesh = mesh
        wanted = manifests()
        mesh.kubectl("apply", "-f", "-", given=json.dumps(wanted[0]))
        mesh.kubectl("apply", "-f", "-", given="\n".join(json.dumps(one) for one in wanted[1:]))
        mesh.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", NAMESPACE, "--timeout=60s")
        objects = {item["metadata"]["name"]: item for item in mesh.get("pods", "-n", NAMESPACE)["items"]}
        self.address = objects["server"]["status"]["podIP"]
        self.service = mesh.get("service", "server", "-n", NAMESPACE)["spec"]["clusterIP"]
        running = processes.below(mesh.supervisor)
        self.pids = {name: self._shim(running, item["metadata"]["uid"]) for name, item in objects.items()}
        self.concurrency = self._concurrency(running)

    def _shim(self, running: list[processes.Process], uid: str) -> int:
        for process in running:
            if any(uid in word for word in process.arguments):
                return process.pid
        raise Failed(f"no process of pod {uid} was found")

    def _concurrency(self, running: list[processes.Process]) -> str:
        for process in running:
            if processes.kind(process.arguments) == "Envoys" and "--concurrency" in process.arguments:
                return process.arguments[process.arguments.index("--concurrency") + 1]
        return "2"

    def command(self, pod: str, *arguments: str) -> list[str]:
        """The arguments, run in the pod's network."""
        return ["nsenter", "-t", str(self.pids[pod]), "-U", "--preserve-credentials", "-n", *arguments]

    @contextlib.contextmanager
    def envoys(self, configurations: list[tuple[str, dict[str, Any], str]]) -> Iterator[None]:
        """Envoys by hand: (pod, configuration, concurrency)."""
        program = str(Path(sys.executable).parent / "envoy")
        running: list[subprocess.Popen[bytes]] = []
        with tempfile.TemporaryDirectory() as folder:
            try:
                for number, (pod, configuration, concurrency) in enumerate(configurations):
                    file = Path(folder) / f"{number}.json"
                    file.write_text(json.dumps(configuration))
                    options = ["-c", str(file), "--disable-hot-restart", "--concurrency", concurrency, "--log-level", "error"]
                    running.append(subprocess.Popen(self.command(pod, program, *options), stdin=subprocess.DEVNULL))
                time.sleep(1.5)
                if any(process.poll() is not None for process in running):
                    raise Failed("an Envoy with a configuration by hand ended")
                yield
            finally:
                for process in running:
                    process.terminate()
                for process in running:
                    process.wait(10)

    def load(self, target: Target, connections: int, seconds: float) -> dict[str, float]:
        """One run of the generator in the client's pod."""
        words = (target.host, str(target.port), f"server.{NAMESPACE}.svc.cluster.local:{envoy_pair.APPLICATION}", str(connections), str(seconds))
        done = subprocess.run(self.command("client", sys.executable, "-m", "bench.load", *words), capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            raise Failed(f"{target.name}: {(done.stderr or done.stdout).strip()[-200:]}")
        found: dict[str, float] = json.loads(done.stdout)
        return found


def pair(context: Context) -> tuple[Figure, ...]:
    """Latency at one connection, throughput at many; each path in each round."""
    pods = Pods(context.bookinfo())
    certificates = envoy_pair.Certificates()
    by_hand = [("server", envoy_pair.server(certificates), pods.concurrency), ("client", envoy_pair.client(certificates, pods.address), pods.concurrency)]
    direct = Target(name="direct call", host=pods.address, port=envoy_pair.DIRECT)
    sidecars = Target(name="sidecars", host=pods.service, port=envoy_pair.APPLICATION)
    hand = Target(name="pair by hand", host="127.0.0.1", port=envoy_pair.PLAIN)
    rounds, seconds = (3, 1.5) if context.quick else (5, 3.0)
    latency: dict[str, list[float]] = {target.name: [] for target in (direct, sidecars, hand)}
    rate: dict[str, list[float]] = {target.name: [] for target in (sidecars, hand)}
    with pods.envoys([("server", envoy_pair.application(), "1"), *by_hand]):
        for target in (direct, sidecars, hand):
            pods.load(target, 4, 0.5)
        for _ in range(rounds):
            for target in (direct, sidecars, hand):
                latency[target.name].append(pods.load(target, 1, seconds)["p50_us"] / 1000)
            for target in (sidecars, hand):
                found = pods.load(target, CONNECTIONS, seconds)
                rate[target.name].append(found["requests"] / found["seconds"])
    middle = {name: median(values) for name, values in latency.items()}
    ratio = median([mine / other for mine, other in zip(rate["sidecars"], rate["pair by hand"], strict=True)])
    how = f"{rounds} rounds of {seconds} s, access log off"
    return (
        Figure(
            name="latency that sidecars add, median", value=middle["sidecars"] - middle["direct call"], unit="ms", budget=0.45, detail=f"1 connection, {how}"
        ),
        Figure(name="latency of a direct call, median", value=middle["direct call"], unit="ms", detail=how),
        Figure(name="latency that the pair by hand adds, median", value=middle["pair by hand"] - middle["direct call"], unit="ms", detail=how),
        Figure(
            name="throughput of sidecars / pair by hand",
            value=ratio,
            unit="",
            budget=0.9,
            at_least=True,
            detail=f"{CONNECTIONS} connections, {how}, --concurrency {pods.concurrency}",
        ),
        Figure(name="throughput of sidecars", value=median(rate["sidecars"]), unit="req/s", detail=how),
        Figure(name="throughput of the pair by hand", value=median(rate["pair by hand"]), unit="req/s", detail=how),
    )
