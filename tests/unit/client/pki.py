"""Certificates for tests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass(frozen=True)
class Authority:
    certificate: bytes
    name: x509.Name
    key: ec.EllipticCurvePrivateKey


def authority() -> Authority:
    """A self-signed CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("ca")
    made = _builder(name, name, key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    return Authority(made.public_bytes(serialization.Encoding.PEM), name, key)


def leaf(ca: Authority, common_name: str) -> tuple[bytes, bytes]:
    """Certificate and key of a server or client, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    names = x509.SubjectAlternativeName([x509.DNSName(common_name)])
    made = _builder(_name(common_name), ca.name, key.public_key()).add_extension(names, critical=False).sign(ca.key, hashes.SHA256())
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return made.public_bytes(serialization.Encoding.PEM), pem


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key).serial_number(x509.random_serial_number())
    return builder.not_valid_before(now - timedelta(minutes=1)).not_valid_after(now + timedelta(hours=1))
