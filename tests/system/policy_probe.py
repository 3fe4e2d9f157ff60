"""Runs inside a network namespace of its own: random policies on one real Envoy, each set on a workload of its own address.

Prints one JSON object with what every request met and what `analysis.authorization` says of it; `test_policy_agrees`
starts it and judges. Callers are mutual-TLS clients with certificates of the mesh's authority, or plain ones.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils
from msgspec.structs import replace
from tests.builders import random_policies, views
from tests.builders.random_policies import Case
from tests.fakes.discovery import Discovery

from varka.analysis.authorization import evaluation
from varka.analysis.authorization.evaluation import Verdict
from varka.analysis.authorization.requests import Request, Token
from varka.base.wire import WireResource
from varka.envoy import bootstrap, generate, messages
from varka.envoy.generate import ProxyConfig
from varka.identity import keys
from varka.identity.spiffe import SpiffeId
from varka.model.services import Protocol

CAPTURE = 20000
WORDS = b"some bytes"
"""Longer than the head of a TLS record, so that nobody waits for more to tell what it is."""
RULES = """
table ip t {{
  chain out {{
    type nat hook output priority -100;
    ip saddr 127.0.0.6 return
    meta mark 1337 return
    {redirects}
  }}
}}
"""
NODE = views.sidecar("web", "10.244.1.1")
MATCHED = re.compile(r"rbac_access_denied_matched_policy\[(\S+)\] ")


class App(BaseHTTPRequestHandler):
    """The application, and on its other port the authorizer, which says no to `x-ext: no`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Any request."""
        asked = self.server.server_address[1] == random_policies.AUTHORIZER.port
        self.send_response(403 if asked and self.headers.get("x-ext") == "no" else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    do_POST = do_PUT = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


def echo() -> None:
    """Sends back what comes."""
    listener = socket.create_server(("0.0.0.0", random_policies.TCP_PORT))
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=_echo, args=(connection,), daemon=True).start()


def _echo(connection: socket.socket) -> None:
    with connection:
        while data := connection.recv(4096):
            connection.sendall(data)


class Signer:
    """Signs tokens with the key that the rules know, or with another."""

    def __init__(self) -> None:
        self._right, self._wrong = keys.generate(), keys.generate()

    @property
    def jwks(self) -> str:
        """The key set of the issuers."""
        numbers = self._right.public_key().public_numbers()
        return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "alg": "ES256", "x": _coded(numbers.x), "y": _coded(numbers.y)}]})

    def sign(self, token: Token) -> str:
        """The compact form."""
        parts = [_encoded(json.dumps(part).encode()) for part in ({"alg": "ES256", "typ": "JWT"}, {**token.claims, "exp": int(time.time()) + 600})]
        key = self._right if token.valid else self._wrong
        left, right = utils.decode_dss_signature(key.sign(".".join(parts).encode(), ec.ECDSA(hashes.SHA256())))
        return ".".join([*parts, _encoded(left.to_bytes(32, "big") + right.to_bytes(32, "big"))])


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _coded(number: int) -> str:
    return _encoded(number.to_bytes(32, "big"))


def configuration(cases: list[Case]) -> ProxyConfig:
    """One `virtualInbound` a case under a name of its own, and the clusters that they share."""
    own = views.service("web", {random_policies.HTTP_PORT: Protocol.HTTP, random_policies.TCP_PORT: Protocol.TCP}, address="10.96.0.9")
    ext = views.service("ext", {random_policies.AUTHORIZER.port: Protocol.HTTP}, address="10.96.0.10")
    seen = views.outbound([ext], [views.endpoint(ext, random_policies.AUTHORIZER.port, "10.244.4.1", mutual_tls=False)])
    mesh = replace(views.MESH, access_log_file="/dev/stdout", trust_domain_aliases=("old.local",))
    listeners: dict[str, WireResource] = {}
    for number, one in enumerate(cases):
        settings = replace(mesh, proxy_inbound_listen_port=CAPTURE + number, path_normalization=one.normalization)
        view = views.view(NODE, seen, [own], mesh=settings, authorization=one.policies, jwt_rules=one.jwt_rules)
        made = generate.generate(view)
        listeners[f"case-{number}"] = _renamed(made.listeners["virtualInbound"], f"case-{number}")
    return replace(made, listeners=listeners)


def _renamed(resource: WireResource, name: str) -> WireResource:
    from envoy.config.listener.v3 import listener_pb2

    listener = listener_pb2.Listener.FromString(resource.body)
    listener.name = name
    return messages.resource(name, listener)


class Client:
    """Makes requests as whoever is asked for."""

    def __init__(self, discovery: Discovery, folder: Path, signer: Signer) -> None:
        self._signer = signer
        chains = {principal: self._chain(discovery, folder, principal) for principal in random_policies.PRINCIPALS}
        self._contexts = {(principal, http): self._context(path, http) for principal, path in chains.items() for http in (True, False)}

    def _context(self, chain: Path, http: bool) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(chain)
        context.set_alpn_protocols(["istio-http/1.1", "istio", "http/1.1"] if http else ["istio"])
        return context

    def _chain(self, discovery: Discovery, folder: Path, principal: str) -> Path:
        key, identity = keys.generate(), f"spiffe://{principal}"
        chain = discovery.authority.sign_workload(keys.signing_request(key, identity), SpiffeId(identity), timedelta(hours=1), datetime.now(UTC))
        path = folder / f"{principal.replace('/', '_')}.pem"
        path.write_bytes(keys.to_pem(key) + "".join(chain).encode())
        return path

    def ask(self, request: Request, label: str) -> int:
        """The status; of a connection, 200 when bytes come back and 403 when it is closed."""
        with socket.create_connection((request.destination_ip, request.port), timeout=20, source_address=(request.source_ip, 0)) as raw:
            stream = raw
            if request.principal:
                stream = self._contexts[request.principal, request.http is not None].wrap_socket(raw, server_hostname=request.server_name)
            return self._http(request, stream, label) if request.http is not None else _connection(stream)

    def _http(self, request: Request, stream: socket.socket, label: str) -> int:
        asked = request.http
        assert asked is not None
        path, headers = asked.path, {"host": asked.host, "x-request-id": label, **asked.headers}
        for token in asked.tokens:
            kind, _, name = token.place.partition(" ")
            text = self._signer.sign(token)
            if kind == "param":
                path += f"{'&' if '?' in path else '?'}{name}={quote(text)}"
            elif kind == "cookie":
                headers["cookie"] = f"{name}={text}"
            else:
                headers[name] = f"{'Bearer' if name == 'authorization' else 'Token'} {text}"
        connection = http.client.HTTPConnection("unused")
        connection.sock = stream
        connection.putrequest(asked.method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in {**headers, "content-length": "0", "connection": "close"}.items():
            connection.putheader(name, value)
        connection.endheaders()
        return connection.getresponse().status


def _connection(stream: socket.socket) -> int:
    try:
        stream.sendall(WORDS)
        return 200 if stream.recv(16) == WORDS else 403
    except (ConnectionError, ssl.SSLError):
        return 403


def expected(case: Case, request: Request) -> tuple[int, str]:
    """The status that the evaluator says, and for a denial the rule that the log must name."""
    mesh = replace(views.MESH, trust_domain_aliases=("old.local",), path_normalization=case.normalization)
    found = evaluation.decide(case.policies, case.jwt_rules, mesh, replace(request, remote_ip=random_policies.remote_ip(request)))
    verdict, rule = found.verdict, found.rule or "none"
    if verdict is Verdict.ASKED:
        if request.http is not None and request.http.headers.get("x-ext") == "no":
            return 403, ""
        verdict, rule = found.then or Verdict.ALLOWED, ""
    by_policy = verdict is Verdict.DENIED and not found.reason.startswith("the token")
    return {Verdict.ALLOWED: 200, Verdict.DENIED: 403, Verdict.UNAUTHENTICATED: 401}[verdict], rule if by_policy else ""


def start(folder: Path, discovery: Discovery, cases: list[Case]) -> subprocess.Popen[bytes]:
    """Start Envoy and wait until it listens everywhere."""
    sds = str(folder / "sds.sock")
    discovery.add(NODE.id, configuration(cases), "spiffe://cluster.local/ns/default/sa/web")
    port = discovery.start(sds)
    settings = bootstrap.BootstrapSettings(
        proxy_type="sidecar", pod="web", namespace="default", ip=NODE.ip, discovery_address=f"localhost:{port}", sds_socket=sds, nonce="n",
        stats_prefixes=("",),
    )  # fmt: skip
    config = bootstrap.build(settings)
    config["node"]["id"] = NODE.id  # type: ignore[index]
    (folder / "envoy.json").write_text(json.dumps(config))
    binary = shutil.which("envoy", path=str(Path(sys.executable).parent)) or "envoy"
    with (folder / "access").open("wb") as access, (folder / "log").open("wb") as log:
        envoy = subprocess.Popen(
            [binary, "-c", str(folder / "envoy.json"), "--disable-hot-restart", "--concurrency", "1", "-l", "warning"], stdout=access, stderr=log
        )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", 15000, timeout=2)
            connection.request("GET", "/ready")
            if connection.getresponse().status == 200:
                break
        except OSError:
            pass
        time.sleep(0.05)
    return envoy


def main() -> None:
    """Set the stage, ask, print."""
    seed, number, requests = (int(argument) for argument in sys.argv[1:4])
    rules = "".join(f"ip daddr 10.244.1.{index + 1} meta l4proto tcp redirect to :{CAPTURE + index}\n" for index in range(number + 1))
    for command in ("ip link set lo up", "ip route add local 10.244.0.0/16 dev lo"):
        subprocess.run(command.split(), check=True)
    table = RULES.format(redirects=rules)
    subprocess.run(["nft", "-f", "-"], input=table.encode(), check=True)
    for port in (random_policies.HTTP_PORT, random_policies.AUTHORIZER.port):
        threading.Thread(target=ThreadingHTTPServer(("0.0.0.0", port), App).serve_forever, daemon=True).start()
    threading.Thread(target=echo, daemon=True).start()
    signer, random, discovery = Signer(), Random(seed), Discovery()
    cases = [random_policies.case(random, f"10.244.1.{index + 1}", signer.jwks, requests) for index in range(number)]
    cases.append(random_policies.extreme(f"10.244.1.{number + 1}"))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        envoy = start(folder, discovery, cases)
        try:
            client = Client(discovery, folder, signer)
            with ThreadPoolExecutor(8) as asking:
                rows = [row for found in asking.map(partial(ask, client), range(len(cases)), cases) for row in found]
            time.sleep(1.2)
        finally:
            envoy.terminate()
            envoy.wait(10)
            discovery.stop()
        access, log = ((folder / name).read_text() for name in ("access", "log"))
    json.dump({"rows": [judged(row, access) for row in rows], "refusals": discovery.refusals, "warnings": warnings(log)}, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def ask(client: Client, index: int, case: Case) -> list[dict[str, Any]]:
    """What became of the requests of one case."""
    rows = []
    for number, request in enumerate(case.requests):
        label = f"case-{index}-{number}."
        status, rule = expected(case, request)
        about = {"policies": [repr(one) for one in case.policies], "rules": [replace(one, jwks=one.jwks[:1]) for one in case.jwt_rules], "request": request}
        rows.append(
            {
                "label": label,
                "status": asked(client, request, label),
                "expected": status,
                "rule": rule,
                "http": request.http is not None,
                "about": (repr(about) + case.normalization)[:8000],
            }
        )
    return rows


def asked(client: Client, request: Request, label: str) -> int:
    """The status; 0 where nobody listens, as Envoy refused the configuration."""
    try:
        return client.ask(request, label)
    except ConnectionRefusedError:
        return 0


def judged(row: dict[str, Any], log: str) -> dict[str, Any]:
    """With the rule that the access log names for a denied request."""
    if not row["http"] or not row["rule"]:
        return {**row, "logged": row["rule"]}
    line = next((line for line in log.splitlines() if row["label"] in line), "")
    found = MATCHED.search(line)
    return {**row, "logged": found.group(1) if found else line}


def warnings(log: str) -> list[str]:
    """What Envoy itself complained of."""
    return [line for line in log.splitlines() if ("[warning]" in line and "Deprecated field" not in line) or "[error]" in line or "[critical]" in line][:20]


if __name__ == "__main__":
    main()
