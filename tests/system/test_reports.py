"""What does not mend itself is in `varka status` with the mend, and what goes wrong from outside is said and survived."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually
from tests.system.test_lifecycle import mounts, namespaces_of

from varka.cluster import state

STUBBORN = """
apiVersion: v1
kind: Pod
metadata: {name: stubborn}
spec:
  terminationGracePeriodSeconds: 1
  containers: [{name: c, image: busybox, command: [sh, -c, "trap '' TERM; echo ready; while :; do sleep 1; done"]}]
"""
WEB = """
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec: {containers: [{name: web, image: nginx}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {type: LoadBalancer, selector: {app: web}, ports: [{port: PORT, targetPort: 80}]}
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One cluster for this module; each test leaves it whole."""
    made = Cluster("reports")
    try:
        made.up()
        yield made
    finally:
        made.destroy()


def problems(cluster: Cluster) -> dict[str, str]:
    """What is wrong, and the mend."""
    return {one["what"]: one["mend"] for one in cluster.status()["problems"]}


def told(cluster: Cluster, part: str) -> Callable[[], str]:
    """The mend of the problem that speaks of `part`, empty while there is none."""
    return lambda: next((mend for what, mend in problems(cluster).items() if part in what), "")


def healthy(cluster: Cluster) -> bool:
    """Nothing is wrong, and the exit code says so."""
    return cluster.varka("status", check=False).returncode == 0


@pytest.mark.parametrize("process", ["node", "agent", "relay"])
def test_a_process_that_keeps_ending_is_named_with_its_log(cluster: Cluster, process: str) -> None:
    """After some deaths in a row; when it stays up nothing is left of it."""

    def often() -> str:
        if pid := cluster.pid(process):
            os.kill(pid, 9)
        found = cluster.status()
        reports = [one["mend"] for one in found["problems"] if one["what"].startswith((f"{process} keeps ending", f"{process} does not run"))]
        restarts = next(one["restarts"] for one in found["processes"] if one["name"] == process)
        return reports[0] if reports and restarts >= 3 else ""

    assert eventually(often, seconds=60, what="the report") == f"see {cluster.folder.logs / process}.log"
    eventually(lambda: healthy(cluster), seconds=60, what="a healthy cluster")


def test_a_control_plane_that_was_scaled_to_nothing(cluster: Cluster) -> None:
    """New pods of the mesh would be refused: status says so, and its mend mends it."""
    cluster.run(str(PROGRAMS / "istioctl"), "install", "-y")
    eventually(lambda: healthy(cluster), what="a healthy mesh")
    cluster.kubectl("scale", "deployment", "istiod", "-n", "istio-system", "--replicas=0")
    mend = eventually(told(cluster, "service/istio-system/istiod has no ready endpoint"), what="the report")
    assert mend == "kubectl scale deployment istiod -n istio-system --replicas=1"
    cluster.run(str(PROGRAMS / mend.split()[0]), *mend.split()[1:])
    eventually(lambda: healthy(cluster), seconds=40, what="a healthy mesh")


def test_a_program_that_is_missing(cluster: Cluster) -> None:
    """The container's reason is passed on with what to look at."""
    cluster.varka("image", "add", "hollow", "--", "/nonexistent/program")
    cluster.kubectl("run", "hollow", "--image=hollow")
    mend = eventually(told(cluster, "pod/default/hollow, container hollow"), what="the report")
    assert mend.startswith("kubectl ")
    cluster.kubectl("run", "unknown", "--image=nobody/knows")
    assert eventually(told(cluster, "pod/default/unknown"), what="the report") == "varka image add NAME -- COMMAND… makes the image known"
    cluster.kubectl("delete", "pod", "hollow", "unknown", "--now")
    eventually(lambda: healthy(cluster), what="a healthy cluster")


def test_a_taken_port_of_this_machine_is_told_and_taken_when_it_is_free(cluster: Cluster) -> None:
    """A LoadBalancer's port that another program has on the address it would get: the service says where it is instead."""
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        port = other.getsockname()[1]
        cluster.apply(WEB.replace("PORT", str(port)))
        cluster.kubectl("wait", "--for=condition=Ready", "pod", "web", "--timeout=30s")
        ingress = eventually(lambda: cluster.get("service", "web")["status"]["loadBalancer"].get("ingress"), what="an address")[0]
        assert "error" in str(ingress.get("ports")), ingress
    cluster.kubectl("delete", "pod,service", "web", "--now")


def test_a_pod_that_ignores_sigterm_is_ended_after_its_grace(cluster: Cluster) -> None:
    """Not before, and without waiting for it to listen."""
    cluster.apply(STUBBORN)
    eventually(lambda: "ready" in cluster.kubectl("logs", "stubborn", check=False).stdout, what="the pod")
    started = time.monotonic()
    cluster.kubectl("delete", "pod", "stubborn")
    assert time.monotonic() - started >= 1
    assert cluster.kubectl("get", "pod", "stubborn", check=False).returncode == 1


def test_down_leaves_nothing_of_a_whole_mesh() -> None:
    """Pods that ignore SIGTERM included: no process, namespace, mount, socket, port, nftables rule or file."""
    before = (mounts(), rules())
    cluster = Cluster("gone")
    try:
        cluster.up()
        cluster.run(str(PROGRAMS / "istioctl"), "install", "-y")
        cluster.apply(STUBBORN.replace("GracePeriodSeconds: 1", "GracePeriodSeconds: 600"))
        eventually(lambda: "ready" in cluster.kubectl("logs", "stubborn", check=False).stdout, what="the pod")
        inside = processes_of(cluster)
        assert len(inside) > 10
        gateway = cluster.get("service", "-n", "istio-system", "istio-ingressgateway")["status"]["loadBalancer"]["ingress"][0]["ip"]
        cluster.varka("down")
        assert namespaces_of(cluster.folder.root) == set()
        assert {pid for pid, start in inside.items() if state.start_time(pid) == start} == set()
        assert str(cluster.folder.root) not in Path("/proc/net/unix").read_text()
        assert not cluster.folder.root.exists()
        assert (mounts(), rules()) == before
        with socket.socket() as probe:
            assert probe.connect_ex((gateway, 80)) != 0
    finally:
        cluster.destroy()


def rules() -> str:
    """The host's nftables rules."""
    return subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, check=False).stdout


def processes_of(cluster: Cluster) -> dict[int, int | None]:
    """Pids on this machine of everything below the cluster's supervisor, and when each was started."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = {cluster.pid("supervisor")}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return {pid: state.start_time(pid) for pid in found}
