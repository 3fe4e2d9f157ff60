"""A request as policies see it: who asks from where, what for, and with which tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field


class Token(Struct, frozen=True, kw_only=True):
    """A JSON Web Token that came with a request: at the place, with the claims."""

    claims: Mapping[str, Any]
    place: str = "header authorization"
    """`header NAME`, `param NAME` or `cookie NAME`."""
    valid: bool = True
    """Signed with one of its issuer's keys, and neither expired nor too early."""


class Http(Struct, frozen=True, kw_only=True):
    """What only HTTP has. Names of headers are lower case; `path` may have a query."""

    method: str = "GET"
    path: str = "/"
    host: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    tokens: tuple[Token, ...] = ()


class Request(Struct, frozen=True, kw_only=True):
    """A request, or a connection when `http` is None."""

    port: int
    """Of the workload."""
    principal: str = ""
    """`trust-domain/ns/namespace/sa/account` of the caller's certificate; empty without mutual TLS."""
    source_ip: str = ""
    remote_ip: str = ""
    """Where the request began, if that is known to differ: by `x-forwarded-for` or the PROXY protocol."""
    destination_ip: str = ""
    server_name: str = ""
    """Of the TLS handshake."""
    http: Http | None = None
