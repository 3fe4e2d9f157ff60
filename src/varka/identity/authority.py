"""The mesh's certificate authority: a self-signed root, or an intermediate that the user plugged in.

It signs two kinds of leaf: a workload's, whose only name is its SPIFFE ID, and a server's (istiod's own), which has
DNS names.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from varka.base.errors import VarkaError
from varka.identity import certificates, keys
from varka.identity.spiffe import SpiffeId

ROOT_LIFETIME = timedelta(days=3650)
BACKDATE = timedelta(minutes=2)
"""How far a leaf's validity begins in the past, for clocks that are behind (Istio's grace is the same).

A leaf of a few seconds begins a tenth of its lifetime in the past: renewal goes by the share of the validity that is left.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A signing certificate with its key.

    `chain_pem` is what follows a leaf up to, but not including, the root; it is empty for a self-signed root.
    """

    certificate_pem: bytes
    key_pem: bytes
    root_pem: bytes
    chain_pem: bytes = b""

    def sign_workload(self, request_pem: bytes, spiffe_id: SpiffeId, lifetime: timedelta, now: datetime) -> list[str]:
        """The chain, leaf first and root last, for the key of a PKCS#10 request.

        Only the request's key is used; its names are not. VarkaError when the request is malformed or its own
        signature is wrong. The leaf never outlives the authority.
        """
        try:
            request = x509.load_pem_x509_csr(request_pem)
        except ValueError as error:
            raise VarkaError("the certificate signing request is not PKCS#10 in PEM", "send the output of a CSR builder unchanged") from error
        if not request.is_signature_valid:
            raise VarkaError("the certificate signing request is not signed by its own key", "sign the request with the key that it carries")
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)])
        return self._sign(request.public_key(), names, x509.Name([]), lifetime, now)

    def sign_server(self, key: ec.EllipticCurvePrivateKey, dns_names: list[str], lifetime: timedelta, now: datetime) -> list[str]:
        """The chain, leaf first, for a server with these DNS names."""
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in dns_names])
        return self._sign(key.public_key(), names, x509.Name([]), lifetime, now)

    def _sign(self, public_key: object, names: x509.SubjectAlternativeName, subject: x509.Name, lifetime: timedelta, now: datetime) -> list[str]:
        issuer = x509.load_pem_x509_certificate(self.certificate_pem)
        end = min(now + lifetime, issuer.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer.subject)
            .public_key(public_key)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - min(BACKDATE, lifetime / 10), issuer.not_valid_before_utc))
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(names, critical=len(list(subject)) == 0)
            .add_extension(_leaf_usage(), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.public_key()), critical=False)  # type: ignore[arg-type]
        )
        leaf = builder.sign(_private_key(self.key_pem), hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        return [leaf.decode(), *(pem.decode() for pem in certificates.split(self.chain_pem)), *(pem.decode() for pem in certificates.split(self.root_pem)[:1])]


def self_signed(trust_domain: str, now: datetime, lifetime: timedelta = ROOT_LIFETIME) -> Authority:
    """A new root with `O = <trust domain>` as its subject."""
    key = keys.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_authority_usage(), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return Authority(certificate_pem=pem, key_pem=keys.to_pem(key), root_pem=pem)


def plugged_in(files: dict[str, bytes], now: datetime) -> Authority:
    """The authority of a `cacerts` Secret: ca-cert.pem, ca-key.pem, root-cert.pem and, for deeper chains, cert-chain.pem.

    VarkaError names the file that is missing, malformed, expired, not an authority, or does not match its key.
    """
    hint = "put ca-cert.pem, ca-key.pem, root-cert.pem and cert-chain.pem of one authority into the Secret cacerts"
    for name in ("ca-cert.pem", "ca-key.pem", "root-cert.pem"):
        if not files.get(name):
            raise VarkaError(f"the Secret cacerts has no {name}", hint)
    try:
        certificate = x509.load_pem_x509_certificate(files["ca-cert.pem"])
        facts = certificates.facts(files["ca-cert.pem"])
        key = _private_key(files["ca-key.pem"])
        root = x509.load_pem_x509_certificates(files["root-cert.pem"])[0]
    except ValueError as error:
        raise VarkaError(f"the Secret cacerts cannot be read: {error}", hint) from error
    if not facts.is_authority:
        raise VarkaError("ca-cert.pem of the Secret cacerts is not a certificate of an authority", hint)
    if not facts.not_before <= now <= facts.not_after:
        raise VarkaError(f"ca-cert.pem of the Secret cacerts is valid only from {facts.not_before} to {facts.not_after}", hint)
    if key.public_key() != certificate.public_key():
        raise VarkaError("ca-key.pem of the Secret cacerts is not the key of ca-cert.pem", hint)
    chain = files.get("cert-chain.pem") or files["ca-cert.pem"]
    above = [pem for pem in certificates.split(chain) if pem not in certificates.split(files["root-cert.pem"])]
    _check_issued(certificate, [x509.load_pem_x509_certificate(pem) for pem in above], root, hint)
    return Authority(certificate_pem=files["ca-cert.pem"], key_pem=files["ca-key.pem"], root_pem=files["root-cert.pem"], chain_pem=b"".join(above))


def _check_issued(certificate: x509.Certificate, chain: list[x509.Certificate], root: x509.Certificate, hint: str) -> None:
    path = [*chain, root] if chain and chain[0] == certificate else [certificate, *chain, root]
    for child, parent in itertools.pairwise(path):
        if child == parent:
            continue
        try:
            child.verify_directly_issued_by(parent)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise VarkaError("the chain of the Secret cacerts does not lead from ca-cert.pem to root-cert.pem", hint) from error


def _private_key(pem: bytes) -> ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("the key is neither ECDSA nor RSA")
    return key


def _leaf_usage() -> x509.KeyUsage:
    return _usage(digital_signature=True, key_encipherment=True)


def _authority_usage() -> x509.KeyUsage:
    return _usage(key_cert_sign=True, crl_sign=True)


def _usage(*, digital_signature: bool = False, key_encipherment: bool = False, key_cert_sign: bool = False, crl_sign: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_encipherment=key_encipherment,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
