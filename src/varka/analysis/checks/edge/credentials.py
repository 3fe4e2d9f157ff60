"""Credentials of Gateways: Secrets that are not where the proxies look, that hold no usable key pair, or that two Gateways share."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

from varka.analysis import catalog, messages
from varka.analysis.context import Context, Read
from varka.analysis.messages import Message
from varka.identity import key_pairs
from varka.resources.traffic import gateways as written

_BUILT_IN = "://"
"""Other sources than a Secret of the proxy's namespace are named like an address."""


def secrets(context: Context) -> Iterable[Message]:
    """Check that the Secrets of every server are in the namespace of the gateway's pods, and can be served."""
    known = {secret.meta.key: secret for secret in context.all("Secret")}
    for gateway in context.all("Gateway"):
        namespaces = sorted({pod.meta.namespace for pod in context.pods(gateway.spec.selector)})
        if not namespaces:
            yield catalog.REFERENCED_RESOURCE_NOT_FOUND.about(gateway, "selector", messages.labels(gateway.spec.selector), path="spec.selector")
            continue
        for path, name in _names(gateway):
            found = next((known[key] for key in (f"{where}/{name}" if where else name for where in namespaces) if key in known), None)
            if found is None:
                yield catalog.REFERENCED_RESOURCE_NOT_FOUND.about(gateway, "credentialName", name, path=path)
            elif not _usable(found.spec.data, context.surroundings.now):
                yield catalog.INVALID_CREDENTIAL.about(gateway, gateway.meta.name, namespaces[0], path=path)


def _names(gateway: Read) -> Iterable[tuple[str, str]]:
    for index, server in enumerate(gateway.spec.servers):
        if server.tls is None:
            continue
        path = f"spec.servers[{index}].tls"
        if server.tls.credential_name and _BUILT_IN not in server.tls.credential_name:
            yield f"{path}.credentialName", server.tls.credential_name
        for number, name in enumerate(server.tls.credential_names):
            yield f"{path}.credentialNames[{number}]", name


def _usable(data: Mapping[str, str], now: float | None) -> bool:
    """`cert` and `key` as in an Opaque Secret, else `tls.crt` and `tls.key`."""
    names = ("cert", "key") if "cert" in data else ("tls.crt", "tls.key")
    try:
        chain, key = (base64.b64decode(data[name], validate=False) for name in names)
    except (KeyError, binascii.Error, ValueError):
        return False
    return key_pairs.usable(chain, key, now)


def duplicates(context: Context) -> Iterable[Message]:
    """Check that no two Gateways of the same proxies serve one certificate: HTTP/2 clients would use one connection for both."""
    gateways = context.all("Gateway")
    for one in gateways:
        for other in gateways:
            if other is one or not one.spec.selector.items() <= other.spec.selector.items():
                continue
            if any(_same(mine.tls, theirs.tls) for mine in one.spec.servers for theirs in other.spec.servers):
                yield catalog.DUPLICATE_CERTIFICATE.about(one, messages.listed((one.meta.key, other.meta.key)), path="metadata.name")


def _same(one: written.ServerTls | None, other: written.ServerTls | None) -> bool:
    if one is None or other is None:
        return False
    mine, theirs = _identity(one), _identity(other)
    return mine is not None and mine == theirs


def _identity(tls: written.ServerTls) -> Any:
    if tls.credential_name:
        return tls.credential_name
    return (tls.server_certificate, tls.private_key) if tls.server_certificate and tls.private_key else None
