"""Certificates on a real mesh: whose they are, how they replace each other under load, and authorities that people plug in."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.builders import plugged
from tests.system.clusters import Cluster, eventually
from tests.system.meshes import Mesh

LIFETIME = timedelta(seconds=12)
ROTATION_SECONDS = 60.0
ROOT = plugged.root("Example Corp")
FIRST = plugged.intermediate(ROOT, "first")
KEY_MARKS = (b"PRIVATE KEY-----", base64.b64encode(b"-----BEGIN PRIVATE KEY")[:24], base64.b64encode(b"-----BEGIN EC PRIVATE KEY")[:24])


def cacerts(files: dict[str, str]) -> str:
    """The Secret, as JSON."""
    return json.dumps({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cacerts", "namespace": "istio-system"}, "stringData": files})


def secret(mesh: Mesh, pod: Any, name: str, *path: str) -> list[x509.Certificate]:
    """The certificates of one of a proxy's secrets, as its Envoy holds them."""
    text = mesh.istioctl("proxy-config", "secret", pod["metadata"]["name"], "-n", pod["metadata"]["namespace"], "-o", "json")
    found = next(one for one in json.loads(text)["dynamicActiveSecrets"] if one["name"] == name)["secret"]
    for step in path:
        found = found[step]
    return x509.load_pem_x509_certificates(base64.b64decode(found["inlineBytes"]))


def chain(mesh: Mesh, pod: Any) -> list[x509.Certificate]:
    """A proxy's own certificate and what is above it."""
    return secret(mesh, pod, "default", "tlsCertificate", "certificateChain")


def trusted(mesh: Mesh, pod: Any) -> set[bytes]:
    """The roots that a proxy believes."""
    return {one.tbs_certificate_bytes for one in secret(mesh, pod, "ROOTCA", "validationContext", "trustedCa")}


def issuer(mesh: Mesh, pod: Any) -> str:
    """Who signed a proxy's certificate."""
    return chain(mesh, pod)[0].issuer.rfc4514_string()


def workloads(mesh: Mesh) -> list[Any]:
    """All pods with a proxy."""
    return [*mesh.pods("httpbin"), *mesh.pods("client"), *mesh.pods("istio-ingressgateway", "istio-system")]


@pytest.fixture(scope="module")
def mesh() -> Iterator[Mesh]:
    """One mesh with a plugged-in authority whose certificates live for seconds."""
    cluster = Cluster("certs")
    try:
        cluster.up()
        cluster.kubectl("create", "namespace", "istio-system")
        cluster.apply(cacerts(FIRST))
        made = Mesh(cluster)
        made.install("--set", f"meshConfig.certificateTTL={LIFETIME.seconds}s")
        yield made
    finally:
        cluster.destroy()


def test_chains_end_at_the_plugged_in_root(mesh: Mesh) -> None:
    """Leaf, intermediate, and the root of the Secret `cacerts` as what everybody believes."""
    (root,) = x509.load_pem_x509_certificates(ROOT.root_pem)
    for pod in workloads(mesh):
        leaf, above = chain(mesh, pod)
        leaf.verify_directly_issued_by(above)
        above.verify_directly_issued_by(root)
        assert trusted(mesh, pod) == {root.tbs_certificate_bytes}
    config_map = mesh.cluster.get("configmap", "-n", "faults", "istio-ca-root-cert")
    assert config_map["data"]["root-cert.pem"] == ROOT.root_pem.decode()


def test_certificates_say_who_a_workload_is_and_no_more(mesh: Mesh) -> None:
    """P-256, one URI as the only name, server and client use, no authority, and the lifetime of the mesh's setting."""
    leaf = chain(mesh, mesh.pods("client")[0])[0]
    key = leaf.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [one.value for one in names.value] == ["spiffe://cluster.local/ns/faults/sa/default"] and names.critical
    assert leaf.subject.rfc4514_string() == ""
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    assert abs((leaf.not_valid_after_utc - leaf.not_valid_before_utc - LIFETIME * 1.1).total_seconds()) <= 1


