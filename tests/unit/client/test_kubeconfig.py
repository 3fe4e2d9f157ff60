from __future__ import annotations

import base64

import pytest
import yaml

from varka.base.errors import VarkaError
from varka.client import kubeconfig


def _write(path, name="one", **user):
    config = {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name, "namespace": f"ns-{name}"}}],
        "clusters": [{"name": name, "cluster": {"server": f"https://{name}:6443", "certificate-authority-data": base64.b64encode(b"CA").decode()}}],
        "users": [{"name": name, "user": user or {"token": "secret"}}],
    }
    path.write_text(yaml.safe_dump(config))
    return path


def test_the_current_context_is_used(tmp_path):
    """Server, CA, credentials and namespace come from the current context of KUBECONFIG."""
    target = kubeconfig.load(environment={"KUBECONFIG": str(_write(tmp_path / "config"))})
    assert (target.connection.server, target.connection.ca, target.connection.token) == ("https://one:6443", b"CA", "secret")
    assert (target.namespace, target.context) == ("ns-one", "one")


def test_the_home_folder_is_the_default(tmp_path):
    """Without KUBECONFIG the file is ~/.kube/config."""
    (tmp_path / ".kube").mkdir()
    _write(tmp_path / ".kube" / "config")
    assert kubeconfig.load(environment={"HOME": str(tmp_path)}, service_account=tmp_path).context == "one"


def test_several_files_are_merged(tmp_path):
    """The first file's current context wins, and contexts of all files can be chosen."""
    files = f"{_write(tmp_path / 'a', 'one')}:{_write(tmp_path / 'b', 'two')}:{tmp_path / 'absent'}"
    assert kubeconfig.load(environment={"KUBECONFIG": files}).context == "one"
    chosen = kubeconfig.load(environment={"KUBECONFIG": files}, context="two", namespace="mine")
    assert (chosen.connection.server, chosen.namespace) == ("https://two:6443", "mine")


def test_paths_are_relative_to_their_file(tmp_path):
    """Certificates and token files named by relative paths are found beside the kubeconfig."""
    (tmp_path / "client.crt").write_bytes(b"CRT")
    user = {"client-certificate": "client.crt", "client-key-data": base64.b64encode(b"KEY").decode(), "tokenFile": "token"}
    connection = kubeconfig.load(path=str(_write(tmp_path / "config", **user))).connection
    assert (connection.certificate, connection.key, connection.token_file) == (b"CRT", b"KEY", tmp_path / "token")


def test_a_pod_uses_its_service_account(tmp_path):
    """Inside a pod the server comes from the environment and the token from a file."""
    for name, text in {"token": "t", "ca.crt": "CA", "namespace": "istio-system\n"}.items():
        (tmp_path / name).write_text(text)
    environment = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443", "HOME": str(tmp_path)}
    target = kubeconfig.load(environment=environment, service_account=tmp_path)
    assert (target.connection.server, target.connection.ca, target.namespace) == ("https://10.96.0.1:443", b"CA", "istio-system")
    assert target.connection.token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"context": "three"}, "the context three is not in .*; choose one of: one"),
        ({"path": "/nowhere/config"}, "the kubeconfig /nowhere/config does not exist"),
    ],
)
def test_mistakes_say_what_to_do(tmp_path, change, message):
    """A wrong flag is answered with what is wrong and what can be chosen."""
    with pytest.raises(VarkaError, match=message):
        kubeconfig.load(**{"environment": {"KUBECONFIG": str(_write(tmp_path / "config"))}, **change})


def test_plugins_are_refused(tmp_path):
    """Credentials from a plugin are not supported, and that is said."""
    with pytest.raises(VarkaError, match="takes its credentials from a plugin"):
        kubeconfig.load(path=str(_write(tmp_path / "config", exec={"command": "aws"})))


def test_no_cluster_at_all_is_said(tmp_path):
    """Without any kubeconfig the error says how to get one."""
    with pytest.raises(VarkaError, match="varka env"):
        kubeconfig.load(environment={"HOME": str(tmp_path)}, service_account=tmp_path / "none")
