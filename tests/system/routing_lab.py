"""Runs inside network namespaces of its own: random rules, random requests, and whether a real Envoy agrees with the simulator.

Prints one JSON object: how many calls were compared, how they ended, and those that the two see differently.
`test_simulation_agrees` starts it and judges. Which cluster and route Envoy took is read from its access log, by the
port that the client called from.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from typing import Any

import yaml
from tests.builders import simulated
from tests.fakes.discovery import Discovery
from tests.system import envoy_pair

from varka.analysis.simulation import configuration, simulate
from varka.analysis.simulation.call import Call, Direction, Protocol, Security
from varka.analysis.simulation.result import Failure, Result
from varka.envoy import generate
from varka.model.view import MeshSettings

CLIENT, SERVER = "10.244.0.1", "10.244.0.2"
RULES = """
table ip t {
  chain out {
    type nat hook output priority -100;
    meta mark 1337 return
    ip daddr 10.96.0.0/16 meta l4proto tcp redirect to :15001
    ip daddr 10.200.0.0/16 meta l4proto tcp redirect to :15001
  }
}
"""
FORMAT = "%DOWNSTREAM_REMOTE_ADDRESS%\t%RESPONSE_CODE%\t%UPSTREAM_CLUSTER_RAW%\t%ROUTE_NAME%\t%RESPONSE_CODE_DETAILS%\n"
FIRST_PORT = 20000
CLOSED = {Failure.NO_LISTENER, Failure.NO_FILTER_CHAIN, Failure.TLS_ERROR, Failure.MTLS_ERROR}
BOUND = "127.0.0.5"
SERVICES = {"web": "10.96.0.10", "api": "10.96.0.11"}
PORTS = {"http": 80, "http-b": 8080, "any": 7000, "tcp": 9000, "tls": 9443}
HOSTS = ["web", "api", "ext.example.com", "*.wild.example.com", "a.wild.example.com", "shop.example.com", "*.example.com", "bücher.example.com"]
PATHS = ["/", "/a", "/a/b", "/A", "/api/v1/x", "/api/v2", "/apix", "/a?user=x", "/a?user=y&v=2", "/b?v=", "/ü"]
ASKED = ["web", "web:80", "WEB.default", "api.default.svc", "api.default.svc.cluster.local:8080", "web.default.svc.cluster.local."]
ASKED += [
    "bücher.example.com",
    "ext.example.com",
    "x.wild.example.com",
    "a.wild.example.com",
    "shop.example.com",
    "shop.example.com:8081",
    "q.example.com",
    "nobody",
    "10.96.0.10",
]
HEADERS: list[dict[str, str]] = [{}, {"x-user": "jason"}, {"x-user": ""}, {"x-user": "jane", "x-test": "1"}, {"x-test": "22"}, {"cookie": "a=b; user=x"}]


class App(StreamRequestHandler):
    """Answers a request with the path and the host that it saw, and anything else with a line, at once."""

    def handle(self) -> None:
        """One connection, one answer."""
        first = self.request.recv(65536)
        if not first.startswith((b"GET ", b"POST ")):
            self.request.sendall(b"bytes\n")
            return
        head = first.decode(errors="replace").split("\r\n")
        host = next((line.partition(": ")[2] for line in head if line.lower().startswith("host: ")), "")
        body = json.dumps({"path": head[0].split()[1], "host": host}).encode()
        self.request.sendall(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))


class Rules:
    """Random resources."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice

    def manifests(self) -> Iterator[dict[str, Any]]:
        """Services, their endpoints, ServiceEntries, and rules for them."""
        for name, address in SERVICES.items():
            ports = [{"name": port, "port": number} for port, number in PORTS.items()]
            yield {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"clusterIP": address, "ports": ports}}
            yield {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "endpoints": [{"addresses": [SERVER]}],
                "ports": [{"name": port, "port": 8000} for port in PORTS],
            }
            subsets = [{"name": version, "labels": {}} for version in ("v1", "v2")]
            yield self._istio("DestinationRule", name, {"host": name, "subsets": subsets})
        yield from self._entries()
        yield from self._gateways()
        for number in range(self._dice.randint(4, 8)):
            yield self._virtual_service(number)
        if self._dice.random() < 0.5:
            yield self._sidecar()

    def _sidecar(self) -> dict[str, Any]:
        listeners: list[dict[str, Any]] = [
            {"port": {"number": 80, "protocol": "HTTP", "name": "a"}, "bind": BOUND, "captureMode": "NONE", "hosts": ["./web.default.svc.cluster.local"]},
            {"port": {"number": 8080, "protocol": "HTTP_PROXY", "name": "b"}, "bind": BOUND, "captureMode": "NONE", "hosts": ["./*"]},
            {"port": {"number": 9000, "protocol": "TCP", "name": "c"}, "bind": BOUND, "captureMode": "NONE", "hosts": ["./api.default.svc.cluster.local"]},
            {"port": {"number": 80, "protocol": "HTTP", "name": "d"}, "hosts": ["./*"]},
        ]
        proxy = {"egressProxy": {"host": "api.default.svc.cluster.local", "port": {"number": 9000}}}
        unknown = self._dice.choice([{"mode": "REGISTRY_ONLY"}, {"mode": "ALLOW_ANY"}, {"mode": "ALLOW_ANY", **proxy}])
        rest = {"hosts": self._some(["./*", "./web.default.svc.cluster.local", "*/*.example.com"])}
        one_a_port = {listener["port"]["number"]: listener for listener in self._some(listeners, 3)}
        spec = {"egress": [*one_a_port.values(), rest], "outboundTrafficPolicy": unknown}
        ingress = [
            {"port": {"number": 9080, "protocol": "HTTP", "name": "in"}, "defaultEndpoint": "127.0.0.1:8000", "connectionPool": {"tcp": {"maxConnections": 9}}}
        ]
        return self._istio("Sidecar", "client", {**spec, "ingress": ingress})

    def _istio(self, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
        created = f"2020-01-01T00:00:{self._dice.randint(10, 59)}Z"
        return {"apiVersion": "networking.istio.io/v1", "kind": kind, "metadata": {"name": name, "creationTimestamp": created}, "spec": spec}

    def _entries(self) -> Iterator[dict[str, Any]]:
        ports = [{"name": "http", "number": 80, "protocol": "HTTP"}, {"name": "tls", "number": 9443, "protocol": "TLS"}]
        static = {"resolution": "STATIC", "endpoints": [{"address": SERVER, "ports": {"http": 8000, "tls": 8000}}]}
        addresses = self._dice.choice([{}, {"addresses": ["10.96.1.1"]}, {"addresses": ["10.96.1.0/24"]}])
        yield self._istio("ServiceEntry", "ext", {"hosts": ["ext.example.com"], "ports": ports, **static, **addresses})
        yield self._istio("ServiceEntry", "wild", {"hosts": ["*.wild.example.com"], "ports": ports, "resolution": "NONE"})

    def _gateways(self) -> Iterator[dict[str, Any]]:
        plain, names = {"number": 8081, "name": "http", "protocol": "HTTP"}, ["*", "*.example.com", "shop.example.com", "web.default.svc.cluster.local"]
        for name in ("first", "second"):
            redirect = {"tls": {"httpsRedirect": True}} if self._dice.random() < 0.2 else {}
            servers: list[dict[str, Any]] = [{"port": plain, "hosts": self._some(names), **redirect}]
            if name == "first":
                secure = {"port": {"number": 8443, "name": "https", "protocol": "HTTPS"}, "tls": {"mode": "SIMPLE", "credentialName": "shop-cert"}}
                servers.append({**secure, "hosts": [self._dice.choice(["*.example.com", "shop.example.com"])]})
                unread = {"port": {"number": 8444, "name": "tls", "protocol": "TLS"}, "tls": {"mode": "PASSTHROUGH"}}
                servers.append({**unread, "hosts": [self._dice.choice(["*.example.com", "*"])]})
            yield self._istio("Gateway", name, {"selector": simulated.GATEWAY_LABELS, "servers": servers})

    def _some(self, items: list[Any], most: int = 2) -> list[Any]:
        return self._dice.sample(items, self._dice.randint(1, most))

    def _virtual_service(self, number: int) -> dict[str, Any]:
        hosts = self._some(HOSTS)
        gateways = self._dice.choice([["mesh"], ["mesh"], ["mesh", "first"], ["first"], ["first", "second"]])
        spec: dict[str, Any] = {"hosts": hosts, "gateways": gateways, "http": [self._http(rule) for rule in range(self._dice.randint(1, 4))]}
        if self._dice.random() < 0.5:
            spec["tls"] = [{"match": [self._tls_match(hosts)], "route": [self._destination(9000)]}]
        if self._dice.random() < 0.4:
            spec["tcp"] = [{"match": [{"port": 9000}], "route": [self._destination(9000)]}]
        return self._istio("VirtualService", f"rules-{number}", spec)

    def _tls_match(self, hosts: list[str]) -> dict[str, Any]:
        names = [host for host in hosts if "." in host] or ["shop.example.com"]
        return {"sniHosts": names, **({"port": self._dice.choice([9443, 8444])} if self._dice.random() < 0.3 else {})}

    def _destination(self, port: int) -> dict[str, Any]:
        host = self._dice.choice(["web", "api"])
        subset = self._dice.choice(["", "", "v1", "v2"])
        return {"destination": {"host": host, "port": {"number": port}, **({"subset": subset} if subset else {})}}

    def _http(self, number: int) -> dict[str, Any]:
        rule: dict[str, Any] = {"name": f"rule-{number}"} if self._dice.random() < 0.7 else {}
        if self._dice.random() < 0.85:
            rule["match"] = [self._match() for _ in range(self._dice.randint(1, 2))]
        kind = self._dice.random()
        if kind < 0.15:
            rule["redirect"] = self._dice.choice(
                [
                    {"uri": "/new"},
                    {"authority": "other.example.com", "redirectCode": 302},
                    {"scheme": "https"},
                    {"port": 8088},
                    {"uri": "/n", "scheme": "https"},
                ]
            )
        elif kind < 0.25:
            rule["directResponse"] = {"status": self._dice.choice([200, 418, 503]), "body": {"string": "direct"}}
        else:
            rule["route"] = [self._destination(self._dice.choice([80, 8080]))]
            if self._dice.random() < 0.3:
                rule["route"] = [{**self._destination(80), "weight": 60}, {**self._destination(8080), "weight": 40}]
            if self._dice.random() < 0.3:
                rule["rewrite"] = self._dice.choice(
                    [{"uri": "/new"}, {"uri": "/"}, {"authority": "inside"}, {"uriRegexRewrite": {"match": "^/api/(v[0-9])/(.*)$", "rewrite": "/\\2/\\1"}}]
                )
        return rule

    def _match(self) -> dict[str, Any]:
        uris: list[dict[str, str]] = [{"exact": "/a"}, {"prefix": "/api"}, {"prefix": "/a/"}, {"regex": "/api/v[0-9]+.*"}, {"prefix": "/"}, {"regex": ".*b"}]
        uris += [{"regex": "(?=a).*"}, {"regex": "["}]
        texts: list[dict[str, str]] = [{"exact": "jason"}, {"prefix": "ja"}, {"regex": "[0-9]+"}, {}]
        found: dict[str, Any] = {}
        if self._dice.random() < 0.8:
            found["uri"] = self._dice.choice(uris)
            found["ignoreUriCase"] = self._dice.random() < 0.3
        if self._dice.random() < 0.3:
            found["headers"] = {self._dice.choice(["x-user", "x-test"]): self._dice.choice(texts)}
        if self._dice.random() < 0.15:
            found["withoutHeaders"] = {self._dice.choice(["x-user", "x-test"]): self._dice.choice(texts)}
        if self._dice.random() < 0.2:
            found["queryParams"] = {self._dice.choice(["user", "v"]): self._dice.choice([{"exact": "x"}, {"regex": "[0-9]*"}, {"prefix": "y"}, {}])}
        if self._dice.random() < 0.15:
            found["method"] = {"exact": self._dice.choice(["GET", "POST"])}
        if self._dice.random() < 0.15:
            found["authority"] = self._dice.choice([{"exact": "web"}, {"prefix": "shop"}, {"regex": "[a-z.]+"}])
        if self._dice.random() < 0.15:
            found["port"] = self._dice.choice([80, 8080, 8081])
        if self._dice.random() < 0.1:
            found["sourceLabels"] = {"app": self._dice.choice(["client", "other"])}
        if self._dice.random() < 0.1:
            found["gateways"] = [self._dice.choice(["mesh", "first"])]
        return found


def calls(dice: random.Random, many: int) -> Iterator[Call]:
    """Random calls from the application and to the gateway."""
    for _ in range(many):
        common = {
            "host": dice.choice(ASKED),
            "path": dice.choice(PATHS[:-1]),
            "method": dice.choice(["GET", "GET", "POST"]),
            "headers": dice.choice(HEADERS),
        }
        address = dice.choice([*SERVICES.values(), "10.96.1.1", "10.200.0.1", BOUND])
        kind = dice.random()
        if kind < 0.5:
            yield Call(port=dice.choice([80, 80, 8080, 7000, 9000, 4444]), address=address, **common)
        elif kind < 0.62:
            yield Call(port=dice.choice([9000, 7000, 80, 4444]), address=address, protocol=Protocol.TCP)
        elif kind < 0.72:
            sni = dice.choice(["ext.example.com", "shop.example.com", "x.wild.example.com", "web.default.svc.cluster.local"])
            yield Call(port=dice.choice([9443, 9443, 7000, 80]), address=address, protocol=Protocol.TCP, security=Security.TLS, sni=sni)
        elif kind < 0.88:
            yield Call(port=8081, address="127.0.0.1", direction=Direction.GATEWAY, **common)
        else:
            sni = dice.choice(["shop.example.com", "q.example.com", "nobody.org"])
            yield Call(port=dice.choice([8443, 8444]), address="127.0.0.1", direction=Direction.GATEWAY, security=Security.TLS, sni=sni, **common)


def send(call: Call, port: int) -> dict[str, Any]:
    """What comes back to a client with this port: status (0: nothing), location, and what the application saw."""
    with socket.socket() as raw:
        raw.settimeout(4)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            raw.bind(("", port))
            raw.connect((call.address, call.port))
            return _exchange(raw, call)
        except (OSError, ValueError, IndexError) as error:
            return {"status": 0, "error": str(error)}


def _exchange(raw: socket.socket, call: Call) -> dict[str, Any]:
    connection = raw
    if call.security is Security.TLS:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        if call.is_http:
            context.set_alpn_protocols(["http/1.1"])
        connection = context.wrap_socket(raw, server_hostname=call.sni or None)
    if not call.is_http:
        connection.sendall(b"\x01\x02 bytes\n")
        return {"status": 0, "bytes": connection.recv(100).decode(errors="replace")}
    lines = [f"{call.method} {call.path} HTTP/1.1", f"Host: {call.host}", "Connection: close", "Content-Length: 0"]
    lines += [f"{name}: {value}" for name, value in call.headers.items()]
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    received, head, body, fields = b"", b"", b"", dict[str, str]()
    while chunk := connection.recv(65536):
        received += chunk
        head, ended, body = received.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
        if ended and len(body) >= int(fields.get("content-length", "0")):
            break
    seen = json.loads(body) if body.startswith(b"{") else {}
    return {"status": int(head.split()[1]), "location": fields.get("location", ""), "path": seen.get("path", ""), "host": seen.get("host", "")}


def disagreement(call: Call, result: Result, back: dict[str, Any], logged: list[str] | None) -> str:
    """What Envoy did otherwise than the simulator says; empty when they agree."""
    status = back["status"]
    _, _, cluster, route, details = logged or ["", "0", "-", "-", "-"]
    if result.failure in CLOSED:
        return "" if status == 0 and cluster == "-" else "expected a closed connection"
    if result.failure is Failure.PROTOCOL_ERROR:
        return "" if cluster == "-" and status in {0, 400} else "expected an error of protocol"
    if result.failure in {Failure.NO_VIRTUAL_HOST, Failure.NO_ROUTE}:
        return "" if (status, details) == (404, "route_not_found") else "expected 404"
    if result.answer is not None and result.answer.status == 400:
        return "" if (status, details) == (400, "http.invalid_authority") else "expected 400"
    if result.answer is not None:
        same = status == result.answer.status and back.get("location", "") == result.answer.location
        return "" if same else f"expected {result.answer}"
    if call.is_http and result.route_config and result.route != ("" if route == "-" else route):
        return f"expected route {result.route!r}"
    chosen = next((target for target in result.targets if target.cluster == cluster), None)
    if chosen is None:
        missing = any(not target.found for target in result.targets) and details in {"cluster_not_found", "-"}
        return "" if missing else f"expected {result.targets}"
    if status == 200 and back.get("path") and back["path"] != (result.rewritten.path or call.path):
        return f"expected path {result.rewritten.path or call.path}"
    if status == 200 and back.get("path") and result.rewritten.host and back["host"] != result.rewritten.host:
        return f"expected host {result.rewritten.host}"
    return ""


def logs_of(folder: Path, wanted: set[int]) -> dict[int, list[str]]:
    """The log lines by the client's port, once those that are expected are there."""
    deadline = time.monotonic() + 4
    while True:
        lines = [line for path in folder.glob("*.access") for line in path.read_text().splitlines()]
        found = {int(parts[0].rpartition(":")[2]): parts for line in lines if len(parts := line.split("\t")) == 5 and ":" in parts[0]}
        if wanted <= set(found) or time.monotonic() > deadline:
            return found
        time.sleep(0.1)


def play(seed: int, many: int, first_port: int) -> dict[str, Any]:
    """One configuration and its calls."""
    dice = random.Random(seed)
    text = yaml.safe_dump_all(Rules(dice).manifests())
    discovery = Discovery()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        views = {}
        for proxy in (simulated.sidecar(CLIENT, labels={"app": "client"}, name="client"), simulated.gateway("127.0.0.1")):
            mesh = MeshSettings(access_log_file=str(folder / f"{proxy.type.value}.access"), access_log_format=FORMAT)
            views[proxy.name] = simulated.view(text, proxy, mesh)
        envoys = envoy_pair.start(folder, discovery, views)
        try:
            configs = {name: configuration.of_generated(generate.generate(view)) for name, view in views.items()}
            outcome = compare(dict(enumerate(calls(dice, many), first_port)), configs, folder)
        finally:
            for process in envoys.values():
                process.terminate()
            for process in envoys.values():
                process.wait(10)
            discovery.stop()
        outcome["refusals"] = discovery.refusals
        outcome["seed"] = seed
        if outcome["wrong"] or discovery.refusals:
            outcome["resources"] = text
        return outcome


def compare(asked: dict[int, Call], configs: dict[str, configuration.Configuration], folder: Path) -> dict[str, Any]:
    """Send the calls, each from its port, and judge them. No port may serve twice: the kernel would translate it."""
    judged = []
    for port, call in asked.items():
        config = configs["gateway" if call.direction is Direction.GATEWAY else "client"]
        result = simulate.run(config, call)
        if call.address == BOUND and not result.listener.startswith(BOUND):
            result = Result(failure=Failure.NO_LISTENER)  # the rules of this stage capture no loopback address
        judged.append((call, result, port, send(call, port)))
    logged = logs_of(folder, {port for _, result, port, _ in judged if result.failure not in CLOSED})
    wrong = []
    kinds: Counter[str] = Counter()
    for call, result, port, back in judged:
        kinds[result.failure or ("answer" if result.answer else "cluster")] += 1
        problem = disagreement(call, result, back, logged.get(port))
        if problem:
            wrong.append({"call": str(call), "problem": problem, "back": back, "log": logged.get(port), "result": result.as_dict()})
    return {"compared": len(judged), "kinds": dict(kinds), "wrong": wrong}


def main() -> None:
    """Set the stage, play, print."""
    seeds, many = [int(text) for text in sys.argv[1].split(",")], int(sys.argv[2])
    for command in (
        "ip link set lo up",
        f"ip addr add {CLIENT}/32 dev lo",
        f"ip addr add {SERVER}/32 dev lo",
        "ip route add local 10.96.0.0/16 dev lo",
        "ip route add local 10.200.0.0/16 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    nft = shutil.which("nft", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") or "nft"
    subprocess.run([nft, "-f", "-"], input=RULES.encode(), check=True)
    ThreadingTCPServer.allow_reuse_address = True
    threading.Thread(target=ThreadingTCPServer((SERVER, 8000), App).serve_forever, daemon=True).start()
    json.dump([play(seed, many, FIRST_PORT + number * many) for number, seed in enumerate(seeds)], sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
