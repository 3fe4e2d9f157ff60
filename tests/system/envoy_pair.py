"""Runs inside network namespaces of its own: a client's sidecar, a server's sidecar and a gateway, and requests between them.

Prints one JSON object with what the requests saw; `test_envoy_pair` starts it and judges. Both sidecars share one
network namespace, so the second has other capture ports, and the rules know the first proxy's connections to the server
by its mark.
"""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import json_format
from msgspec.structs import replace
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from tests.builders import views
from tests.fakes.discovery import Discovery

from varka.envoy import bootstrap, generate
from varka.envoy.observing import peer_facts
from varka.identity import certificates
from varka.model.security import Action, AuthorizationPolicy, MutualTls, MutualTlsMode, Operation, Rule, Source
from varka.model.services import Protocol
from varka.model.telemetry import (
    AccessLog,
    Collector,
    CustomTag,
    HttpExport,
    LogFormat,
    Metrics,
    Provider,
    ProviderKind,
    Side,
    TagSource,
    Telemetry,
    Tracing,
)
from varka.model.traffic import (
    Abort,
    Cors,
    DirectResponse,
    GatewayServer,
    HeaderOperations,
    Headers,
    HttpMatch,
    HttpRoute,
    L4Match,
    L4Route,
    MatchKind,
    Redirect,
    Rewrite,
    ServerTls,
    ServerTlsMode,
    StringMatch,
    VirtualService,
)
from varka.model.view import GatewayBinding, ProxyView
from varka.telemetry.traces.otlp_messages import ExportTraceServiceRequest

VIP, SERVER, CLIENT, ELSEWHERE = "10.96.0.10", "10.244.0.2", "10.244.0.1", "10.244.0.3"
RULES = f"""
table ip t {{
  chain out {{
    type nat hook output priority -100;
    ip saddr 127.0.0.6 return
    meta mark 1337 ip daddr {SERVER} meta l4proto tcp redirect to :15006
    meta mark 1337 return
    ip daddr 10.96.0.0/16 meta l4proto tcp redirect to :15001
    ip daddr {SERVER} meta l4proto tcp redirect to :15006
  }}
}}
"""
PORTS = {9080: Protocol.HTTP, 9000: Protocol.TCP}
MORE = {7000: Protocol.AUTO, 7001: Protocol.AUTO, 50051: Protocol.GRPC, 7002: Protocol.AUTO}
VIP_MORE = "10.96.0.12"
COLLECTOR = Collector(host=views.host("collector"), port=4317)
B3_TRACE, W3C_TRACE = "80f198ee56343ba864fe8b2a57d3eff7", "4bf92f3577b34da6a3ce929d0e0e4736"
TAGS = (
    CustomTag(name="team", source=TagSource.LITERAL, value="shop"),
    CustomTag(name="node", source=TagSource.ENVIRONMENT, value="NODE", default="none"),
    CustomTag(name="user", source=TagSource.HEADER, value="end-user"),
)
OTLP = Tracing(provider=Provider(name="a", kind=ProviderKind.OPENTELEMETRY), collector=COLLECTOR, custom_tags=TAGS, sampling=100.0)
B3 = Tracing(
    provider=Provider(name="b", kind=ProviderKind.ZIPKIN, path="/api/v2/spans", w3c_too=True), collector=Collector(host=views.host("collector"), port=9411)
)
LOG = Provider(name="c", kind=ProviderKind.OTEL_LOG, form=LogFormat(json='{"code": "%RESPONSE_CODE%", "tls": {"name": "%REQUESTED_SERVER_NAME%"}}'))
ERRORS = Provider(name="d", kind=ProviderKind.FILE, path="/dev/stdout", form=LogFormat(text="FAILED %RESPONSE_CODE% %REQ(:PATH)%"))
TEXT = Provider(name="f", kind=ProviderKind.FILE, path="/dev/stdout", mesh_form=True)
JSON = Provider(name="g", kind=ProviderKind.FILE, path="/dev/stdout", form=LogFormat(json="{}"))
INGRESS = Side(
    metrics=Metrics(tags=(("REQUEST_COUNT", (("path", "request.url_path"), ("source_app", ""))),), disabled=frozenset({"REQUEST_SIZE"})),
    tracing=Tracing(provider=Provider(name="e", kind=ProviderKind.OPENTELEMETRY, http=HttpExport(path="/v1/traces")), collector=COLLECTOR),
    logs=(AccessLog(provider=LOG, collector=COLLECTOR), AccessLog(provider=ERRORS, filter="response.code >= 400")),
)


