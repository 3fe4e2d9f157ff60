"""The attributes that a rule's `when` may ask for, by their keys."""

from __future__ import annotations

from enum import StrEnum


class Key(StrEnum):
    """A key, or what a key with brackets begins with."""

    SOURCE_IP = "source.ip"
    REMOTE_IP = "remote.ip"
    NAMESPACE = "source.namespace"
    PRINCIPAL = "source.principal"
    SERVICE_ACCOUNT = "source.serviceAccount"
    REQUEST_PRINCIPAL = "request.auth.principal"
    AUDIENCES = "request.auth.audiences"
    PRESENTER = "request.auth.presenter"
    HEADER = "request.headers"
    CLAIM = "request.auth.claims"
    DESTINATION_IP = "destination.ip"
    DESTINATION_PORT = "destination.port"
    SNI = "connection.sni"
    ENVOY_FILTER = "experimental.envoy.filters."


HTTP_ONLY = frozenset({Key.REQUEST_PRINCIPAL, Key.AUDIENCES, Key.PRESENTER, Key.HEADER, Key.CLAIM})
"""What a connection without HTTP does not have."""

_BRACKETED = (Key.HEADER, Key.CLAIM, Key.ENVOY_FILTER)
_SIMPLE = {str(key): key for key in Key if key not in _BRACKETED}
_CLAIMS = {Key.AUDIENCES: ("aud",), Key.PRESENTER: ("azp",)}


def of(key: str) -> Key | None:
    """The attribute of a key; None when there is none of that name, or the brackets are not as they must be."""
    if key in _SIMPLE:
        return _SIMPLE[key]
    name, bracket, rest = key.partition("[")
    if not bracket or not rest.endswith("]") or len(rest) < 2:
        return None
    if name == Key.HEADER:
        return Key.HEADER if "[" not in rest else None
    if name == Key.CLAIM:
        return Key.CLAIM if all(claim(key)) else None
    return Key.ENVOY_FILTER if name.startswith(Key.ENVOY_FILTER) and len(name) > len(Key.ENVOY_FILTER) else None


def header(key: str) -> str:
    """`request.headers[x-user]` → `x-user`."""
    return key.removeprefix(f"{Key.HEADER}[").removesuffix("]")


def claim(key: str) -> tuple[str, ...]:
    """`request.auth.claims[a][b]` → `a`, `b`: the claim `b` inside the claim `a`."""
    plain = _CLAIMS.get(_SIMPLE.get(key, Key.CLAIM))
    return plain or tuple(key.removeprefix(f"{Key.CLAIM}[").removesuffix("]").split("]["))


def envoy_filter(key: str) -> tuple[str, str]:
    """`experimental.envoy.filters.network.mysql_proxy[db.table]` → the filter's name, and a key of its metadata."""
    name, _, rest = key.removeprefix("experimental.").partition("[")
    return name, rest.removesuffix("]")
