"""TLS at the edges of a mesh: what an ingress gateway presents and asks for, and TLS that an egress gateway begins."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.builders.certificates import Authority, Pair
from tests.system.clusters import PROGRAMS, Cluster, eventually

WAIT = ("wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
_SERVER = """
import http.server, json, ssl
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        peer = dict(pair for part in (self.connection.getpeercert() or {}).get("subject", ()) for pair in part)
        body = json.dumps({"client": peer.get("commonName", ""), "sni": seen[-1], "host": self.headers["host"]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
seen = [""]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/certs/tls.crt", "/certs/tls.key")
context.load_verify_locations("/certs/ca.crt")
context.verify_mode = ssl.CERT_OPTIONAL
context.sni_callback = lambda connection, name, _: seen.append(name)
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


class Edge:
    """A mesh with gateways, an application in it, a server outside of it, and the certificates of everyone."""

    def __init__(self, folder: Path) -> None:
        self.cluster = Cluster("edge")
        self.folder = folder
        self.authority = Authority()
        (folder / "ca.pem").write_text(self.authority.pem)

    def start(self) -> None:
        self.cluster.up()
        self.cluster.run(str(PROGRAMS / "istioctl"), "install", "--set", "profile=demo", "-y", timeout=120)
        self.cluster.kubectl("label", "namespace", "default", "istio-injection=enabled")
        self.cluster.kubectl("create", "namespace", "outside")
        self.secret("outside", "server", self.authority.pair("pass.example.com", "secure.example.com"), **{"ca.crt": self.authority.pem})
        server = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "server", "namespace": "outside", "labels": {"app": "server"}},
            "spec": {
                "containers": [
                    {
                        "name": "server",
                        "image": "python:3",
                        "command": ["python3", "-c", _SERVER],
                        "volumeMounts": [{"name": "certs", "mountPath": "/certs"}],
                        "readinessProbe": {"tcpSocket": {"port": 8443}, "periodSeconds": 1},
                    }
                ],
                "volumes": [{"name": "certs", "secret": {"secretName": "server"}}],
            },
        }
        self.cluster.apply(yaml.safe_dump_all([server, *_APPLICATION]))
        for namespace in ("outside", "default", "istio-system"):
            self.cluster.kubectl(*WAIT, "-n", namespace, timeout=90)

    def secret(self, namespace: str, name: str, pair: Pair, **more: str) -> None:
        """Create or replace a Secret with a certificate."""
        data = {"tls.crt": pair.certificate, "tls.key": pair.key, **more}
        self.cluster.apply(yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "stringData": data}))

    def get(self, host: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """HTTPS from this machine through the ingress gateway."""
        lines = dict(line.removeprefix("export ").split("=", 1) for line in self.cluster.varka("env").stdout.splitlines() if line.startswith("export "))
        address, port = lines["INGRESS_HOST"].strip("'"), lines["SECURE_INGRESS_PORT"].strip("'")
        command = ["curl", "-sS", "--max-time", "5", "--cacert", str(self.folder / "ca.pem"), "--resolve", f"{host}:{port}:{address}", *arguments]
        return self.cluster.run(*command, f"https://{host}:{port}/get", check=False, timeout=20)

    def serial(self, host: str) -> int:
        """The serial number of the certificate that the gateway presents for a name, 0 if there is none."""
        shown = self.get(host, "-w", "%{certs}", "-o", "/dev/null").stdout
        found = next((line.partition(":")[2] for line in shown.splitlines() if line.startswith("Serial Number:")), "")
        return int(found.strip().replace(":", ""), 16) if found else 0

    def client(self, name: str, pair: Pair) -> tuple[str, ...]:
        """Arguments by which curl presents a certificate."""
        (self.folder / f"{name}.pem").write_text(pair.certificate)
        (self.folder / f"{name}.key").write_text(pair.key)
        return ("--cert", str(self.folder / f"{name}.pem"), "--key", str(self.folder / f"{name}.key"))


_APPLICATION: list[dict[str, Any]] = [
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "httpbin"},
        "spec": {"selector": {"app": "httpbin"}, "ports": [{"name": "http", "port": 8000, "targetPort": 8080}]},
    },
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "httpbin", "labels": {"app": "httpbin"}},
        "spec": {"containers": [{"name": "httpbin", "image": "mccutchen/go-httpbin"}]},
    },
    {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "client", "labels": {"app": "client"}},
        "spec": {"containers": [{"name": "client", "image": "curlimages/curl", "command": ["sleep", "infinity"]}]},
    },
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "server", "namespace": "outside"},
        "spec": {"selector": {"app": "server"}, "ports": [{"name": "tls", "port": 443, "targetPort": 8443}]},
    },
]


