"""The cluster's certificates on disk."""

from __future__ import annotations

import base64
import json
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from varka.cluster.apiserver.access import certificates

NOW = datetime.now(UTC)


def names(path: Path) -> tuple[list[str], list[str]]:
    """DNS names and addresses of a certificate."""
    extension = x509.load_pem_x509_certificate(path.read_bytes()).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return extension.get_values_for_type(x509.DNSName), [str(address) for address in extension.get_values_for_type(x509.IPAddress)]


def test_server_names(tmp_path: Path) -> None:
    """The server certificate has all names and addresses under which the API server is reached."""
    certificates.ensure(tmp_path / "pki", NOW, ("127.0.0.9",))
    dns, addresses = names(tmp_path / "pki" / "apiserver.crt")
    assert dns == ["localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"]
    assert addresses == ["127.0.0.1", "::1", "10.96.0.1", "127.0.0.9"]


def test_files_are_private(tmp_path: Path) -> None:
    """Every file has mode 0600."""
    certificates.ensure(tmp_path, NOW)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["admin.crt", "admin.key", "apiserver.crt", "apiserver.key", "ca.crt", "ca.key", "sa.key"]


def test_made_once(tmp_path: Path) -> None:
    """A second start finds everything as the first left it."""
    certificates.ensure(tmp_path, NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    certificates.ensure(tmp_path, NOW + timedelta(days=100))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_expiring_leaves_are_replaced(tmp_path: Path) -> None:
    """Leaves that are about to expire are made anew by the same authority, and the token key stays."""
    certificates.ensure(tmp_path, NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    certificates.ensure(tmp_path, NOW + timedelta(days=340))
    changed = {path.name for path in tmp_path.iterdir() if path.read_bytes() != before[path.name]}
    assert changed == {"admin.crt", "admin.key", "apiserver.crt", "apiserver.key"}


def test_new_address_replaces_the_server_certificate(tmp_path: Path) -> None:
    """An address that the certificate lacks brings a new server certificate, and nothing else."""
    certificates.ensure(tmp_path, NOW)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    certificates.ensure(tmp_path, NOW, ("10.1.2.3",))
    assert {path.name for path in tmp_path.iterdir() if path.read_bytes() != before[path.name]} == {"apiserver.crt", "apiserver.key"}


def test_lost_authority(tmp_path: Path) -> None:
    """Without its authority no leaf is kept."""
    certificates.ensure(tmp_path, NOW)
    before = (tmp_path / "admin.crt").read_bytes()
    (tmp_path / "ca.key").unlink()
    pki = certificates.ensure(tmp_path, NOW)
    assert pki.admin_crt != before
    x509.load_pem_x509_certificate(pki.admin_crt).verify_directly_issued_by(x509.load_pem_x509_certificate(pki.ca_crt))


def test_admin_is_master(tmp_path: Path) -> None:
    """The administrator's certificate names the group system:masters."""
    pki = certificates.ensure(tmp_path, NOW)
    assert x509.load_pem_x509_certificate(pki.admin_crt).subject.rfc4514_string() == "CN=kubernetes-admin,O=system:masters"


def test_kubeconfig(tmp_path: Path) -> None:
    """The kubeconfig carries all certificates and is written with mode 0600."""
    pki = certificates.ensure(tmp_path / "pki", NOW)
    config = certificates.kubeconfig(pki, "https://127.0.0.1:6443", "lab")
    assert config["current-context"] == "lab"
    assert base64.b64decode(config["clusters"][0]["cluster"]["certificate-authority-data"]) == pki.ca_crt
    assert base64.b64decode(config["users"][0]["user"]["client-key-data"]) == pki.admin_key
    certificates.write_kubeconfig(tmp_path / "kubeconfig", config)
    assert json.loads((tmp_path / "kubeconfig").read_text()) == config
    assert stat.S_IMODE((tmp_path / "kubeconfig").stat().st_mode) == 0o600


def test_handshake(tmp_path: Path) -> None:
    """Both contexts find together, and the server learns the client's name."""
    pki = certificates.ensure(tmp_path, NOW)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = certificates.server_context(pki).wrap_bio(to_server, to_client, server_side=True)
    client = certificates.client_context(pki).wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    for _ in range(4):
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                continue
    peer = server.getpeercert()
    assert peer is not None
    assert (("commonName", "kubernetes-admin"),) in peer["subject"]
