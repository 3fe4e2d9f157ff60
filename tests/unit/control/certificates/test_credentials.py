from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from varka.control.certificates import credentials
from varka.identity import authority, keys

NOW = datetime.now(UTC)
ROOT = authority.self_signed("example.com", NOW)
A = ROOT.root_pem.decode()


def pair(name: str) -> tuple[str, str]:
    """A certificate for a name, and its key."""
    key = keys.generate()
    return ROOT.sign_server(key, [name], timedelta(hours=1), NOW)[0], keys.to_pem(key).decode()


C, K = pair("web.example.com")
OTHER_C, OTHER_K = pair("other.example.com")


def revocations() -> str:
    """A list of revoked certificates, PEM."""
    key = keys.generate()
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    made = x509.CertificateRevocationListBuilder().issuer_name(issuer).last_update(NOW).next_update(NOW + timedelta(days=1)).sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM).decode()


def secret(**files: str) -> dict[str, Any]:
    """A Secret's object; `_` stands for the dot."""
    return {"data": {name.replace("_", "."): base64.b64encode(text.encode()).decode() for name, text in files.items()}}


Store = dict[tuple[str, str], dict[str, Any]]


def built(store: Store, *names: str, config_maps: Store | None = None) -> dict[str, secret_pb2.Secret]:
    """The secrets that a proxy of the namespace `gw` gets."""
    maps = config_maps or {}
    found = credentials.build(frozenset(names), "gw", lambda place, name: store.get((place, name)), lambda place, name: maps.get((place, name)))
    return {one.name: secret_pb2.Secret.FromString(one.body) for one in found}


@pytest.mark.parametrize("names", [("tls_crt", "tls_key"), ("cert", "key")])
def test_certificate_and_key(names: tuple[str, str]) -> None:
    """In the form of kubernetes.io/tls, and in Istio's older one."""
    found = built({("gw", "web"): secret(**{names[0]: C, names[1]: K})}, "kubernetes://web")["kubernetes://web"]
    assert (found.tls_certificate.certificate_chain.inline_bytes, found.tls_certificate.private_key.inline_bytes) == (C.encode(), K.encode())


def test_authorities_from_the_same_or_from_their_own_secret() -> None:
    """`-cacert` names either; its own comes first."""
    other = authority.self_signed("other", NOW).root_pem.decode()
    same = built({("gw", "web"): secret(ca_crt=A)}, "kubernetes://web-cacert")
    own = built({("gw", "web-cacert"): secret(cacert=other), ("gw", "web"): secret(ca_crt=A)}, "kubernetes://web-cacert")
    assert same["kubernetes://web-cacert"].validation_context.trusted_ca.inline_bytes == A.encode()
    assert own["kubernetes://web-cacert"].validation_context.trusted_ca.inline_bytes == other.encode()


def test_authorities_from_a_config_map() -> None:
    """Public certificates need no Secret."""
    found = built({}, "kubernetes://clients-cacert", config_maps={("gw", "clients"): {"data": {"ca.crt": A}}})
    assert found["kubernetes://clients-cacert"].validation_context.trusted_ca.inline_bytes == A.encode()


def test_revoked_certificates() -> None:
    """The list beside the authorities is served with them."""
    revoked = revocations()
    found = built({("gw", "web"): secret(ca_crt=A, ca_crl=revoked)}, "kubernetes://web-cacert")["kubernetes://web-cacert"]
    assert found.validation_context.crl.inline_bytes == revoked.encode()


@pytest.mark.parametrize(
    "files",
    [{"tls_crt": C}, {"tls_crt": C, "tls_key": OTHER_K}, {"tls_crt": "nonsense", "tls_key": K}, {"tls_crt": C, "tls_key": "nonsense"}, {"other": "x"}],
)
def test_what_is_unsound_is_not_served(files: dict[str, str]) -> None:
    """No key, another key, or no PEM: Envoy would refuse it, so it never gets it."""
    assert built({("gw", "web"): secret(**files)}, "kubernetes://web") == {}


@pytest.mark.parametrize("files", [{"ca_crt": "nonsense"}, {"ca_crt": A, "ca_crl": "nonsense"}])
def test_unsound_authorities_are_not_served(files: dict[str, str]) -> None:
    """Nobody is believed rather than anybody."""
    assert built({("gw", "web"): secret(**files)}, "kubernetes://web-cacert") == {}


def test_what_is_elsewhere_is_not_given() -> None:
    """Another namespace, no Secret, no such scheme."""
    store = {("other", "web"): secret(tls_crt=C, tls_key=K)}
    assert built(store, "kubernetes://web", "kubernetes://other/web", "kubernetes://none", "default") == {}
