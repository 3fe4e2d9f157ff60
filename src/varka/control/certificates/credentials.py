"""TLS credentials from Kubernetes Secrets, for gateways and for sidecars that begin TLS by `credentialName`.

A proxy may have a Secret of its own namespace only. `kubernetes://name` is the certificate and key,
`kubernetes://name-cacert` the authorities that clients or servers are checked against, which may also lie in a
ConfigMap. Two spellings of the keys are understood: those of `kubectl create secret tls` and Istio's older ones.

What is no certificate, or a key that does not belong to it, is left out here with a line in the log: Envoy would refuse
it, and everything else in the same answer with it.
"""

from __future__ import annotations

import base64
import binascii
import logging
from collections.abc import Callable
from functools import lru_cache

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2

from varka.base.wire import WireResource
from varka.client.api import Object
from varka.identity import certificates
from varka.xds import types

log = logging.getLogger("varka.control.certificates.credentials")

SCHEME = "kubernetes://"
GATEWAY_SCHEME = "kubernetes-gateway://"
CA_SUFFIX = "-cacert"
_PAIRS = (("cert", "key"), ("tls.crt", "tls.key"))
_AUTHORITIES = (("cacert", "crl"), ("ca.crt", "ca.crl"))
_STAPLE = "tls.ocsp-staple"

Lookup = Callable[[str, str], Object | None]
"""From namespace and name to the Secret, or to the ConfigMap."""


def build(names: frozenset[str], namespace: str, secrets: Lookup, config_maps: Lookup) -> list[WireResource]:
    """The resources for those of `names` that exist, are of this namespace and are sound, sorted by name."""
    found = []
    for name in sorted(names):
        if not name.startswith(SCHEME):
            continue
        place, _, plain = name.removeprefix(SCHEME).rpartition("/")
        if place and place != namespace:
            continue
        if plain.endswith(CA_SUFFIX):
            secret = _authorities(name, namespace, plain, secrets, config_maps)
        else:
            secret = _pair(name, _files(secrets(namespace, plain)))
        if secret is not None:
            found.append(WireResource(name=name, type_url=types.SECRET, body=secret.SerializeToString(deterministic=True)))
    return found


def granted(names: frozenset[str], allowed: frozenset[str], secrets: Lookup, config_maps: Lookup) -> list[WireResource]:
    """The resources for those of `names` that a Gateway of the Gateway API refers to: `allowed`, as `namespace/name`."""
    found = []
    for name in sorted(names):
        namespace, _, plain = name.removeprefix(GATEWAY_SCHEME).partition("/")
        if not name.startswith(GATEWAY_SCHEME) or f"{namespace}/{plain.removesuffix(CA_SUFFIX)}" not in allowed:
            continue
        if plain.endswith(CA_SUFFIX):
            secret = _authorities(name, namespace, plain, secrets, config_maps)
        else:
            secret = _pair(name, _files(secrets(namespace, plain)))
        if secret is not None:
            found.append(WireResource(name=name, type_url=types.SECRET, body=secret.SerializeToString(deterministic=True)))
    return found


def _authorities(name: str, namespace: str, plain: str, secrets: Lookup, config_maps: Lookup) -> secret_pb2.Secret | None:
    """From a Secret or ConfigMap of that very name, or from the one that also holds the certificate."""
    for candidate in (plain, plain.removesuffix(CA_SUFFIX)):
        for data in (_files(secrets(namespace, candidate)), _texts(config_maps(namespace, candidate))):
            for key, revoked in _AUTHORITIES:
                if data.get(key):
                    return _trust(name, data[key], data.get(revoked, b""))
    return None


def _trust(name: str, pem: bytes, revoked: bytes) -> secret_pb2.Secret | None:
    if not _is_bundle(pem) or (revoked and not _is_revocation_list(revoked)):
        log.warning("%s: its authorities or their revocation list are not PEM; it is not served", name)
        return None
    context = common_pb2.CertificateValidationContext(trusted_ca=base_pb2.DataSource(inline_bytes=pem))
    if revoked:
        context.crl.inline_bytes = revoked
    return secret_pb2.Secret(name=name, validation_context=context)


def _pair(name: str, data: dict[str, bytes]) -> secret_pb2.Secret | None:
    for chain, key in _PAIRS:
        if data.get(chain) and data.get(key):
            if not _belong_together(data[chain], data[key]):
                log.warning("%s: %s is no certificate, or %s is not its key; it is not served", name, chain, key)
                return None
            pair = common_pb2.TlsCertificate(
                certificate_chain=base_pb2.DataSource(inline_bytes=data[chain]), private_key=base_pb2.DataSource(inline_bytes=data[key])
            )
            if data.get(_STAPLE):
                pair.ocsp_staple.inline_bytes = data[_STAPLE]
            return secret_pb2.Secret(name=name, tls_certificate=pair)
    return None


@lru_cache(maxsize=1024)
def _belong_together(chain: bytes, key: bytes) -> bool:
    return certificates.is_pair(chain, key)


@lru_cache(maxsize=1024)
def _is_bundle(pem: bytes) -> bool:
    return certificates.is_bundle(pem)


@lru_cache(maxsize=256)
def _is_revocation_list(pem: bytes) -> bool:
    return certificates.is_revocation_list(pem)


def _files(secret: Object | None) -> dict[str, bytes]:
    """What a Secret holds; what is no base64 counts as absent."""
    result = {}
    for key, text in ((secret or {}).get("data") or {}).items():
        try:
            result[key] = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError, TypeError):
            continue
    return result


def _texts(config_map: Object | None) -> dict[str, bytes]:
    return {key: str(text).encode() for key, text in ((config_map or {}).get("data") or {}).items()}