def gateway(name: str, tls: dict[str, Any], host: str = "", protocol: str = "HTTPS") -> str:
    """A Gateway for one host on port 443, and the VirtualService that leads to the application."""
    host = host or f"{name}.example.com"
    server = {"port": {"number": 443, "name": f"https-{name}", "protocol": protocol}, "tls": tls, "hosts": [host]}
    route = [{"route": [{"destination": {"host": "httpbin.default.svc.cluster.local", "port": {"number": 8000}}}]}]
    group = "networking.istio.io/v1"
    return yaml.safe_dump_all(
        [
            {"apiVersion": group, "kind": "Gateway", "metadata": {"name": name}, "spec": {"selector": {"istio": "ingressgateway"}, "servers": [server]}},
            {"apiVersion": group, "kind": "VirtualService", "metadata": {"name": name}, "spec": {"hosts": [host], "gateways": [name], "http": route}},
        ]
    )


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    made = Edge(tmp_path_factory.mktemp("certificates"))
    try:
        made.start()
        yield made
    finally:
        made.cluster.destroy()


def status(done: subprocess.CompletedProcess[str]) -> int:
    return int(done.stdout or 0)


CODE = ("-o", "/dev/null", "-w", "%{http_code}")


def test_certificate_of_a_secret_and_its_successor(edge: Edge) -> None:
    """A gateway presents the Secret's certificate, and the next one as soon as the Secret is replaced, without a restart."""
    first, second = edge.authority.pair("simple.example.com"), edge.authority.pair("simple.example.com")
    edge.secret("istio-system", "simple", first)
    edge.cluster.apply(gateway("simple", {"mode": "SIMPLE", "credentialName": "simple", "minProtocolVersion": "TLSV1_3"}))
    eventually(lambda: status(edge.get("simple.example.com", *CODE)) == 200, what="an answer over HTTPS")
    assert edge.serial("simple.example.com") == first.serial
    assert edge.get("simple.example.com", "--tls-max", "1.2").returncode == 35
    edge.secret("istio-system", "simple", second)
    eventually(lambda: edge.serial("simple.example.com") == second.serial, what="the new certificate")


def test_a_missing_secret_harms_nobody_else(edge: Edge) -> None:
    """A server whose Secret is not there refuses its own clients; it works as soon as the Secret comes."""
    edge.cluster.apply(gateway("missing", {"mode": "SIMPLE", "credentialName": "missing"}))
    test_certificate_of_a_secret_and_its_successor(edge)
    assert edge.get("missing.example.com").returncode == 35
    edge.secret("istio-system", "missing", edge.authority.pair("missing.example.com"))
    eventually(lambda: status(edge.get("missing.example.com", *CODE)) == 200, what="an answer after the Secret came")


def test_clients_have_to_show_certificates(edge: Edge) -> None:
    """MUTUAL takes clients of the named authority only, and none that were revoked."""
    good, bad, stranger = edge.authority.pair("good"), edge.authority.pair("bad"), Authority("other").pair("stranger")
    edge.secret("istio-system", "mutual", edge.authority.pair("mutual.example.com"))
    trust = {"ca.crt": edge.authority.pem, "ca.crl": edge.authority.revoking(bad)}
    edge.cluster.apply(
        yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mutual-cacert", "namespace": "istio-system"}, "stringData": trust})
    )
    edge.cluster.apply(gateway("mutual", {"mode": "MUTUAL", "credentialName": "mutual"}))
    arguments = {name: edge.client(name, pair) for name, pair in (("good", good), ("bad", bad), ("stranger", stranger))}
    eventually(lambda: status(edge.get("mutual.example.com", *CODE, *arguments["good"])) == 200, what="an answer to a known client")
    for refused in ((), arguments["bad"], arguments["stranger"]):
        assert status(edge.get("mutual.example.com", *CODE, *refused)) == 0