def test_certificates_replace_each_other_under_load(mesh: Mesh) -> None:
    """For a minute, every few seconds, in every proxy, and no request fails; each time is an Event."""
    seen: dict[str, set[int]] = {pod["metadata"]["name"]: set() for pod in workloads(mesh)}
    with mesh.requests():
        end = time.monotonic() + ROTATION_SECONDS
        while time.monotonic() < end:
            for pod in workloads(mesh):
                seen[pod["metadata"]["name"]].add(chain(mesh, pod)[0].serial_number)
            time.sleep(1)
    assert all(len(serials) >= 4 for serials in seen.values()), {name: len(serials) for name, serials in seen.items()}
    rotated = ("events", "--field-selector", "reason=SecretRotated")
    own = {event["involvedObject"]["name"] for event in mesh.cluster.get(*rotated, "-n", "faults")["items"]}
    assert own >= {pod["metadata"]["name"] for pod in [*mesh.pods("httpbin"), *mesh.pods("client")]}
    told = {event["message"] for event in mesh.cluster.get(*rotated, "-n", "istio-system")["items"]}
    assert {f"signed a new workload certificate for faults/{name}" for name in own} <= told


def test_another_intermediate_of_the_same_root_takes_over(mesh: Mesh) -> None:
    """The Secret is replaced at run time: without a restart every proxy's next certificate comes from it, and no request fails."""
    with mesh.requests():
        mesh.cluster.apply(cacerts(plugged.intermediate(ROOT, "second")))
        eventually(lambda: {issuer(mesh, pod) for pod in workloads(mesh)} == {"O=second"}, seconds=60, what="certificates of the second authority")
    assert all(status["restartCount"] == 0 for pod in mesh.pods("istiod", "istio-system") for status in pod["status"]["containerStatuses"])


def test_a_broken_secret_is_not_used(mesh: Mesh) -> None:
    """istiod says why, and goes on with what it has."""
    mesh.cluster.apply(cacerts({**plugged.intermediate(ROOT, "third"), "ca-key.pem": FIRST["ca-key.pem"]}))
    log = ("logs", "-n", "istio-system", "deploy/istiod")
    eventually(lambda: "ca-key.pem of the Secret cacerts is not the key of ca-cert.pem" in mesh.cluster.kubectl(*log).stdout, what="the complaint")
    pod = mesh.pods("client")[0]
    serial = chain(mesh, pod)[0].serial_number
    eventually(lambda: chain(mesh, pod)[0].serial_number != serial, seconds=30, what="the next certificate")
    assert issuer(mesh, pod) == "O=second"


def test_a_new_root_takes_over_in_two_steps(mesh: Mesh) -> None:
    """First everybody believes both roots, then the new one signs: no request fails at either."""
    new = plugged.root("New Corp")
    both = {x509.load_pem_x509_certificate(one.root_pem).tbs_certificate_bytes for one in (ROOT, new)}
    with mesh.requests():
        mesh.cluster.apply(cacerts(plugged.intermediate(ROOT, "fourth", ROOT.root_pem + new.root_pem)))
        eventually(lambda: all(trusted(mesh, pod) == both for pod in workloads(mesh)), seconds=60, what="both roots in every proxy")
        mesh.cluster.apply(cacerts(plugged.intermediate(new, "fifth", new.root_pem + ROOT.root_pem)))
        eventually(lambda: {issuer(mesh, pod) for pod in workloads(mesh)} == {"O=fifth"}, seconds=60, what="certificates under the new root")
        eventually(mesh.synced, seconds=30, what="proxies that are connected")
    mesh.cluster.kubectl("delete", "pod", "-n", "faults", mesh.pods("client")[0]["metadata"]["name"])
    mesh.ready()
    assert issuer(mesh, mesh.pods("client")[0]) == "O=fifth"


def test_no_private_key_of_a_workload_is_on_disk(mesh: Mesh) -> None:
    """Of the files of the cluster only its own API server's keys and the Secret `cacerts`, stored and in istiod's volume, have any."""
    folder = mesh.cluster.folder.root
    found = {str(path.relative_to(folder)) for path in files(folder) if holds_key(path)}
    assert {name for name in found if not name.startswith(("pki/", "store", "kubeconfig")) and "/volumes/cacerts/" not in name} == set()
    secrets = mesh.cluster.get("secrets,configmaps", "-A")["items"]
    assert {one["metadata"]["name"] for one in secrets if any(mark in json.dumps(one).encode() for mark in KEY_MARKS)} == {"cacerts"}
    for pod in mesh.pods("client"):
        searched = mesh.sh_in(
            pod,
            "istio-proxy",
            "sh",
            "-c",
            "{ grep -rlI 'PRIVATE KEY' /etc/istio /var/run/secrets /var/lib/istio; find /tmp -xdev -type f -exec grep -lI 'PRIVATE KEY' {} +; } 2>/dev/null; echo end",
        )
        assert searched == "end\n"


def files(folder: Path) -> Iterator[Path]:
    """Every ordinary file below a folder."""
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def holds_key(path: Path) -> bool:
    """Whether a file has a private key in it, as PEM or as base64 of PEM."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return any(mark in content for mark in KEY_MARKS)
