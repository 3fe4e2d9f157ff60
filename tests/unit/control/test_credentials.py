from __future__ import annotations

import base64
from typing import Any

from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from varka.control import credentials


def secret(**files: str) -> dict[str, Any]:
    """A Secret's object."""
    return {"data": {name.replace("_", "."): base64.b64encode(text.encode()).decode() for name, text in files.items()}}


def built(store: dict[tuple[str, str], dict[str, Any]], *names: str) -> dict[str, secret_pb2.Secret]:
    """The secrets that a proxy of the namespace `gw` gets."""
    found = credentials.build(frozenset(names), "gw", lambda namespace, name: store.get((namespace, name)))
    return {one.name: secret_pb2.Secret.FromString(one.body) for one in found}


def test_certificate_and_key() -> None:
    """In the form of kubernetes.io/tls."""
    found = built({("gw", "web"): secret(tls_crt="C", tls_key="K")}, "kubernetes://web")["kubernetes://web"]
    assert (found.tls_certificate.certificate_chain.inline_bytes, found.tls_certificate.private_key.inline_bytes) == (b"C", b"K")


def test_authorities_from_the_same_or_from_their_own_secret() -> None:
    """`-cacert` names either."""
    same = built({("gw", "web"): secret(ca_crt="A")}, "kubernetes://web-cacert")
    own = built({("gw", "web-cacert"): secret(cacert="B")}, "kubernetes://web-cacert")
    assert same["kubernetes://web-cacert"].validation_context.trusted_ca.inline_bytes == b"A"
    assert own["kubernetes://web-cacert"].validation_context.trusted_ca.inline_bytes == b"B"


def test_what_is_elsewhere_or_incomplete_is_not_given() -> None:
    """Another namespace, no key, no Secret, no such scheme."""
    store = {("other", "web"): secret(tls_crt="C", tls_key="K"), ("gw", "half"): secret(tls_crt="C")}
    assert built(store, "kubernetes://web", "kubernetes://other/web", "kubernetes://half", "kubernetes://none", "default") == {}
