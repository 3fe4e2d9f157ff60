from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.fakes.api import FakeApi

from varka.cli.istioctl import kube_inject, main, session
from varka.cli.istioctl.main import Globals
from varka.client import resources

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: app, image: app}]}\n"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    """A cluster with an installation of defaults."""
    api = FakeApi()
    for name, data in (("istio", {"mesh": "trustDomain: cluster.local\n"}), ("istio-sidecar-injector", {"values": json.dumps({"global": {"tag": "1.28.2"}})})):
        asyncio.run(api.create(resources.CONFIGMAPS, {"metadata": {"name": name}, "data": data}, "istio-system"))

    def run(flags: Globals, work: Callable[[Any], Any]) -> Any:
        return asyncio.run(work(session.Session(api, flags, flags.namespace or "default")))  # type: ignore[arg-type]

    monkeypatch.setattr(session, "run", run)
    return api


@pytest.fixture
def pod(tmp_path: Path) -> str:
    """A file with a pod."""
    path = tmp_path / "pod.yaml"
    path.write_text(POD)
    return str(path)


def _names(text: str, field: str) -> list[str]:
    return [one["name"] for one in next(yaml.safe_load_all(text))["spec"].get(field, [])]


def _deploy(api: FakeApi, **env: str) -> None:
    container = {"name": "discovery", "env": [{"name": name, "value": value} for name, value in env.items()]}
    asyncio.run(
        api.create(resources.DEPLOYMENTS, {"metadata": {"name": "istiod"}, "spec": {"template": {"spec": {"containers": [container]}}}}, "istio-system")
    )


def test_sidecar_is_added(cluster: FakeApi, pod: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The proxy is a container beside the application's."""
    assert main.run(["kube-inject", "-f", pod]) == 0
    assert _names(capsys.readouterr().out, "containers") == ["app", "istio-proxy"]


@pytest.mark.parametrize(("value", "native"), [("true", True), ("false", False)])
def test_native_sidecars_as_the_webhook_has_them(cluster: FakeApi, pod: str, value: str, native: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The control plane's own environment decides, as it does for the webhook."""
    _deploy(cluster, ENABLE_NATIVE_SIDECARS=value)
    assert main.run(["kube-inject", "-f", pod]) == 0
    assert ("istio-proxy" in _names(capsys.readouterr().out, "initContainers")) is native


def test_native_sidecars_by_values() -> None:
    """So do the installation's values."""
    assert kube_inject.compose({}, {"pilot": {"env": {"ENABLE_NATIVE_SIDECARS": True}}}).native_sidecars
    assert not kube_inject.compose({}, {}).native_sidecars


def test_without_an_installation(cluster: FakeApi, pod: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The error says what to do."""
    assert main.run(["kube-inject", "-f", pod, "--revision", "canary"]) == 1
    assert "configmap 'istio-canary' not found in namespace 'istio-system'; install Istio with `istioctl install`" in capsys.readouterr().err


def test_files_in_place_of_the_cluster(tmp_path: Path, pod: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With both documents given, no cluster is asked."""
    for name, text in (("mesh", "{}"), ("values", '{"pilot": {"env": {"ENABLE_NATIVE_SIDECARS": "true"}}}')):
        (tmp_path / name).write_text(text)
    assert main.run(["kube-inject", "-f", pod, "--meshConfigFile", str(tmp_path / "mesh"), "--valuesFile", str(tmp_path / "values")]) == 0
    assert "istio-proxy" in _names(capsys.readouterr().out, "initContainers")
