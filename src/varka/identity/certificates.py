"""What a certificate says, and when it has to be replaced."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFacts:
    """The fields that people and tools ask for; `serial` in lower-case hexadecimal."""

    spiffe_id: str
    dns_names: tuple[str, ...]
    serial: str
    not_before: datetime
    not_after: datetime
    is_authority: bool
    subject: str


def facts(pem: bytes) -> CertificateFacts:
    """Of the first certificate in `pem`; ValueError when there is none."""
    certificate = x509.load_pem_x509_certificate(pem)
    uris: list[str] = []
    names: list[str] = []
    authority = False
    for extension in certificate.extensions:
        if isinstance(extension.value, x509.SubjectAlternativeName):
            uris = extension.value.get_values_for_type(x509.UniformResourceIdentifier)
            names = extension.value.get_values_for_type(x509.DNSName)
        elif isinstance(extension.value, x509.BasicConstraints):
            authority = extension.value.ca
    return CertificateFacts(
        spiffe_id=next((uri for uri in uris if uri.startswith("spiffe://")), ""),
        dns_names=tuple(names),
        serial=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        is_authority=authority,
        subject=certificate.subject.rfc4514_string(),
    )


def split(pem: bytes) -> list[bytes]:
    """The single certificates of a bundle, each as PEM; empty when there is none."""
    if b"-----BEGIN CERTIFICATE-----" not in pem:
        return []
    return [certificate.public_bytes(serialization.Encoding.PEM) for certificate in x509.load_pem_x509_certificates(pem)]


def renew_at(not_before: datetime, not_after: datetime, jitter: float) -> datetime:
    """When to ask for the next certificate: with a quarter of the lifetime left, earlier by up to a twentieth of it.

    `jitter` is between 0 and 1 and spreads the requests of many workloads that started together.
    """
    lifetime = not_after - not_before
    return not_after - lifetime / 4 - timedelta(seconds=lifetime.total_seconds() / 20 * jitter)


def is_pair(chain: bytes, key: bytes) -> bool:
    """Whether `chain` begins with a certificate for the private key `key`, both PEM."""
    try:
        certificate = x509.load_pem_x509_certificates(chain)[0]
        private = serialization.load_pem_private_key(key, None)
    except (ValueError, TypeError, IndexError, UnsupportedAlgorithm):
        return False
    form = (serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return certificate.public_key().public_bytes(*form) == private.public_key().public_bytes(*form)


def is_bundle(pem: bytes) -> bool:
    """Whether `pem` holds certificates only."""
    try:
        return bool(x509.load_pem_x509_certificates(pem))
    except ValueError:
        return False


def is_revocation_list(pem: bytes) -> bool:
    """Whether `pem` is a list of revoked certificates."""
    try:
        x509.load_pem_x509_crl(pem)
    except ValueError:
        return False
    return True
