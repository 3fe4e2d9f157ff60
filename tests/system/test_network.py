from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.clusters import Cluster, eventually

_PLACE = """
import ctypes, os, sys, time
from varka.cluster.network import pods
from varka.cluster.settings import ClusterSettings
address = sys.argv[1]
ready_read, ready_write = os.pipe()
go_read, go_write = os.pipe()
if os.fork() == 0:
    assert ctypes.CDLL(None).unshare(0x40000000) == 0
    os.write(ready_write, b"x")
    os.read(go_read, 1)
    print(os.getpid(), flush=True)
    import http.server, socketserver
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        def do_GET(self):
            body = f"{address} saw {self.client_address[0]}".encode()
            self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
        def log_message(self, *_): pass
    class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
        daemon_threads = True
    Server(("0.0.0.0", 8080), Handler).serve_forever()
else:
    os.read(ready_read, 1)
    pid = max(int(name) for name in open(f"/proc/self/task/{os.getpid()}/children").read().split())
    network = pods.PodNetwork(ClusterSettings())
    network._link(address, pid)
    os.write(go_write, b"x")
    os.wait()
"""
POD_ONE, POD_TWO = "10.244.9.1", "10.244.9.2"


class Pods:
    """Two network namespaces linked as pods are, each with a web server on 8080, without the pod runtime."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.started: list[subprocess.Popen[str]] = []
        self.pids: dict[str, int] = {}

    def enter(self, pid: int) -> list[str]:
        """The command prefix that enters namespaces of a process of the cluster."""
        return ["nsenter", "-t", str(pid), "-U", "-n", "-m", "-p", "--preserve-credentials"]

    def add(self, address: str) -> None:
        """Start one."""
        node = self.cluster.pid("agent") or self.cluster.pid("node")
        process = subprocess.Popen([*self.enter(node), sys.executable, "-c", _PLACE, address], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        self.started.append(process)
        own = os.readlink(f"/proc/{node}/ns/net")
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if f"{address}\0" in (folder / "cmdline").read_text() and os.readlink(folder / "ns/net") != own:
                    self.pids[address] = int(folder.name)
            except OSError:
                continue

    def curl(self, address: str, url: str, *options: str) -> tuple[str, float]:
        """What a request from that pod gives (or curl's error), and how long it took."""
        begin = time.monotonic()
        done = subprocess.run([*self.enter(self.pids[address]), "curl", "-sS", "-m", "5", *options, url], capture_output=True, text=True, check=False)
        return done.stdout or done.stderr.strip(), time.monotonic() - begin

    def close(self) -> None:
        """End them."""
        for pid in self.pids.values():
            os.kill(pid, 9)
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture(scope="module")
def pods(cluster: Cluster) -> Iterator[Pods]:
    """Two pods behind the service `web` in the namespace `net`, port 80."""
    made = Pods(cluster)
    for address in (POD_ONE, POD_TWO):
        made.add(address)
    cluster.kubectl("create", "namespace", "net")
    cluster.apply(manifest([POD_ONE, POD_TWO]))
    eventually(lambda: "saw" in made.curl(POD_ONE, "http://web.net/")[0], what="the service")
    yield made
    made.close()
    cluster.kubectl("delete", "namespace", "net", "--wait=false")


def manifest(addresses: list[str], name: str = "web", kind: str = "LoadBalancer", port: int = 8089) -> str:
    """A service without selector, and its endpoints."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "net"},
        "spec": {"type": kind, "ports": [{"name": "http", "port": 80, "targetPort": 8080}, {"name": "alt", "port": port, "targetPort": 8080}]},
    }
    piece = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-1", "namespace": "net", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}, {"name": "alt", "port": 8080, "protocol": "TCP"}],
    }
    return json.dumps(service) + "\n---\n" + json.dumps(piece)


def place(cluster: Cluster, name: str = "net/web") -> tuple[str, dict[int, int]]:
    """Where the relay serves a service."""
    found = json.loads(cluster.folder.forwards_file.read_text())["places"]
    one = next(item for item in found if item["id"] == name)
    return one["address"], {int(port): bound for port, bound in one["ports"].items()}


def request(address: str, port: int) -> str:
    """One request from the host."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", "/")
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_a_service_reaches_all_its_endpoints(pods: Pods) -> None:
    """Both answer, and see the caller's own address, or the node's when a pod reaches itself."""
    answers = {pods.curl(POD_ONE, "http://web.net.svc.cluster.local/")[0] for _ in range(24)}
    assert answers == {f"{POD_TWO} saw {POD_ONE}", f"{POD_ONE} saw 10.244.0.1"}


