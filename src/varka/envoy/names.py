"""Names and numbers that both ends of a wire must agree on: Istio's clusters, listeners, ports, ALPN values and TLS modes.

People, dashboards and tools read these names, so they follow Istio to the letter.
"""

from __future__ import annotations

from functools import cache

SOL_SOCKET = 1
SO_MARK = 36
MARK = 1337
"""Mark of every socket that a proxy opens; the redirection rules let it pass."""

DNS_UPSTREAM_PORT = 15054
"""Where an agent that captures DNS passes Envoy's own queries on, without the addresses that were made up."""

XDS_CLUSTER = "xds-grpc"
SDS_CLUSTER = "sds-grpc"
WORKLOAD_SECRET = "default"
ROOT_SECRET = "ROOTCA"
NONCE_HEADER = "x-varka-nonce"

VIRTUAL_OUTBOUND = "virtualOutbound"
VIRTUAL_INBOUND = "virtualInbound"
PASSTHROUGH_CLUSTER = "PassthroughCluster"
INBOUND_PASSTHROUGH_CLUSTER = "InboundPassthroughCluster"
BLACK_HOLE_CLUSTER = "BlackHoleCluster"
INBOUND_SOURCE = "127.0.0.6"
"""Source of the connections from an inbound listener to the application: the redirection rules know them by it."""

ALPN_MESH = "istio"
ALPN_MESH_PEER_EXCHANGE = "istio-peer-exchange"
ALPN_SNIFFED = "istio-http"
ALPN_MESH_HTTP = ("istio-http/1.0", "istio-http/1.1", "istio-h2", ALPN_SNIFFED)
"""What a client-side sidecar offers that has seen HTTP: it tells the server side's listener, before any byte of the request."""

TLS_MODE_KEY = "tlsMode"
TLS_MODE_ISTIO = "istio"
TRANSPORT_SOCKET_METADATA = "envoy.transport_socket_match"


@cache
def outbound(port: int, subset: str, host: str) -> str:
    """`outbound|9080|v1|reviews.default.svc.cluster.local`."""
    return f"outbound|{port}|{subset}|{host}"


@cache
def outbound_sni(port: int, subset: str, host: str) -> str:
    """The same in the form that is allowed in a TLS server name: `outbound_.9080_.v1_.reviews.default.svc.cluster.local`."""
    return f"outbound_.{port}_.{subset}_.{host}"


def inbound(port: int) -> str:
    """`inbound|9080||`."""
    return f"inbound|{port}||"
