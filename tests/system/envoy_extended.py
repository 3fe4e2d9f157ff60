"""Runs inside network namespaces of its own: real Envoys whose configuration EnvoyFilters have changed.

The stage is that of `envoy_pair`: a client's sidecar, a server's sidecar and a gateway in one network namespace. Prints one
JSON object with what the requests saw; `test_envoy_extended` starts it and judges.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc
from envoy.service.ratelimit.v3 import rls_pb2
from msgspec.structs import replace
from tests.builders import extending, views, wasm_module
from tests.fakes.discovery import Discovery
from tests.system import envoy_pair
from tests.system.envoy_pair import SERVER, VIP, App, fetch

from varka.envoy import generate
from varka.model.security import MutualTls, MutualTlsMode
from varka.model.services import Protocol
from varka.model.traffic import GatewayServer
from varka.model.view import GatewayBinding, ProxyView

PORTS = {9080: Protocol.HTTP, 9081: Protocol.HTTP, 9082: Protocol.HTTP, 9000: Protocol.TCP}
FILTERS = Path(__file__).with_name("envoy_extended.yaml")


class Limits(grpc.GenericRpcHandler):
    """A rate-limit service: the value `over` of any descriptor is over the limit."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """The one method of `envoy.service.ratelimit.v3`."""
        if details.method != "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit":
            return None
        return grpc.unary_unary_rpc_method_handler(self._decide, rls_pb2.RateLimitRequest.FromString, rls_pb2.RateLimitResponse.SerializeToString)

    def _decide(self, request: Any, _context: Any) -> Any:
        entries = {entry.key: entry.value for descriptor in request.descriptors for entry in descriptor.entries}
        self.asked.append({"domain": request.domain, **entries})
        code = rls_pb2.RateLimitResponse.OVER_LIMIT if "over" in entries.values() else rls_pb2.RateLimitResponse.OK
        return rls_pb2.RateLimitResponse(overall_code=code)


def configurations(limits_port: int, module: Path) -> dict[str, ProxyView]:
    """The three proxies, with everything in the YAML file that is for them."""
    written = FILTERS.read_text().replace("LIMITS_PORT", str(limits_port)).replace("WASM_FILE", str(module))
    web = views.service("web", PORTS, address=VIP)
    known = [views.endpoint(web, port, SERVER, service_account=web.service_accounts[0]) for port in PORTS]
    routes = views.rules("web", envoy_pair.rule("/", destinations=(views.to("web", port=9080),)), gateways=("mesh", "default/gw"))
    seen = views.outbound([web], known)
    mesh = replace(views.MESH, access_log_file="/dev/stdout")
    server = GatewayServer(gateway="default/gw", port=80, target_port=8080, port_name="http", protocol=Protocol.HTTP, hosts=("*/*",))
    found = {
        "client": views.view(views.sidecar("client", envoy_pair.CLIENT, labels={"app": "client"}), seen, mesh=replace(mesh, proxy_inbound_listen_port=25006)),
        "web": views.view(
            views.sidecar("web", SERVER, labels={"app": "web"}),
            views.outbound([]),
            [web],
            mesh=replace(mesh, proxy_listen_port=25001),
            mutual_tls=MutualTls(mode=MutualTlsMode.PERMISSIVE),
        ),
        "ingress": views.view(
            views.gateway("ingress", labels={"istio": "ingressgateway"}),
            seen,
            mesh=mesh,
            gateways=(GatewayBinding(server=server, virtual_services=(replace(routes, hosts=("*",)),)),),
        ),
    }
    return {
        name: extending.extended(view, written, {"http://modules.example/module.wasm": wasm_module.adding_header("x-fetched", "yes")})
        for name, view in found.items()
    }


def act() -> dict[str, Any]:
    """All requests."""
    return {
        "first": fetch(VIP, 9080, "/first"),
        "limited": [fetch(VIP, 9081, "/", host="web:9081") for _ in range(4)],
        "unlimited": [fetch(VIP, 9080, "/again")["status"] for _ in range(4)],
        "under": fetch("127.0.0.1", 8080, "/x", headers={"x-kind": "under"}),
        "over": fetch("127.0.0.1", 8080, "/x", headers={"x-kind": "over"}),
        "unkind": fetch("127.0.0.1", 8080, "/x"),
        "not-fetched": fetch(SERVER, 9082),
        "direct": fetch("127.0.0.1", 8080, "/added"),
        "replaced": envoy_pair.say(SERVER, 9000, b"long enough to be no TLS\n"),
        "listener": fetch("127.0.0.1", 8099, "/"),
    }


def main() -> None:
    """Set the stage, act, print."""
    for command in (
        "ip link set lo up",
        f"ip addr add {envoy_pair.CLIENT}/32 dev lo",
        f"ip addr add {SERVER}/32 dev lo",
        "ip route add local 10.96.0.0/16 dev lo",
    ):
        subprocess.run(command.split(), check=True)
    subprocess.run(["nft", "-f", "-"], input=envoy_pair.RULES.encode(), check=True)
    for port in (9080, 9081, 9082):
        threading.Thread(target=ThreadingHTTPServer((SERVER, port), App).serve_forever, daemon=True).start()
    threading.Thread(target=envoy_pair.echo, args=(9000,), daemon=True).start()
    limits = Limits()
    service = grpc.server(ThreadPoolExecutor(4), handlers=[limits])
    limits_port = service.add_insecure_port("127.0.0.1:0")
    service.start()
    discovery = Discovery()
    with tempfile.TemporaryDirectory() as name:
        module = Path(name) / "module.wasm"
        module.write_bytes(wasm_module.adding_header("x-wasm", "from-file"))
        found = configurations(limits_port, module)
        envoys = envoy_pair.start(Path(name), discovery, found)
        try:
            result = act()
        finally:
            for process in envoys.values():
                process.terminate()
            for process in envoys.values():
                process.wait(10)
            discovery.stop()
            service.stop(0)
        result["logs"] = {key: (Path(name) / f"{key}.log").read_text() for key in envoys}
    made = {key: generate.generate(view) for key, view in found.items()}
    result |= {"refusals": discovery.refusals, "asked": limits.asked, "problems": [item.message for config in made.values() for item in config.problems]}
    result["applied"] = {key: sorted(f"{origin}#{index}" for origin, index in config.applied) for key, config in made.items()}
    json.dump(result, sys.stdout)
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