def test_tls_passed_on_by_its_server_name(edge: Edge) -> None:
    """PASSTHROUGH leads to a server that decrypts by itself, beside other servers on the same port."""
    tls = yaml.safe_load_all(gateway("pass", {"mode": "PASSTHROUGH"}, protocol="TLS"))
    made, routes = tls
    match = [{"port": 443, "sniHosts": ["pass.example.com"]}]
    routes["spec"] = {
        "hosts": ["pass.example.com"], "gateways": ["pass"],
        "tls": [{"match": match, "route": [{"destination": {"host": "server.outside.svc.cluster.local", "port": {"number": 443}}}]}],
    }  # fmt: skip
    edge.cluster.apply(yaml.safe_dump_all([made, routes]))

    def answer() -> Any:
        shown = edge.get("pass.example.com").stdout
        return json.loads(shown) if shown else None

    assert eventually(answer, what="an answer of the server itself")["sni"] == "pass.example.com"


def test_egress_gateway_begins_tls(edge: Edge) -> None:
    """A pod's plain request leaves the mesh through the egress gateway, which presents its own certificate to the server outside."""
    edge.secret("istio-system", "egress", edge.authority.pair("egress-client"), **{"ca.crt": edge.authority.pem})
    address = edge.cluster.get("pod", "server", "-n", "outside")["status"]["podIP"]
    edge.cluster.apply(_EGRESS.replace("ADDRESS", address))

    def answer() -> Any:
        command = ["curl", "-s", "--max-time", "5", "--resolve", "secure.example.com:80:240.10.0.1", "http://secure.example.com/"]
        shown = edge.cluster.kubectl("exec", "client", "-c", "client", "--", *command, check=False).stdout
        try:
            return json.loads(shown)
        except ValueError:
            return None

    found = eventually(answer, seconds=30, what="an answer through the egress gateway")
    assert found == {"client": "egress-client", "sni": "secure.example.com", "host": "secure.example.com"}
    pod = edge.cluster.get("pod", "-n", "istio-system", "-l", "istio=egressgateway")["items"][0]["metadata"]["name"]
    assert "outbound|443||secure.example.com" in edge.cluster.kubectl("logs", pod, "-n", "istio-system").stdout


_EGRESS = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: secure}
spec:
  hosts: [secure.example.com]
  addresses: [240.10.0.1]
  location: MESH_EXTERNAL
  resolution: STATIC
  ports: [{number: 80, name: http, protocol: HTTP}, {number: 443, name: https, protocol: HTTPS, targetPort: 8443}]
  endpoints: [{address: ADDRESS}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress}
spec:
  selector: {istio: egressgateway}
  servers:
  - {port: {number: 443, name: https, protocol: HTTPS}, hosts: [secure.example.com], tls: {mode: ISTIO_MUTUAL}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: to-egress}
spec:
  host: istio-egressgateway.istio-system.svc.cluster.local
  subsets:
  - name: secure
    trafficPolicy:
      portLevelSettings: [{port: {number: 443}, tls: {mode: ISTIO_MUTUAL, sni: secure.example.com}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: through-egress}
spec:
  hosts: [secure.example.com]
  gateways: [egress, mesh]
  http:
  - match: [{gateways: [mesh], port: 80}]
    route: [{destination: {host: istio-egressgateway.istio-system.svc.cluster.local, subset: secure, port: {number: 443}}}]
  - match: [{gateways: [egress], port: 443}]
    route: [{destination: {host: secure.example.com, port: {number: 443}}}]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: begin-tls}
spec:
  host: secure.example.com
  trafficPolicy:
    portLevelSettings: [{port: {number: 443}, tls: {mode: MUTUAL, credentialName: egress, sni: secure.example.com}}]
