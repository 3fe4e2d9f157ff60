"""What a mesh survives: each of its processes is killed under a running stream of requests, and none of them may fail that need not."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator

import pytest
from tests.system.clusters import Cluster, eventually
from tests.system.meshes import Mesh, ask, every_status

DENY_ANYTHING = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-anything, namespace: faults}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/anything]}}]}]}
"""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """One mesh for this module; each test leaves it whole."""
    cluster = Cluster("faults")
    try:
        cluster.up()
        made = Mesh(cluster)
        made.install()
        yield made
    finally:
        cluster.destroy()


def test_traffic_goes_on_without_istiod(mesh: Mesh) -> None:
    """A killed istiod is started again, every proxy reconnects within seconds, and policies applied then take effect."""
    istiod = mesh.pods("istiod", "istio-system")[0]
    old = mesh.program("varka.control", istiod["metadata"]["uid"])
    with mesh.requests():
        os.kill(old, 9)
        eventually(lambda: mesh.program("varka.control", istiod["metadata"]["uid"]) not in (0, old), what="a new istiod")
        eventually(mesh.synced, seconds=15, what="proxies that are connected")
        mesh.cluster.apply(DENY_ANYTHING)
        eventually(lambda: mesh.code("/anything") == "403", what="the policy")
        mesh.cluster.kubectl("delete", "-n", "faults", "authorizationpolicy", "deny-anything")
        eventually(lambda: mesh.code("/anything") == "200", what="the policy's end")


def test_istiod_may_be_scaled_to_nothing_and_back(mesh: Mesh) -> None:
    """Proxies go on with what they have; the new istiod has all of them within seconds, and its policies take effect."""
    with mesh.requests():
        mesh.cluster.kubectl("scale", "deployment", "istiod", "-n", "istio-system", "--replicas=0")
        eventually(lambda: not mesh.cluster.get("pods", "-n", "istio-system", "-l", "app=istiod")["items"], what="istiod's end")
        mesh.cluster.apply(DENY_ANYTHING.replace("/anything", "/status/418"))
        time.sleep(1)
        mesh.cluster.kubectl("scale", "deployment", "istiod", "-n", "istio-system", "--replicas=1")
        mesh.cluster.kubectl("rollout", "status", "deployment/istiod", "-n", "istio-system", "--timeout=20s")
        eventually(mesh.synced, seconds=15, what="proxies that are connected")
        eventually(lambda: mesh.code("/status/418") == "403", what="the policy")
    mesh.cluster.kubectl("delete", "-n", "faults", "authorizationpolicy", "deny-anything")


def test_a_killed_envoy_is_started_again(mesh: Mesh) -> None:
    """Its container counts one restart and is ready again; others' requests go to the other server meanwhile."""
    pod = mesh.pods("httpbin")[0]
    name = pod["metadata"]["name"]

    def again() -> bool:
        statuses = {one["name"]: one for one in every_status(mesh.cluster.get("pod", "-n", "faults", name))}
        return bool(statuses["istio-proxy"]["restartCount"] == 1 and all(one["ready"] for one in statuses.values()))

    with mesh.requests(inside_lost=1, outside_lost=1):
        os.kill(mesh.envoy(pod), 9)
        eventually(again, what="a new Envoy")
        eventually(mesh.synced, seconds=15, what="proxies that are connected")


@pytest.mark.parametrize("what", ["node", "agent"])
def test_no_request_is_lost_when_a_process_of_the_node_is_killed(mesh: Mesh, what: str) -> None:
    """Envoys are no children of either; the successor takes pods and Envoys back. Connections from outside pass through the node."""
    old = mesh.cluster.pid(what)
    before = {pod["metadata"]["name"]: [one["restartCount"] for one in every_status(pod)] for pod in [*mesh.pods("httpbin"), *mesh.pods("client")]}
    pod = mesh.pods("httpbin")[0]
    serial = mesh.serial(pod)
    with mesh.requests(outside_lost=1 if what == "node" else 0):
        os.kill(old, 9)
        eventually(lambda: mesh.cluster.pid(what) not in (0, old), what=f"a new {what}")
        time.sleep(2)
    mesh.ready()
    after = {pod["metadata"]["name"]: [one["restartCount"] for one in every_status(pod)] for pod in [*mesh.pods("httpbin"), *mesh.pods("client")]}
    assert after == before
    if what == "agent":
        eventually(lambda: mesh.serial(pod) != serial, what="a certificate of the new agent")
    mesh.cluster.kubectl("delete", "pod", "-n", "faults", name := mesh.pods("client")[0]["metadata"]["name"])
    mesh.ready()
    assert name != mesh.pods("client")[0]["metadata"]["name"]


def test_the_gateway_is_back_soon_after_the_relay_was_killed(mesh: Mesh) -> None:
    """Its address on this machine answers again within two seconds."""
    old, address = mesh.cluster.pid("relay"), mesh.gateway()
    os.kill(old, 9)
    killed = time.monotonic()
    codes = Counter[str]()
    while not codes["200"] and time.monotonic() < killed + 10:
        stop = threading.Event()
        threading.Timer(0.05, stop.set).start()
        ask(address, stop, codes)
    assert time.monotonic() - killed < 2, codes
    with mesh.requests():
        time.sleep(0.5)


def test_a_rolling_restart_loses_no_request(mesh: Mesh) -> None:
    """Servers leave the endpoints before they drain, and replace each other under load."""
    before = {pod["metadata"]["name"] for pod in mesh.pods("httpbin")}
    with mesh.requests():
        mesh.cluster.kubectl("rollout", "restart", "-n", "faults", "deployment/httpbin")
        mesh.cluster.kubectl("rollout", "status", "-n", "faults", "deployment/httpbin", "--timeout=50s")
        eventually(lambda: len(mesh.cluster.get("pods", "-n", "faults", "-l", "app=httpbin")["items"]) == 2, seconds=50, what="the end of the old servers")
    assert before.isdisjoint(pod["metadata"]["name"] for pod in mesh.pods("httpbin"))


def test_a_deleted_replica_loses_no_request(mesh: Mesh) -> None:
    """`kubectl delete pod` of one of two servers."""
    with mesh.requests():
        mesh.cluster.kubectl("delete", "pod", "-n", "faults", mesh.pods("httpbin")[0]["metadata"]["name"])
        mesh.ready()
