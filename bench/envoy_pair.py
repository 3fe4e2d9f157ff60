"""Configurations written by hand: an application, and the smallest pair of Envoys that puts mutual TLS between two pods.

The pair has one listener and one cluster on either side, no filters but the router, no statistics of the mesh, no
access log: what any generated configuration has to be compared with.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from bench import load
from varka.identity import authority, keys
from varka.identity.spiffe import SpiffeId

APPLICATION, DIRECT, SECURE, PLAIN = 8080, 18081, 18443, 18080
BODY = "x" * 251 + load.END.decode()
API = "type.googleapis.com/envoy.extensions"


def _manager(route: dict[str, Any]) -> dict[str, Any]:
    manager = {
        "@type": f"{API}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "http",
        "generate_request_id": False,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, **route}]}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{API}.filters.http.router.v3.Router"}}],
    }
    return {"name": "http", "typed_config": manager}


def _listener(address: str, port: int, route: dict[str, Any], tls: dict[str, Any] | None = None) -> dict[str, Any]:
    chain: dict[str, Any] = {"filters": [_manager(route)]}
    if tls is not None:
        chain["transport_socket"] = tls
    return {"name": f"in{port}", "address": {"socket_address": {"address": address, "port_value": port}}, "filter_chains": [chain]}


def _cluster(address: str, port: int, tls: dict[str, Any] | None = None) -> dict[str, Any]:
    endpoint = {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}
    cluster: dict[str, Any] = {
        "name": "out",
        "type": "STATIC",
        "connect_timeout": "5s",
        "load_assignment": {"cluster_name": "out", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    if tls is not None:
        cluster["transport_socket"] = tls
    return cluster


class Certificates:
    """A root of its own, and one leaf for each side."""

    def __init__(self) -> None:
        self._root = authority.self_signed("bench.local", datetime.now(UTC))

    def _common(self, account: str) -> dict[str, Any]:
        key, identity = keys.generate(), SpiffeId(f"spiffe://bench.local/ns/bench/sa/{account}")
        chain = self._root.sign_workload(keys.signing_request(key, identity), identity, timedelta(hours=2), datetime.now(UTC))
        certificate = {"certificate_chain": {"inline_string": "".join(chain)}, "private_key": {"inline_string": keys.to_pem(key).decode()}}
        return {"tls_certificates": [certificate], "validation_context": {"trusted_ca": {"inline_string": self._root.root_pem.decode()}}}

    def server(self) -> dict[str, Any]:
        """Demands a certificate."""
        context = {
            "@type": f"{API}.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": self._common("server"),
            "require_client_certificate": True,
        }
        return {"name": "tls", "typed_config": context}

    def client(self) -> dict[str, Any]:
        """Shows one."""
        context = {"@type": f"{API}.transport_sockets.tls.v3.UpstreamTlsContext", "common_tls_context": self._common("client")}
        return {"name": "tls", "typed_config": context}


def application() -> dict[str, Any]:
    """Answers every request with BODY, on the service's port and on one that sidecars leave alone."""
    route = {"direct_response": {"status": 200, "body": {"inline_string": BODY}}}
    return {"static_resources": {"listeners": [_listener("0.0.0.0", port, route) for port in (APPLICATION, DIRECT)]}}


def server(certificates: Certificates) -> dict[str, Any]:
    """The side before the application."""
    listener = _listener("0.0.0.0", SECURE, {"route": {"cluster": "out"}}, certificates.server())
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster("127.0.0.1", APPLICATION)]}}


def client(certificates: Certificates, address: str) -> dict[str, Any]:
    """The caller's side."""
    listener = _listener("127.0.0.1", PLAIN, {"route": {"cluster": "out"}})
    return {"static_resources": {"listeners": [listener], "clusters": [_cluster(address, SECURE, certificates.client())]}}
