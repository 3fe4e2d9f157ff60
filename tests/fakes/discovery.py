"""A control plane and a certificate service for real Envoys in tests: delta ADS over mTLS, SDS over a UNIX socket.

It serves what it was given and never changes it; what Envoy refuses is kept in `refusals`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2

from varka.base.wire import WireResource
from varka.envoy import messages
from varka.envoy.generate import ProxyConfig
from varka.identity import authority, keys
from varka.identity.spiffe import SpiffeId
from varka.xds import types

DELTA = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
SECRETS = "/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets"


class Discovery(grpc.GenericRpcHandler):
    """Serves each node ID its configuration."""

    def __init__(self, trust_domain: str = "cluster.local") -> None:
        self.configs: dict[str, ProxyConfig] = {}
        self.refusals: list[str] = []
        self.nonces: set[str] = set()
        self.authority = authority.self_signed(trust_domain, datetime.now(UTC))
        self._identities: dict[str, str] = {}
        self._servers: list[grpc.Server] = []
        self._lock = threading.Lock()

    def add(self, node_id: str, config: ProxyConfig, identity: str) -> None:
        """Serve this configuration to the node, and certificates for this SPIFFE ID."""
        self.configs[node_id] = config
        self._identities[node_id] = identity

    def start(self, socket: str) -> int:
        """Listen; returns the port of ADS on localhost."""
        key = keys.generate()
        chain = self.authority.sign_server(key, ["localhost"], timedelta(hours=1), datetime.now(UTC))
        pair = (keys.to_pem(key), "".join(chain).encode())
        secure = grpc.ssl_server_credentials([pair], self.authority.root_pem, require_client_auth=True)
        ads, sds = (grpc.server(ThreadPoolExecutor(32), handlers=[self]) for _ in range(2))
        port = ads.add_secure_port("127.0.0.1:0", secure)
        sds.add_insecure_port(f"unix:{socket}")
        for server in (ads, sds):
            server.start()
            self._servers.append(server)
        return int(port)

    def stop(self) -> None:
        """Stop listening."""
        for server in self._servers:
            server.stop(0.1)

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Envoy's two methods, by path."""
        if details.method == DELTA:
            return grpc.stream_stream_rpc_method_handler(
                self._delta,
                discovery_pb2.DeltaDiscoveryRequest.FromString,
                discovery_pb2.DeltaDiscoveryResponse.SerializeToString,
            )
        if details.method == SECRETS:
            return grpc.stream_stream_rpc_method_handler(
                self._secrets, discovery_pb2.DiscoveryRequest.FromString, discovery_pb2.DiscoveryResponse.SerializeToString
            )
        return None

    def _delta(self, requests: Iterator[Any], _context: Any) -> Iterator[Any]:
        node = ""
        started: set[str] = set()
        for number, request in enumerate(requests):
            node = request.node.id or node
            if request.HasField("error_detail"):
                with self._lock:
                    self.refusals.append(f"{node} {request.type_url}: {request.error_detail.message}")
            wildcard = request.type_url in {messages.CLUSTER, messages.LISTENER} and request.type_url not in started
            started.add(request.type_url)
            known = self._credentials() if request.type_url == messages.SECRET else by_type(self.configs[node], request.type_url)
            names = list(known) if wildcard else list(request.resource_names_subscribe)
            if not names and not wildcard:
                continue
            response = discovery_pb2.DeltaDiscoveryResponse(type_url=request.type_url, nonce=str(number), system_version_info="1")
            for name in names:
                if name in known:
                    item = response.resources.add(name=name, version=known[name].version)
                    item.resource.type_url, item.resource.value = request.type_url, known[name].body
                else:
                    response.removed_resources.append(name)
            yield response

    def _credentials(self) -> Mapping[str, WireResource]:
        """A server certificate for shop.example.com under the name of a Kubernetes Secret."""
        key = keys.generate()
        chain = self.authority.sign_server(key, ["shop.example.com"], timedelta(hours=1), datetime.now(UTC))
        secret = secret_pb2.Secret(name="kubernetes://shop-cert")
        secret.tls_certificate.certificate_chain.inline_bytes = "".join(chain).encode()
        secret.tls_certificate.private_key.inline_bytes = keys.to_pem(key)
        return {secret.name: messages.resource(secret.name, secret)}

    def _secrets(self, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        with self._lock:
            self.nonces.add(dict(context.invocation_metadata()).get("x-varka-nonce", ""))
        node = ""
        for number, request in enumerate(requests):
            node = request.node.id or node
            if request.response_nonce:
                continue
            response = discovery_pb2.DiscoveryResponse(type_url=messages.SECRET, version_info="1", nonce=str(number))
            for name in request.resource_names:
                response.resources.add().CopyFrom(messages.packed(self._secret(name, self._identities[node])))
            yield response

    def _secret(self, name: str, identity: str) -> Any:
        secret = secret_pb2.Secret(name=name)
        if name == "ROOTCA":
            secret.validation_context.trusted_ca.inline_bytes = self.authority.root_pem
            return secret
        key = keys.generate()
        chain = self.authority.sign_workload(keys.signing_request(key, identity), SpiffeId(identity), timedelta(hours=1), datetime.now(UTC))
        secret.tls_certificate.certificate_chain.inline_bytes = "".join(chain).encode()
        secret.tls_certificate.private_key.inline_bytes = keys.to_pem(key)
        return secret


def by_type(config: ProxyConfig, type_url: str) -> Mapping[str, WireResource]:
    """The part of a configuration that a type URL stands for."""
    kinds: dict[str, Mapping[str, WireResource]] = {
        messages.CLUSTER: config.clusters,
        messages.LISTENER: config.listeners,
        messages.ROUTE: config.routes,
        messages.ENDPOINT: config.endpoints,
        types.EXTENSION: config.extensions,
    }
    return kinds.get(type_url, {})
