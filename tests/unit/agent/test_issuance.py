from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.fakes import loopback, signing
from tests.fakes.signing import SigningFake

from varka.agent.dns import names
from varka.agent.issuance import Issuer
from varka.agent.proxy_settings import ProxySettings
from varka.base.clock import SystemClock
from varka.base.errors import VarkaError
from varka.identity import authority


@dataclass(frozen=True, kw_only=True)
class Pod:
    """An issuer in a pod whose files are in `root`, and the authority that it reaches."""

    root: Path
    service: SigningFake
    issuer: Issuer


def settings(port: int, lifetime: float = 0) -> ProxySettings:
    """Of a proxy whose control plane is on a port of loopback."""
    where = f"{signing.HOST}:{port}"
    return ProxySettings(
        type="sidecar", pod="web-1", namespace="shop", service_account="web", ip="127.0.0.1", discovery_address=where, certificate_lifetime=lifetime
    )


@pytest.fixture
async def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pod]:
    async with signing.signing(SystemClock()) as service, loopback.dns({f"{signing.HOST}.cluster.local.": "127.0.0.1"}) as server:
        monkeypatch.setattr(names, "PORT", server.port)
        signing.pod_files(tmp_path, service.authority.root_pem)
        yield Pod(root=tmp_path, service=service, issuer=Issuer(settings(service.port), tmp_path))


async def test_a_certificate_for_a_key_of_its_own(pod: Pod) -> None:
    """P-256, asked for under the pod's token; leaf and key belong together, the root is apart from the chain."""
    found = await pod.issuer.issue()
    leaf = x509.load_pem_x509_certificate(found.chain_pem)
    key = serialization.load_pem_private_key(found.key_pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, ec.SECP256R1)
    assert leaf.public_key() == key.public_key()
    assert (found.spiffe_id, found.root_pem, len(x509.load_pem_x509_certificates(found.chain_pem))) == (
        pod.service.spiffe_id,
        pod.service.authority.root_pem,
        1,
    )
    assert (pod.service.tokens, pod.service.asked) == (["Bearer the token"], [0])


async def test_every_certificate_has_a_new_key(pod: Pod) -> None:
    """And its own serial number."""
    first, second = await pod.issuer.issue(), await pod.issuer.issue()
    assert first.key_pem != second.key_pem and first.serial != second.serial


async def test_a_pod_may_ask_for_a_lifetime(pod: Pod) -> None:
    """The request has SECRET_TTL in seconds."""
    await Issuer(settings(pod.service.port, 3600), pod.root).issue()
    assert pod.service.asked == [3600]


async def test_a_chain_of_one_is_completed_by_the_root_of_the_config_map(pod: Pod) -> None:
    """Some authorities answer with the leaf only."""
    leaf = (await pod.issuer.issue()).chain_pem.decode().rstrip("\n")
    pod.service.chain = [leaf]
    found = await pod.issuer.issue()
    assert (found.chain_pem.decode(), found.root_pem) == (leaf + "\n", pod.service.authority.root_pem)


async def test_a_rotated_token_is_read_again(pod: Pod) -> None:
    """It is replaced in its volume while the pod runs."""
    await pod.issuer.issue()
    (pod.root / "var/run/secrets/tokens/istio-token").write_text("another")
    await pod.issuer.issue()
    assert pod.service.tokens == ["Bearer the token", "Bearer another"]


async def test_a_refusal_names_pod_reason_and_mend(pod: Pod) -> None:
    """The code in words."""
    pod.service.refusal = (grpc.StatusCode.UNAUTHENTICATED, "the token has expired")
    with pytest.raises(VarkaError, match="did not sign the certificate of shop/web-1: unauthenticated: the token has expired; check `kubectl get pods"):
        await pod.issuer.issue()


async def test_an_empty_chain_is_no_certificate(pod: Pod) -> None:
    """The log of istiod has the reason."""
    pod.service.chain = []
    with pytest.raises(VarkaError, match="an empty chain; look for the reason in the log of istiod"):
        await pod.issuer.issue()


async def test_a_control_plane_of_another_root_is_not_believed(pod: Pod) -> None:
    """The token is not sent to it."""
    other = authority.self_signed("cluster.local", datetime.now(UTC), timedelta(days=1))
    (pod.root / "var/run/secrets/istio/root-cert.pem").write_bytes(other.root_pem)
    with pytest.raises(VarkaError, match="unavailable"):
        await pod.issuer.issue()
    assert pod.service.tokens == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("var/run/secrets/tokens/istio-token", "cannot read /var/run/secrets/tokens/istio-token: No such file or directory; it comes from the projected token"),
        ("var/run/secrets/istio/root-cert.pem", "it comes from the ConfigMap istio-ca-root-cert"),
        ("etc/resolv.conf", "cannot read /etc/resolv.conf"),
    ],
)
async def test_a_missing_file_is_named_with_its_origin(pod: Pod, name: str, said: str) -> None:
    """It may come yet: the caller tries again."""
    (pod.root / name).unlink()
    with pytest.raises(VarkaError, match=said):
        await pod.issuer.issue()


async def test_the_key_is_in_no_printed_form(pod: Pod) -> None:
    """Of a certificate that ends up in a log."""
    assert "PRIVATE KEY" not in repr(await pod.issuer.issue())
