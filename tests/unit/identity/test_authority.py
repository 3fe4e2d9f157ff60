"""The authority signs what it should, and says why when it does not."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509

from varka.base.errors import VarkaError
from varka.identity import authority, certificates, keys, spiffe

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
ID = spiffe.WorkloadIdentity(trust_domain="cluster.local", namespace="default", service_account="bookinfo-details").uri


def sign(signer: authority.Authority, lifetime: timedelta = timedelta(hours=24), claimed: str = ID) -> list[str]:
    return signer.sign_workload(keys.signing_request(keys.generate(), claimed), ID, lifetime, NOW)


def test_root_subject_is_the_trust_domain() -> None:
    """The root's subject is `O=<trust domain>`, it is an authority, and it lives for ten years."""
    facts = certificates.facts(authority.self_signed("cluster.local", NOW).root_pem)
    assert facts.subject == "O=cluster.local"
    assert facts.is_authority
    assert facts.not_after == NOW + timedelta(days=3650)


def test_leaf_carries_the_identity() -> None:
    """A workload's leaf has the SPIFFE ID, lasts as long as asked, and is issued by the root that follows it."""
    root = authority.self_signed("cluster.local", NOW)
    leaf, last = sign(root)
    facts = certificates.facts(leaf.encode())
    assert facts.spiffe_id == "spiffe://cluster.local/ns/default/sa/bookinfo-details"
    assert facts.not_after == NOW + timedelta(hours=24)
    assert last.encode() == root.root_pem
    x509.load_pem_x509_certificate(leaf.encode()).verify_directly_issued_by(x509.load_pem_x509_certificate(root.root_pem))


def test_claimed_name_is_ignored() -> None:
    """The name in a request has no say: the identity comes from the caller's token."""
    leaf = sign(authority.self_signed("cluster.local", NOW), claimed="spiffe://cluster.local/ns/kube-system/sa/admin")[0]
    assert certificates.facts(leaf.encode()).spiffe_id == ID


def test_leaf_never_outlives_the_authority() -> None:
    """A lifetime beyond the authority's end is cut there."""
    root = authority.self_signed("cluster.local", NOW, lifetime=timedelta(hours=1))
    assert certificates.facts(sign(root)[0].encode()).not_after == NOW + timedelta(hours=1)


def test_malformed_request_is_refused() -> None:
    """What is no PKCS#10 is refused with a reason."""
    with pytest.raises(VarkaError, match="not PKCS#10"):
        authority.self_signed("cluster.local", NOW).sign_workload(b"hello", ID, timedelta(hours=1), NOW)


def test_plugged_in_authority_signs() -> None:
    """A cacerts Secret of a root used directly gives leaves under that root."""
    root = authority.self_signed("example.org", NOW)
    plugged = authority.plugged_in({"ca-cert.pem": root.certificate_pem, "ca-key.pem": root.key_pem, "root-cert.pem": root.root_pem}, NOW)
    leaf, last = sign(plugged)
    assert last.encode() == root.root_pem
    assert certificates.facts(leaf.encode()).spiffe_id == ID


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"ca-key.pem": b""}, "has no ca-key.pem"),
        ({"ca-cert.pem": b"x"}, "cannot be read"),
        ({"ca-key.pem": keys.to_pem(keys.generate())}, "is not the key of ca-cert.pem"),
        ({"root-cert.pem": authority.self_signed("other.org", NOW).root_pem}, "does not lead"),
    ],
)
def test_bad_cacerts_are_named(change: dict[str, bytes], reason: str) -> None:
    """Every defect of a cacerts Secret is named."""
    root = authority.self_signed("example.org", NOW)
    files = {"ca-cert.pem": root.certificate_pem, "ca-key.pem": root.key_pem, "root-cert.pem": root.root_pem, **change}
    with pytest.raises(VarkaError, match=reason):
        authority.plugged_in(files, NOW)


def test_expired_cacerts_are_refused() -> None:
    """An authority that has expired is refused."""
    root = authority.self_signed("example.org", NOW)
    files = {"ca-cert.pem": root.certificate_pem, "ca-key.pem": root.key_pem, "root-cert.pem": root.root_pem}
    with pytest.raises(VarkaError, match="valid only from"):
        authority.plugged_in(files, NOW + timedelta(days=4000))


def test_renewal_is_due_with_a_quarter_left() -> None:
    """A certificate of 24 hours is renewed 18 hours in, or up to 72 minutes earlier."""
    end = NOW + timedelta(hours=24)
    assert certificates.renew_at(NOW, end, 0.0) == NOW + timedelta(hours=18)
    assert certificates.renew_at(NOW, end, 1.0) == NOW + timedelta(hours=18) - timedelta(minutes=72)


@pytest.mark.parametrize("uri", ["", "https://x/ns/a/sa/b", "spiffe://td/ns/a/sa/", "spiffe://td/ns/a/b/c", "spiffe://td/ns/a/sa/b/c"])
def test_other_uris_are_no_identities(uri: str) -> None:
    """Only Istio's form is taken for a workload's identity."""
    assert spiffe.parse(uri) is None


def test_identity_round_trip() -> None:
    """Parsing an identity's URI gives the identity."""
    assert spiffe.parse(ID) == spiffe.WorkloadIdentity(trust_domain="cluster.local", namespace="default", service_account="bookinfo-details")
