from __future__ import annotations

from pathlib import Path

import pytest

from varka.agent import envoy_command, outside
from varka.base.errors import VarkaError
from varka.envoy import bootstrap

ENV = """
ISTIO_METAJSON_LABELS='{"app":"vm"}'
ISTIO_META_NETWORK=''
ISTIO_META_WORKLOAD_NAME='vm'
ISTIO_SVC_IP='203.0.113.5'
POD_NAMESPACE='shop'
SERVICE_ACCOUNT='vm'
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What `istioctl x workload entry configure` writes."""
    (tmp_path / "cluster.env").write_text(ENV)
    (tmp_path / "mesh.yaml").write_text("defaultConfig: {discoveryAddress: 'istiod.istio-system.svc:15012', proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}")
    (tmp_path / "root-cert.pem").write_text("root")
    (tmp_path / "istio-token").write_text("token")
    (tmp_path / "hosts").write_text("127.0.0.7 istiod.istio-system.svc\n")
    return tmp_path


def test_settings_of_the_folder(folder: Path) -> None:
    """Who the workload is and where its control plane is; nothing is redirected, so neither is DNS."""
    found = outside.settings(folder, [])
    assert (found.namespace, found.service_account, found.ip, found.pod) == ("shop", "vm", "203.0.113.5", "vm-203.0.113.5")
    assert (found.discovery, found.discovery_ip, found.home) == (("istiod.istio-system.svc", 15012), "127.0.0.7", str(folder))
    assert not found.redirected and not found.captures_dns


def test_files_are_where_a_proxy_looks(folder: Path) -> None:
    """A fresh token in the folder is the token in use; labels come with the node."""
    found = outside.settings(folder, [])
    outside.prepare(folder, found)
    outside.prepare(folder, found)
    (folder / "istio-token").write_text("fresh")
    assert (folder / "var/run/secrets/tokens/istio-token").read_text() == "fresh"
    assert (folder / "var/run/secrets/istio/root-cert.pem").read_text() == "root"
    assert envoy_command.of_pod(found, folder).labels == {"app": "vm"}


def test_bootstrap_of_an_ordinary_user(folder: Path) -> None:
    """No socket is marked, which would take rights; the control plane is found by address, and trusted by name."""
    made = bootstrap.dumps(envoy_command.of_pod(outside.settings(folder, []), folder))
    assert "1337" not in made
    assert '"address": "127.0.0.7"' in made
    assert f"{folder}/var/run/secrets/workload-spiffe-uds/socket" in made


@pytest.mark.parametrize("name", outside.FILES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    """With the command that writes it."""
    (folder / name).unlink()
    with pytest.raises(VarkaError, match=name) as raised:
        outside.settings(folder, [])
    assert "configure" in raised.value.hint


@pytest.mark.parametrize(("name", "text"), [("cluster.env", "nonsense"), ("mesh.yaml", "[1"), ("mesh.yaml", "a"), ("cluster.env", "A='b'")])
def test_a_damaged_file_is_told(folder: Path, name: str, text: str) -> None:
    """What cannot be read, or says too little."""
    (folder / name).write_text(text)
    with pytest.raises(VarkaError):
        outside.settings(folder, [])