def test_the_api_is_reached_by_its_service(pods: Pods) -> None:
    """kubernetes.default on port 443, with its own certificate's name."""
    ca = str(pods.cluster.folder.pki / "ca.crt")
    assert pods.curl(POD_ONE, "https://kubernetes.default.svc/version", "--cacert", ca, "-o", "/dev/null", "-w", "%{http_code}")[0] in ("200", "401", "403")


def test_a_service_without_endpoints_refuses_at_once(pods: Pods) -> None:
    """Connection refused, not a timeout."""
    pods.cluster.apply(manifest([], name="empty", kind="ClusterIP", port=81))
    text, seconds = eventually(lambda: (found := pods.curl(POD_ONE, "http://empty.net/")) and "resolve" not in found[0] and found)
    assert "connect" in text
    assert seconds < 2


def test_names_of_nothing_are_denied_at_once(pods: Pods) -> None:
    """NXDOMAIN inside the cluster does not go to the host."""
    text, seconds = pods.curl(POD_ONE, "http://nothing.net.svc.cluster.local/")
    assert "Could not resolve" in text
    assert seconds < 2


def test_a_load_balancer_is_reached_from_the_host(pods: Pods) -> None:
    """On the address in its status, with its own port where that is free."""
    address, ports = place(pods.cluster)
    ingress = eventually(lambda: pods.cluster.get("service", "web", "-n", "net")["status"]["loadBalancer"].get("ingress"))
    assert ingress[0]["ip"] == address
    assert request(address, ports[8089]) in {f"{POD_ONE} saw 10.244.0.1", f"{POD_TWO} saw 10.244.0.1"}


def test_connections_through_the_relay_survive_the_node(pods: Pods) -> None:
    """An open connection goes on while the node is killed, and new ones wait for its successor."""
    address, ports = place(pods.cluster)
    connection = http.client.HTTPConnection(address, ports[8089], timeout=10)
    connection.request("GET", "/")
    connection.getresponse().read()
    os.kill(pods.cluster.pid("node"), 9)
    connection.request("GET", "/")
    assert "saw" in connection.getresponse().read().decode()
    assert "saw" in request(address, ports[8089])
    assert "saw" in pods.curl(POD_ONE, "http://web.net/")[0]
    connection.close()


def test_a_killed_relay_listens_again(pods: Pods) -> None:
    """Within a second, at the same place."""
    before = place(pods.cluster)
    os.kill(pods.cluster.pid("relay"), 9)

    def answers() -> str:
        try:
            return request(before[0], before[1][8089])
        except OSError:
            return ""

    assert "saw" in eventually(answers, seconds=5, what="the relay")
    assert place(pods.cluster) == before


def test_an_endpoint_that_goes_is_no_longer_used(pods: Pods) -> None:
    """And one that comes back is."""
    pods.cluster.apply(manifest([POD_TWO]))
    eventually(lambda: {pods.curl(POD_ONE, "http://web.net/")[0] for _ in range(8)} == {f"{POD_TWO} saw {POD_ONE}"}, what="the change")
    pods.cluster.apply(manifest([POD_ONE, POD_TWO]))
    eventually(lambda: len({pods.curl(POD_ONE, "http://web.net/")[0] for _ in range(12)}) == 2, what="the change back")


def test_pods_do_not_reach_the_hosts_loopback(pods: Pods) -> None:
    """Neither directly nor through the way outside; a cloud's metadata address is refused as well."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert "connect" in pods.curl(POD_ONE, f"http://127.0.0.1:{port}/")[0]
    assert "saw" not in pods.curl(POD_ONE, "http://169.254.169.254/")[0]
