"""What a mesh survives: each of its processes is killed under a running stream of requests, and none of them may fail that need not."""

from __future__ import annotations

import http.client
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

MESH = """
apiVersion: v1
kind: Namespace
metadata: {name: faults, labels: {istio-injection: enabled}}
---
apiVersion: v1
kind: Service
metadata: {name: httpbin, namespace: faults}
spec: {selector: {app: httpbin}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: httpbin, namespace: faults}
spec:
  replicas: 2
  selector: {matchLabels: {app: httpbin}}
  template:
    metadata: {labels: {app: httpbin}}
    spec: {containers: [{name: httpbin, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: client, namespace: faults}
spec:
  selector: {matchLabels: {app: client}}
  template:
    metadata: {labels: {app: client}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: curl, image: curlimages/curl, command: [sleep, "100000"]}]
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: faults}
spec: {mtls: {mode: STRICT}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: all, namespace: faults}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: httpbin, namespace: faults}
spec: {hosts: ["*"], gateways: [all], http: [{route: [{destination: {host: httpbin, port: {number: 8000}}}]}]}
"""
DENY_ANYTHING = """
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: deny-anything, namespace: faults}
spec: {action: DENY, rules: [{to: [{operation: {paths: [/anything]}}]}]}
"""
URL = "http://httpbin:8000/get"
_LOOP = """rm -f /tmp/stop /tmp/codes /tmp/ended
(while [ ! -e /tmp/stop ]; do curl -s -m 10 -o /tmp/body -w '%{http_code} %{errormsg}\\n' URL >>/tmp/codes; sleep 0.01; done; touch /tmp/ended) >/dev/null 2>&1 </dev/null &"""


class Mesh:
    """A cluster with two servers and a client, all with sidecars under strict mutual TLS, and a gateway in front."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    def install(self, *settings: str) -> None:
        """Install Istio and wait for every pod."""
        self.istioctl("install", "-y", *settings)
        self.cluster.apply(MESH)
        self.ready()

    def istioctl(self, *arguments: str, check: bool = True) -> str:
        """Standard output of `istioctl`."""
        return self.cluster.run(str(PROGRAMS / "istioctl"), *arguments, check=check).stdout

    def ready(self) -> None:
        """Wait until all containers of all workloads are ready."""
        for workload in ("httpbin", "client"):
            self.cluster.kubectl("rollout", "status", f"deployment/{workload}", "-n", "faults", "--timeout=40s")
        self.cluster.kubectl("wait", "-n", "faults", "--for=condition=Ready", "pod", "-l", "app in (client, httpbin)", "--timeout=40s")

    def sh(self, script: str, check: bool = True) -> str:
        """Output of a script in the client."""
        return self.cluster.kubectl("exec", "-n", "faults", "deploy/client", "-c", "curl", "--", "sh", "-c", script, check=check).stdout.strip()

    def code(self, path: str) -> str:
        """The status of one request of the client."""
        return self.sh(f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' http://httpbin:8000{path}", check=False)

    def gateway(self) -> str:
        """The gateway's address on this machine."""
        service = self.cluster.get("service", "-n", "istio-system", "istio-ingressgateway")
        return str(service["status"]["loadBalancer"]["ingress"][0]["ip"])

    def pods(self, app: str, namespace: str = "faults") -> list[Any]:
        """Pods with a label `app`, those that are ending left out."""
        found = self.cluster.get("pods", "-n", namespace, "-l", f"app={app}")["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def synced(self) -> bool:
        """All four proxies are connected and have taken everything they were sent."""
        proxies = self.proxies()
        return len(proxies) == 4 and all("STALE" not in line and "ERROR" not in line for line in proxies)

    def proxies(self) -> list[str]:
        """Lines of `istioctl proxy-status`."""
        return self.istioctl("proxy-status", check=False).splitlines()[1:]

    def envoy(self, pod: Any) -> int:
        """Pid on this machine of a pod's Envoy."""
        uid = str(pod["metadata"]["uid"])
        return process(lambda command: b"envoy" in Path(command.split(b"\0")[0].decode(errors="replace")).name.encode(), uid)

    def program(self, module: str, uid: str) -> int:
        """Pid on this machine of a Python module that runs in a pod."""
        return process(lambda command: module.encode() in command.split(b"\0"), uid)

    def serial(self, pod: Any) -> str:
        """Serial number of the certificate that a pod's Envoy holds."""
        answer = self.sh_in(pod, "istio-proxy", "pilot-agent", "request", "GET", "certs")
        chain = next(one["cert_chain"] for one in json.loads(answer)["certificates"] if one.get("cert_chain"))
        return str(chain[0]["serial_number"])

    def sh_in(self, pod: Any, container: str, *command: str) -> str:
        """Output of a command in a container."""
        return self.cluster.kubectl("exec", "-n", "faults", pod["metadata"]["name"], "-c", container, "--", *command).stdout

    @contextmanager
    def requests(self, *, inside_lost: int = 0, outside_lost: int = 0) -> Iterator[None]:
        """Requests, one after the other, from the client through both sidecars and from outside through the gateway.

        All must succeed but for as many as may have been open in the process that was killed.
        """
        self.sh(_LOOP.replace("URL", URL))
        address, stop, outside = self.gateway(), threading.Event(), Counter[str]()
        thread = threading.Thread(target=_ask, args=(address, stop, outside))
        thread.start()
        time.sleep(0.5)
        try:
            yield
        finally:
            time.sleep(0.5)
            stop.set()
            thread.join()
            inside = eventually(lambda: self.sh("touch /tmp/stop; [ -e /tmp/ended ] && sort /tmp/codes | uniq -c", check=False), what="the client's end")
        within = Counter({" ".join(rest): int(count) for count, *rest in (line.split() for line in inside.splitlines())})
        for answers, lost in ((within, inside_lost), (outside, outside_lost)):
            assert answers["200"] > 30 and answers.total() - answers["200"] <= lost, (within, outside)


def _ask(address: str, stop: threading.Event, codes: Counter[str]) -> None:
    while not stop.is_set():
        connection = http.client.HTTPConnection(address, timeout=10)
        try:
            connection.request("GET", "/get")
            answer = connection.getresponse()
            answer.read()
            codes[str(answer.status)] += 1
        except OSError as error:
            codes[repr(error)] += 1
        finally:
            connection.close()
        time.sleep(0.01)


def process(wanted: Callable[[bytes], bool], pod: str) -> int:
    """Pid of a process in a pod's control group or mounts, 0 when there is none."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if wanted((entry / "cmdline").read_bytes()) and pod in (entry / "mountinfo").read_text():
                return int(entry.name)
        except OSError:
            continue
    return 0


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


def every_status(pod: Any) -> list[Any]:
    """Statuses of containers, sidecars among the first ones included."""
    first = [one for one in pod["status"].get("initContainerStatuses", []) if one["name"] == "istio-proxy"]
    return [*pod["status"]["containerStatuses"], *first]


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
        _ask(address, stop, codes)
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
