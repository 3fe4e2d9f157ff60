"""TLS credentials from Kubernetes Secrets, for gateways (and for sidecars that originate TLS by `credentialName`).

A proxy may have a Secret of its own namespace only. `kubernetes://name` is the certificate and key,
`kubernetes://name-cacert` the authorities that clients or servers are checked against.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from varka.base.wire import WireResource
from varka.client.api import Object
from varka.xds import types

SCHEME = "kubernetes://"
CA_SUFFIX = "-cacert"
_CERTIFICATE = ("tls.crt", "cert")
_KEY = ("tls.key", "key")
_AUTHORITIES = ("ca.crt", "cacert")

Lookup = Callable[[str, str], Object | None]
"""From namespace and name to the Secret."""


def build(names: frozenset[str], namespace: str, lookup: Lookup) -> list[WireResource]:
    """The resources for those of `names` that exist and are of this namespace, sorted by name."""
    found = []
    for name in sorted(names):
        if not name.startswith(SCHEME):
            continue
        place, _, plain = name.removeprefix(SCHEME).rpartition("/")
        if place and place != namespace:
            continue
        secret = _authorities(name, plain, namespace, lookup) if plain.endswith(CA_SUFFIX) else _pair(name, lookup(namespace, plain))
        if secret is not None:
            found.append(WireResource(name=name, type_url=types.SECRET, body=secret.SerializeToString(deterministic=True)))
    return found


def _authorities(name: str, plain: str, namespace: str, lookup: Lookup) -> secret_pb2.Secret | None:
    """From a Secret of that very name, or from the one that also holds the certificate."""
    for candidate in (plain, plain.removesuffix(CA_SUFFIX)):
        pem = _first(lookup(namespace, candidate), _AUTHORITIES)
        if pem:
            return secret_pb2.Secret(name=name, validation_context=common_pb2.CertificateValidationContext(trusted_ca=base_pb2.DataSource(inline_bytes=pem)))
    return None


def _pair(name: str, secret: Object | None) -> secret_pb2.Secret | None:
    chain, key = _first(secret, _CERTIFICATE), _first(secret, _KEY)
    if not chain or not key:
        return None
    pair = common_pb2.TlsCertificate(certificate_chain=base_pb2.DataSource(inline_bytes=chain), private_key=base_pb2.DataSource(inline_bytes=key))
    return secret_pb2.Secret(name=name, tls_certificate=pair)


def _first(secret: Object | None, keys: tuple[str, ...]) -> bytes:
    data = (secret or {}).get("data") or {}
    for key in keys:
        if data.get(key):
            try:
                return base64.b64decode(data[key], validate=True)
            except (binascii.Error, ValueError):
                return b""
    return b""