"""


_POLICIES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: everything}
spec:
  host: httpbin.default.svc.cluster.local
  trafficPolicy:
    retryBudget: {percent: 25, minRetryConcurrency: 4}
    outlierDetection: {consecutive5xxErrors: 3, interval: 5s, baseEjectionTime: 10s, maxEjectionPercent: 50}
    connectionPool:
      tcp: {maxConnections: 90, connectTimeout: 2s, maxConnectionDuration: 60s, idleTimeout: 30s, tcpKeepalive: {probes: 3, time: 60s, interval: 10s}}
      http: {http1MaxPendingRequests: 80, http2MaxRequests: 70, maxRequestsPerConnection: 60, maxRetries: 5, idleTimeout: 20s, useClientProtocol: true}
    loadBalancer:
      consistentHash: {httpCookie: {name: user, path: /, ttl: 30s, attributes: [{name: SameSite, value: Lax}]}, maglev: {tableSize: 101}}
      localityLbSetting: {failoverPriority: [topology.kubernetes.io/region]}
  subsets:
  - {name: ring, labels: {app: httpbin}, trafficPolicy: {loadBalancer: {consistentHash: {httpHeaderName: x-user, ringHash: {minimumRingSize: 64}}}}}
  - {name: slow, labels: {app: httpbin}, trafficPolicy: {loadBalancer: {simple: ROUND_ROBIN, warmup: {duration: 30s, minimumPercent: 20, aggression: 1.5}}}}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: wrapped}
spec:
  host: server.outside.svc.cluster.local
  trafficPolicy: {proxyProtocol: {version: V2}}
---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: dug}
spec: {hosts: [dug.example.com], addresses: [192.0.2.9], ports: [{number: 7001, name: tcp, protocol: TCP}], resolution: STATIC, endpoints: [{address: 192.0.2.10}]}
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: dug}
spec: {host: dug.example.com, trafficPolicy: {tunnel: {protocol: POST, targetHost: far.example.com, targetPort: 7000}}}
"""


def test_policies_reach_envoy(edge: Edge) -> None:
    """Envoy takes every field of a DestinationRule, and requests still pass; the cookie that it sets has its attributes."""
    edge.cluster.apply(_POLICIES)

    def clusters() -> Any:
        shown = edge.cluster.run(str(PROGRAMS / "istioctl"), "proxy-config", "cluster", "client", "-o", "json", check=False).stdout
        found = {item["name"]: item for item in json.loads(shown or "[]")}
        return found if "outbound|8000|ring|httpbin.default.svc.cluster.local" in found else None

    found = eventually(clusters, what="the subsets' clusters")
    whole = found["outbound|8000||httpbin.default.svc.cluster.local"]
    assert (whole["lbPolicy"], whole["circuitBreakers"]["thresholds"][0]["retryBudget"]["minRetryConcurrency"]) == ("MAGLEV", 4)
    wrapped = found["outbound|443||server.outside.svc.cluster.local"]
    sockets = [wrapped["transportSocket"]] if "transportSocket" in wrapped else [match["transportSocket"] for match in wrapped["transportSocketMatches"]]
    assert {socket["name"] for socket in sockets} == {"envoy.transport_sockets.upstream_proxy_protocol"}
    listeners = edge.cluster.run(str(PROGRAMS / "istioctl"), "proxy-config", "listener", "client", "--port", "7001", "-o", "json").stdout
    assert '"hostname": "far.example.com:7000"' in listeners
    command = ["curl", "-s", "-i", "--max-time", "5", "http://httpbin:8000/get"]

    def answered() -> str:
        shown = edge.cluster.kubectl("exec", "client", "-c", "client", "--", *command, check=False).stdout
        return shown if " 200 OK" in shown else ""

    answer = eventually(answered, what="an answer under the policy")
    cookie = next(line for line in answer.splitlines() if line.lower().startswith("set-cookie:"))
    assert 'user="' in cookie and "Max-Age=30" in cookie and "SameSite=Lax" in cookie
    states = edge.cluster.run(str(PROGRAMS / "istioctl"), "proxy-status").stdout
    assert "STALE" not in states and "NACK" not in states and "ERROR" not in states
