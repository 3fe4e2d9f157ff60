"""The cluster's own certificates: what the API server shows, what the administrator and tools trust and log in with.

They live in the folder `pki` of the state folder, private keys with mode 0600, and are made once: authority, server
certificate, the administrator's client certificate (`O=system:masters`) and the key that signs ServiceAccount tokens.
All keys are ECDSA on P-256.
"""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
SERVER_ADDRESSES = ("127.0.0.1", "::1", "10.96.0.1")
AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
_BACKDATE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pki:
    """The files of the folder as they are on disk now; `folder` holds them under the names of the fields, `_` as `-`."""

    folder: Path
    ca_crt: bytes
    admin_crt: bytes
    admin_key: bytes
    sa_key: bytes

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, for clients that want a path."""
        return self.folder / "ca.crt"


@dataclass(frozen=True, slots=True)
class _Issuer:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def ensure(folder: Path, now: datetime, addresses: tuple[str, ...] = ()) -> Pki:
    """The folder's certificates, made or made anew where they are missing, about to expire or lack one of `addresses`.

    A new authority brings new leaves with it. The token key is kept as long as it exists.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    issuer = _load(folder, "ca", now)
    if issuer is None:
        issuer = _make_authority(folder, now)
    wanted = tuple(dict.fromkeys((*SERVER_ADDRESSES, *addresses)))
    _ensure_leaf(folder, "apiserver", issuer, now, lambda key: _server_leaf(key, issuer, now, wanted), wanted)
    _ensure_leaf(folder, "admin", issuer, now, lambda key: client_certificate(key, issuer.certificate, issuer.key, now, "kubernetes-admin", ["system:masters"]))
    if not (folder / "sa.key").exists():
        _write(folder / "sa.key", _key_pem(ec.generate_private_key(ec.SECP256R1())))
    return Pki(
        folder=folder,
        ca_crt=(folder / "ca.crt").read_bytes(),
        admin_crt=(folder / "admin.crt").read_bytes(),
        admin_key=(folder / "admin.key").read_bytes(),
        sa_key=(folder / "sa.key").read_bytes(),
    )


def server_context(pki: Pki) -> ssl.SSLContext:
    """For the API server's listeners: a client may show a certificate, which must then be of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(pki.folder / "apiserver.crt", pki.folder / "apiserver.key")
    context.load_verify_locations(pki.ca_file)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    return context


def client_context(pki: Pki) -> ssl.SSLContext:
    """For a client that logs in as the administrator."""
    context = ssl.create_default_context(cadata=pki.ca_crt.decode())
    context.load_cert_chain(pki.folder / "admin.crt", pki.folder / "admin.key")
    return context


def kubeconfig(pki: Pki, server: str, name: str = "varka", namespace: str = "") -> dict[str, Any]:
    """A kubeconfig for the administrator, with all certificates inside; `server` is the URL that clients reach."""
    context = {"cluster": name, "user": name, **({"namespace": namespace} if namespace else {})}
    user = {"client-certificate-data": _base64(pki.admin_crt), "client-key-data": _base64(pki.admin_key)}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, "certificate-authority-data": _base64(pki.ca_crt)}}],
        "contexts": [{"name": name, "context": context}],
        "current-context": name,
        "preferences": {},
        "users": [{"name": name, "user": user}],
    }


def write_kubeconfig(path: Path, config: dict[str, Any]) -> None:
    """Write a kubeconfig with mode 0600, as JSON, which is YAML too; an unchanged file stays untouched."""
    text = (json.dumps(config, indent=2) + "\n").encode()
    if not path.exists() or path.read_bytes() != text:
        _write(path, text)


def client_certificate(
    key: ec.EllipticCurvePrivateKey, issuer: x509.Certificate, issuer_key: ec.EllipticCurvePrivateKey, now: datetime, user: str, groups: list[str]
) -> x509.Certificate:
    """A certificate by which its holder is `user` (CN) in `groups` (O)."""
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
    subject = x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, user)])
    builder = _builder(subject, issuer.subject, key, now, LEAF_LIFETIME)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
    return _with_leaf_extensions(builder, issuer_key).sign(issuer_key, hashes.SHA256())


def _server_leaf(key: ec.EllipticCurvePrivateKey, issuer: _Issuer, now: datetime, addresses: tuple[str, ...]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kube-apiserver")])
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in SERVER_NAMES]
    names += [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]
    builder = _builder(subject, issuer.certificate.subject, key, now, LEAF_LIFETIME)
    builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return _with_leaf_extensions(builder, issuer.key).sign(issuer.key, hashes.SHA256())


def _make_authority(folder: Path, now: datetime) -> _Issuer:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    builder = (
        _builder(subject, subject, key, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    certificate = builder.sign(key, hashes.SHA256())
    _store(folder, "ca", certificate, key)
    return _Issuer(certificate, key)


def _ensure_leaf(
    folder: Path,
    name: str,
    issuer: _Issuer,
    now: datetime,
    make: Callable[[ec.EllipticCurvePrivateKey], x509.Certificate],
    addresses: tuple[str, ...] = (),
) -> None:
    found = _load(folder, name, now)
    if found and _issued_by(found.certificate, issuer.certificate) and set(addresses) <= _addresses(found.certificate):
        return
    key = ec.generate_private_key(ec.SECP256R1())
    _store(folder, name, make(key), key)


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # the library names a different error for every way in which it can fail
        return False
    return True


def _addresses(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(address) for address in names.get_values_for_type(x509.IPAddress)}


def _load(folder: Path, name: str, now: datetime) -> _Issuer | None:
    try:
        certificate = x509.load_pem_x509_certificate((folder / f"{name}.crt").read_bytes())
        key = serialization.load_pem_private_key((folder / f"{name}.key").read_bytes(), password=None)
    except (OSError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.not_valid_after_utc - RENEW_BEFORE < now:
        return None
    return _Issuer(certificate, key) if certificate.public_key() == key.public_key() else None


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    return builder.serial_number(x509.random_serial_number()).not_valid_before(now - _BACKDATE).not_valid_after(now + lifetime)


def _with_leaf_extensions(builder: x509.CertificateBuilder, issuer_key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    return builder.add_extension(_usage(signs=False), critical=True)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _store(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    _write(folder / f"{name}.key", _key_pem(key))
    _write(folder / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    temporary.replace(path)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()
