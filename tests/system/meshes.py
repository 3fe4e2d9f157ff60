"""A mesh for system tests: two servers and a client under strict mutual TLS, a gateway, and requests that run all the time."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
        thread = threading.Thread(target=ask, args=(address, stop, outside))
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


def ask(address: str, stop: threading.Event, codes: Counter[str]) -> None:
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


def every_status(pod: Any) -> list[Any]:
    """Statuses of containers, sidecars among the first ones included."""
    first = [one for one in pod["status"].get("initContainerStatuses", []) if one["name"] == "istio-proxy"]
    return [*pod["status"]["containerStatuses"], *first]
