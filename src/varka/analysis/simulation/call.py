"""A connection or request to be explained: where it goes, what its first bytes say, and what the request asks for."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace


class Protocol(StrEnum):
    """What is spoken, inside TLS if there is any."""

    HTTP = "http"
    HTTP2 = "http2"
    """gRPC as well."""
    TCP = "tcp"


class Security(StrEnum):
    """How the client opens the connection."""

    PLAINTEXT = "plaintext"
    TLS = "tls"
    """TLS of the application's own, without a certificate of the client."""
    MTLS = "mtls"
    """TLS in which both sides show certificates: between proxies, those of the mesh."""


class Direction(StrEnum):
    """From where the connection reaches the proxy."""

    OUTBOUND = "outbound"
    """The application beside the proxy opens it."""
    INBOUND = "inbound"
    """Another workload opens it to the application beside the proxy."""
    GATEWAY = "gateway"
    """A client opens it to a port of the gateway."""


MESH_CREDENTIALS = "default"
"""The secret with the workload's own certificate."""
_MESH_ALPN = {Protocol.HTTP: ("istio-http/1.1",), Protocol.HTTP2: ("istio-h2",), Protocol.TCP: ("istio",)}
_OWN_ALPN = {Protocol.HTTP: ("http/1.1",), Protocol.HTTP2: ("h2",), Protocol.TCP: ()}


class Call(Struct, frozen=True, kw_only=True):
    """`address` is what was dialled; empty for one that belongs to no service.

    `sni` and `alpn` are what the TLS handshake says; None takes what a client of this kind sends. `credentials` names the
    secret of the server that a client in MTLS trusts. `claims` are those of a verified token.
    """

    port: int
    address: str = ""
    direction: Direction = Direction.OUTBOUND
    protocol: Protocol = Protocol.HTTP
    security: Security = Security.PLAINTEXT
    sni: str | None = None
    alpn: tuple[str, ...] | None = None
    credentials: str = MESH_CREDENTIALS
    host: str = ""
    path: str = "/"
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in any case."""
    claims: Mapping[str, Any] = field(default_factory=dict)
    source_ip: str = ""

    @property
    def is_http(self) -> bool:
        return self.protocol is not Protocol.TCP

    @property
    def encrypted(self) -> bool:
        return self.security is not Security.PLAINTEXT

    def completed(self) -> Call:
        """With the server name and the ALPN names that a client of this kind sends, where none are given."""
        if not self.encrypted:
            return replace(self, sni="", alpn=(), path=self.path or "/")
        sni = self.sni
        if sni is None:
            sni = host_without_port(self.host) if self.security is Security.TLS else ""
        names = _MESH_ALPN if self.security is Security.MTLS else _OWN_ALPN
        return replace(self, sni=sni.lower(), alpn=names[self.protocol] if self.alpn is None else self.alpn, path=self.path or "/")


def host_without_port(host: str) -> str:
    """`example.com:8080` as `example.com`, `[::1]:80` as `[::1]`; a colon that is part of an address stays."""
    head, colon, tail = host.rpartition(":")
    if not colon or not tail.isdigit() or (":" in head and not head.endswith("]")):
        return host
    return head