class App(BaseHTTPRequestHandler):
    """Answers with what it saw."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Any request."""
        body = json.dumps({"path": self.path, "headers": {key.lower(): value for key, value in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


def echo(port: int) -> None:
    """A server that sends back what it gets, in upper case."""
    listener = socket.create_server((SERVER, port))
    while True:
        connection, _ = listener.accept()
        with connection:
            while data := connection.recv(4096):
                connection.sendall(data.upper())


class Grpc(grpc.GenericRpcHandler):
    """Answers every unary call with what it got, in upper case; the method `Fail` finds nothing."""

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Any method."""
        if details.method.endswith("/Fail"):
            return grpc.unary_unary_rpc_method_handler(lambda _request, context: context.abort(grpc.StatusCode.NOT_FOUND, "nothing"))
        return grpc.unary_unary_rpc_method_handler(lambda request, _context: request.upper())


def serve_grpc(address: str, port: int, handler: grpc.GenericRpcHandler | None = None) -> grpc.Server:
    """A gRPC server, the application's unless another handler is given."""
    server = grpc.server(ThreadPoolExecutor(2), handlers=[handler or Grpc()])
    server.add_insecure_port(f"{address}:{port}")
    server.start()
    return server


class Telling(grpc.GenericRpcHandler):
    """A collector of OTLP: keeps what it is told, by method."""

    def __init__(self) -> None:
        self.told: dict[str, list[bytes]] = {}

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Any method of OTLP; an empty answer is a success."""
        kept = self.told.setdefault(details.method.split(".")[-1], [])

        def keep(request: bytes, _context: grpc.ServicerContext) -> bytes:
            kept.append(request)
            return b""

        return grpc.unary_unary_rpc_method_handler(keep)

    def result(self) -> dict[str, Any]:
        """Names of the spans, and the log records with their attributes."""
        spans = [ExportTraceServiceRequest.FromString(raw) for raw in self.told.get("TraceService/Export", [])]
        logs = [logs_service_pb2.ExportLogsServiceRequest.FromString(raw) for raw in self.told.get("LogsService/Export", [])]
        return {
            "spans": [
                (span.trace_id.hex(), span.name, sorted(pair.key for pair in span.attributes))
                for each in spans
                for group in each.resource_spans
                for scope in group.scope_spans
                for span in scope.spans
            ],
            "records": [
                {"body": record.body.string_value, **{pair.key: json_format.MessageToDict(pair.value) for pair in record.attributes}}
                for each in logs
                for group in each.resource_logs
                for scope in group.instrumentation_library_logs
                for record in scope.logs
            ],
        }


class Zipkin(App):
    """A collector of Zipkin: keeps the spans."""

    spans: tuple[dict[str, Any], ...] = ()

    def do_POST(self) -> None:
        """Spans as JSON, in chunks."""
        body, size = b"", int(self.rfile.readline(), 16)
        while size:
            body += self.rfile.read(size + 2)[:-2]
            size = int(self.rfile.readline(), 16)
        self.rfile.readline()
        Zipkin.spans += tuple(json.loads(body))
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()


def call(port: int, method: str = "/test.Echo/Say") -> str:
    """One gRPC call to the service."""
    with grpc.insecure_channel(f"{VIP_MORE}:{port}", options=[("grpc.default_authority", f"more:{port}")]) as channel:
        try:
            return str(channel.unary_unary(method)(b"ping", timeout=5).decode())
        except grpc.RpcError as error:
            return f"error: {error.code().value[0]}"


def fetch_tls(port: int, name: str) -> Any:
    """One request over TLS with a server name; the certificate's names are part of the result."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as raw, context.wrap_socket(raw, server_hostname=name) as connection:
            pem = ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")
            connection.sendall(f"GET /secure HTTP/1.1\r\nhost: {name}\r\nconnection: close\r\n\r\n".encode())
            head = connection.recv(65536).decode()
            return {"status": int(head.split()[1]), "names": certificates.facts(pem.encode()).dns_names, "uri": certificates.facts(pem.encode()).spiffe_id}
    except (OSError, ValueError, IndexError) as error:
        return {"status": 0, "names": str(error)}


def rule(prefix: str, **fields: Any) -> HttpRoute:
    """A rule for paths with a prefix."""
    match = HttpMatch(uri=StringMatch(kind=MatchKind.PREFIX, value=prefix))
    return HttpRoute(matches=(match,), **fields)


def configurations() -> dict[str, ProxyView]:
    """The views of the three proxies."""
    web = views.service("web", PORTS, address=VIP)
    closed = views.service("closed", {9081: Protocol.HTTP}, address="10.96.0.11")
    known = [views.endpoint(web, port, SERVER, service_account=web.service_accounts[0]) for port in PORTS]
    more = views.service("more", MORE, address=VIP_MORE, service_accounts=web.service_accounts)
    known += [views.endpoint(more, port, SERVER, service_account=web.service_accounts[0]) for port in MORE]
    known.append(views.endpoint(closed, 9080, SERVER, service_account="x"))
    known[-1] = replace(known[-1], service_port=9081)
    routes = views.rules(
        "web",
        rule("/abort", destinations=(views.to("web", port=9080),), abort=Abort(http_status=418)),
        rule("/shared", destinations=(views.to("web", port=9080),), cors=Cors(allow_origins=(StringMatch(kind=MatchKind.EXACT, value="https://example.com"),))),
        rule("/old", redirect=Redirect(uri="/new", code=302)),
        rule("/direct", direct_response=DirectResponse(status=203, body=b"here")),
        rule(
            "/rewrite",
            destinations=(views.to("web", port=9080),),
            rewrite=Rewrite(uri="/rewritten"),
            headers=Headers(request=HeaderOperations(set={"x-set": "yes"})),
        ),
        HttpRoute(destinations=(views.to("web", port=9080),), timeout=5.0),
        gateways=("mesh", "default/gw"),
    )
    wrong = replace(closed, service_accounts=("spiffe://cluster.local/ns/default/sa/somebody-else",))
    collector = views.service("collector", {4317: Protocol.GRPC, 9411: Protocol.HTTP}, address="10.96.0.13")
    collectors = [views.endpoint(collector, port, ELSEWHERE, mutual_tls=False) for port in (4317, 9411)]
    known += collectors
    seen = views.outbound([web, more, wrong, collector], known, virtual_services=(routes,))
    mesh = replace(views.MESH, access_log_file="/dev/stdout")
    policies = (
        AuthorizationPolicy(
            name="read",
            namespace="default",
            rules=(
                Rule(
                    sources=(Source(principals=("cluster.local/ns/default/sa/client",)), Source(namespaces=("istio-system",))),
                    operations=(Operation(methods=("GET",)), Operation(ports=("9000",)), Operation(ports=("7001",)), Operation(paths=("/test.Echo/*",))),
                ),
                Rule(operations=(Operation(ports=("9000", "7001")),)),
            ),
        ),
        AuthorizationPolicy(
            name="no-secret", namespace="default", action=Action.DENY, rules=(Rule(operations=(Operation(paths=("/secret*",), ports=("9080",)),)),)
        ),
        AuthorizationPolicy(
            name="tried", namespace="default", action=Action.DENY, dry_run=True, rules=(Rule(operations=(Operation(paths=("/b3",), ports=("9080",)),)),)
        ),
    )
    server_mesh = replace(mesh, proxy_listen_port=25001)
    client_mesh = replace(mesh, proxy_inbound_listen_port=25006)
    server = GatewayServer(gateway="default/gw", port=80, target_port=8080, port_name="http", protocol=Protocol.HTTP, hosts=("*/*",))
    return {
        "client": views.view(views.sidecar("client", CLIENT), seen, mesh=client_mesh, telemetry=Telemetry(client=Side(tracing=OTLP))),
        "web": views.view(
            views.sidecar("web", SERVER),
            views.outbound([collector], collectors),
            [web, more],
            mesh=server_mesh,
            telemetry=Telemetry(server=Side(tracing=B3, logs=(AccessLog(provider=TEXT), AccessLog(provider=JSON)))),
            mutual_tls=MutualTls(mode=MutualTlsMode.STRICT),
            authorization=policies,
        ),
        "ingress": views.view(views.gateway("ingress"), seen, mesh=mesh, gateways=gateways(server, routes), telemetry=Telemetry(client=INGRESS)),
    }


def gateways(server: GatewayServer, routes: VirtualService) -> tuple[GatewayBinding, ...]:
    """Plain HTTP for everything, HTTPS for one name, and TLS passed on unread for another."""
    secure = replace(
        server, gateway="default/secure", port=443, target_port=8443, port_name="https", protocol=Protocol.HTTPS, hosts=("*/shop.example.com",),
        tls=ServerTls(mode=ServerTlsMode.SIMPLE, credential_names=("shop-cert",)),
    )  # fmt: skip
    unread = replace(
        secure, gateway="default/unread", port_name="tls", protocol=Protocol.TLS, hosts=("*/pass.example.com",),
        tls=ServerTls(mode=ServerTlsMode.PASSTHROUGH),
    )  # fmt: skip
    shop = replace(routes, hosts=("shop.example.com",), gateways=("default/secure",))
    passing = VirtualService(
        name="pass", namespace="default", hosts=("pass.example.com",), gateways=("default/unread",),
        tls=(L4Route(matches=(L4Match(sni_hosts=("pass.example.com",)),), destinations=(views.to("web", port=9000),)),),
    )  # fmt: skip
    return (
        GatewayBinding(server=server, virtual_services=(replace(routes, hosts=("*",)),)),
        GatewayBinding(server=secure, virtual_services=(shop,)),
        GatewayBinding(server=unread, virtual_services=(passing,)),
    )


def start(folder: Path, discovery: Discovery, found: Mapping[str, ProxyView]) -> dict[str, subprocess.Popen[bytes]]:
    """Start the Envoys and wait until each has its configuration."""
    socket_path = str(folder / "sds.sock")
    for view in found.values():
        proxy = view.proxy
        discovery.add(proxy.id, generate.generate(view), f"spiffe://cluster.local/ns/{proxy.namespace}/sa/{proxy.name}")
    port = discovery.start(socket_path)
    envoys = {}
    for number, (name, view) in enumerate(found.items()):
        settings = bootstrap.BootstrapSettings(
            proxy_type=view.proxy.type.value,
            pod=name,
            namespace=view.proxy.namespace,
            ip=view.proxy.ip,
            discovery_address=f"localhost:{port}",
            sds_socket=socket_path,
            nonce=f"nonce-{name}",
            admin_port=15000 + 100 * number,
            stats_port=15090 + 100 * number,
            ready_port=15021 + 100 * number,
            stats_prefixes=("",),
        )
        config = bootstrap.build(settings)
        config["node"]["id"] = view.proxy.id  # type: ignore[index]
        path = folder / f"{name}.json"
        path.write_text(json.dumps(config))
        binary = shutil.which("envoy", path=str(Path(sys.executable).parent)) or "envoy"
        environment = {**os.environ, **peer_facts.environment(peer_facts.Facts(workload=name, namespace=view.proxy.namespace, service=name, revision="v1"))}
        log = (folder / f"{name}.log").open("ab")
        command = [binary, "-c", str(path), "--disable-hot-restart", "--concurrency", "2", "-l", "warning", "--file-flush-interval-msec", "100"]
        envoys[name] = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    deadline = time.monotonic() + 20
    for number in range(len(found)):
        while fetch("127.0.0.1", 15000 + 100 * number, "/ready")["status"] != 200 and time.monotonic() < deadline:
            time.sleep(0.05)
    return envoys


def fetch(address: str, port: int, path: str = "/", method: str = "GET", host: str = "", headers: dict[str, str] | None = None) -> Any:
    """One request; a refused or broken connection has status 0."""
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request(method, path, headers={"host": host or "web:9080", **(headers or {})})
        response = connection.getresponse()
        body = response.read().decode()
        return {"status": response.status, "body": body, "headers": dict(response.getheaders())}
    except (OSError, http.client.HTTPException) as error:
        return {"status": 0, "body": str(error), "headers": {}}
    finally:
        connection.close()


def wait_for(telling: Telling) -> None:
    """Until the collectors have been told of the last requests; Envoy gathers spans for some seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        told = telling.result()
        traces = {trace for trace, *_ in told["spans"]}, {span["traceId"] for span in Zipkin.spans}
        if len(told["records"]) >= 4 and all(W3C_TRACE in known for known in traces) and B3_TRACE in traces[1]:
            return
        time.sleep(0.1)


def say(address: str, port: int, text: bytes) -> str:
    """Send bytes, and what comes back."""
    try:
        with socket.create_connection((address, port), timeout=3) as connection:
            connection.sendall(text)
            return connection.recv(4096).decode()
    except OSError as error:
        return f"error: {error}"


def main() -> None:
    """Set the stage, act, print."""
    for command in (
        "ip link set lo up",
        f"ip addr add {CLIENT}/32 dev lo",
        f"ip addr add {SERVER}/32 dev lo",
        f"ip addr add {ELSEWHERE}/32 dev lo",
        "ip route add local 10.96.0.0/16 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    subprocess.run(["nft", "-f", "-"], input=RULES.encode(), check=True)
    for port in (9080, 7000):
        threading.Thread(target=ThreadingHTTPServer((SERVER, port), App).serve_forever, daemon=True).start()
    for port in (9000, 7001):
        threading.Thread(target=echo, args=(port,), daemon=True).start()
    threading.Thread(target=ThreadingHTTPServer((ELSEWHERE, 9411), Zipkin).serve_forever, daemon=True).start()
    telling = Telling()
    servers = [serve_grpc(SERVER, 50051), serve_grpc(SERVER, 7002), serve_grpc(ELSEWHERE, 4317, telling)]
    discovery = Discovery()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        envoys = start(folder, discovery, configurations())
        try:
            result = act()
            wait_for(telling)
            result["otlp"], result["zipkin"] = telling.result(), Zipkin.spans
            result["refusals"] = discovery.refusals
            result["nonces"] = sorted(discovery.nonces)
        finally:
            for process in envoys.values():
                process.terminate()
            for process in envoys.values():
                process.wait(10)
            discovery.stop()
            for server in servers:
                server.stop(0)
        result["logs"] = {name: (folder / f"{name}.log").read_text() for name in envoys}
    json.dump(result, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


def act() -> dict[str, Any]:
    """All requests."""
    fetch(VIP, 9080, "/warm")
    result: dict[str, Any] = {
        "get": fetch(VIP, 9080, "/hello"),
        "post": fetch(VIP, 9080, "/hello", method="POST"),
        "secret": fetch(VIP, 9080, "/secret/x"),
        "spoofed": fetch(VIP, 9080, "/hello", headers={"x-varka-peer": "root|root|root|root||"}),
        "plain": fetch(SERVER, 9080, "/hello"),
        "plain-other-port": say(SERVER, 9999, b"some bytes\n"),
        "tcp": say(VIP, 9000, b"ping"),
        "sniffed-http": fetch(VIP_MORE, 7000, "/sniffed", host="anything"),
        "sniffed-http-post": fetch(VIP_MORE, 7000, "/sniffed", host="anything", method="POST"),
        "sniffed-tcp": say(VIP_MORE, 7001, b"ping\n"),
        "grpc": call(50051),
        "sniffed-grpc": call(7002),
        "grpc-fails": call(50051, "/test.Echo/Fail"),
        "grpc-denied": call(50051, "/other.Service/Say"),
        "b3": fetch(VIP, 9080, "/b3", headers={"x-b3-traceid": B3_TRACE, "x-b3-spanid": "00f067aa0ba902b7", "x-b3-sampled": "1"}),
        "w3c": fetch(VIP, 9080, "/w3c", headers={"traceparent": f"00-{W3C_TRACE}-00f067aa0ba902b7-01"}),
        "gateway-tls": fetch_tls(8443, "shop.example.com"),
        "gateway-unknown-name": fetch_tls(8443, "other.example.com"),
        "wrong-identity": fetch("10.96.0.11", 9081, "/", host="closed:9081"),
        "unknown-host": fetch(SERVER, 9080, "/", host="unknown"),
        "abort": fetch(VIP, 9080, "/abort"),
        "cors": fetch(VIP, 9080, "/shared", headers={"origin": "https://example.com"}),
        "no-cors": fetch(VIP, 9080, "/", headers={"origin": "https://example.com"}),
        "redirect": fetch(VIP, 9080, "/old"),
        "direct": fetch(VIP, 9080, "/direct"),
        "rewrite": fetch(VIP, 9080, "/rewrite/x"),
        "gateway": fetch("127.0.0.1", 8080, "/through", host="shop.example.com"),
        "gateway-post": fetch("127.0.0.1", 8080, "/through", host="shop.example.com", method="POST"),
    }
    result["stats"] = {name: fetch("127.0.0.1", 15000 + 100 * number, "/stats/prometheus")["body"] for number, name in enumerate(("client", "web", "ingress"))}
    return result


if __name__ == "__main__":
    main()
