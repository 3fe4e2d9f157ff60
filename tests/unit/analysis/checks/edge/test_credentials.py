from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from tests.builders.findings import found, kubernetes, paths
from tests.builders.meshobjects import istio, pod

from varka.identity import authority, keys

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRETS, DUPLICATES = "gateway.SecretAnalyzer", "gateway.CertificateAnalyzer"


def _gateway(name: str = "gw", namespace: str = "default", **tls: object) -> dict[str, object]:
    server = {"port": {"number": 443, "name": "https", "protocol": "HTTPS"}, "hosts": ["a.b"], "tls": {"mode": "SIMPLE", **tls}}
    return istio("Gateway", name, {"selector": {"app": "edge"}, "servers": [server]}, namespace)


def _secret(chain: bytes, key: bytes, names: tuple[str, str] = ("tls.crt", "tls.key"), namespace: str = "default") -> dict[str, object]:
    data = {name: base64.b64encode(value).decode() for name, value in zip(names, (chain, key), strict=True)}
    return {**kubernetes("Secret", "cred", namespace=namespace), "data": data}


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    """A certificate of one day, and its key."""
    key = keys.generate()
    return "".join(authority.self_signed("cluster.local", NOW).sign_server(key, ["a.b"], timedelta(days=1), NOW)).encode(), keys.to_pem(key)


@pytest.mark.parametrize("names", [("tls.crt", "tls.key"), ("cert", "key")])
def test_usable_secret(pair: tuple[bytes, bytes], names: tuple[str, str]) -> None:
    """Both forms of a Secret serve, in the namespace of the proxies."""
    assert found(SECRETS, pod("edge", "10.0.0.1"), _gateway(credentialName="cred"), _secret(*pair, names), now=NOW.timestamp() + 60) == []


def test_expired_secret(pair: tuple[bytes, bytes]) -> None:
    """A certificate out of its time is told of; when the time is not known, none is out of it."""
    objects = (pod("edge", "10.0.0.1"), _gateway(credentialName="cred"), _secret(*pair))
    assert found(SECRETS, *objects, now=NOW.timestamp() + 2 * 86400) == ["IST0161 Gateway default/gw"]
    assert found(SECRETS, *objects) == []


@pytest.mark.parametrize(("chain", "key"), [(b"x", b"y"), (b"", b""), (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"y")])
def test_unreadable_secret(chain: bytes, key: bytes) -> None:
    """What holds no certificate or no key cannot be served."""
    assert found(SECRETS, pod("edge", "10.0.0.1"), _gateway(credentialName="cred"), _secret(chain, key)) == ["IST0161 Gateway default/gw"]


def test_secret_elsewhere(pair: tuple[bytes, bytes]) -> None:
    """A Secret beside the Gateway does not help a proxy of another namespace."""
    objects = (pod("edge", "10.0.0.1", "edge"), _gateway(credentialName="cred"), _secret(*pair))
    assert found(SECRETS, *objects) == ["IST0101 Gateway default/gw"]
    assert paths(SECRETS, *objects) == ["spec.servers[0].tls.credentialName"]


def test_gateway_without_proxies() -> None:
    """Where nobody serves, the selector is at fault."""
    assert paths(SECRETS, _gateway(credentialName="cred")) == ["spec.selector"]


def test_shared_certificate() -> None:
    """Two Gateways of the same proxies with one certificate, by name or by files."""
    files = {"serverCertificate": "/a", "privateKey": "/b"}
    assert found(DUPLICATES, _gateway("a", credentialName="c"), _gateway("b", "other", credentialName="c")) == [
        "IST0138 Gateway default/a",
        "IST0138 Gateway other/b",
    ]
    assert found(DUPLICATES, _gateway("a", **files), _gateway("b", **files)) == ["IST0138 Gateway default/a", "IST0138 Gateway default/b"]
    assert found(DUPLICATES, _gateway("a", credentialName="c"), _gateway("b", credentialName="d"), _gateway("e", **files)) == []
