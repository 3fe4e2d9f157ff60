"""Authorities as people plug them in: a root of their own, intermediates below it, and the files of the Secret `cacerts`."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID

from varka.identity import authority, keys
from varka.identity.authority import Authority


def root(name: str) -> Authority:
    """A root of an organisation."""
    return authority.self_signed(name, datetime.now(UTC), timedelta(days=365))


def intermediate(above: Authority, name: str, roots: bytes = b"") -> dict[str, str]:
    """The four files for an intermediate of `above`; `roots` is the bundle to believe, when it is more than that root."""
    issuer = x509.load_pem_x509_certificate(above.certificate_pem)
    signer = serialization.load_pem_private_key(above.key_pem, None)
    key, now = keys.generate(), datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, name)]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=2))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(False, False, False, False, False, True, True, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)  # type: ignore[arg-type]
    )
    certificate = builder.sign(signer, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)  # type: ignore[arg-type]
    found = {
        "ca-cert.pem": certificate,
        "ca-key.pem": keys.to_pem(key),
        "root-cert.pem": roots or above.root_pem,
        "cert-chain.pem": certificate + above.root_pem,
    }
    return {name: content.decode() for name, content in found.items()}
