from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.fakes.api import FakeApi

from varka.cli.istioctl import main, session
from varka.cli.istioctl.main import Globals
from varka.client import resources
from varka.client.api import ApiError, Gvr, ObjectList

ROUTE = """apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: v
spec:
  hosts: [a.b]
  http:
  - route:
    - destination:
        host: web
"""
SERVICE = {"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}]}}


class Api(FakeApi):
    """Refuses to list some kinds, as a server does for want of a role."""

    def __init__(self) -> None:
        super().__init__()
        self.forbidden: set[Gvr] = set()

    async def list(self, gvr: Gvr, *args: Any, **more: Any) -> ObjectList:
        if gvr in self.forbidden:
            raise ApiError(403, "Forbidden", "no")
        return await super().list(gvr, *args, **more)


@pytest.fixture
def route(tmp_path: Path) -> str:
    """A file with a VirtualService to a host that is not there."""
    path = tmp_path / "route.yaml"
    path.write_text(ROUTE)
    return str(path)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Api:
    """A cluster with the namespaces default and istio-system."""
    api = Api()
    for name in ("default", "istio-system"):
        asyncio.run(api.create(resources.NAMESPACES, {"metadata": {"name": name, "labels": {"istio-injection": "enabled"}}}))

    def run(flags: Globals, work: Callable[[Any], Any]) -> Any:
        return asyncio.run(work(session.Session(api, flags, flags.namespace or "default")))  # type: ignore[arg-type]

    monkeypatch.setattr(session, "run", run)
    return api


def test_files_alone(route: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings with their lines on standard output, the verdict on standard error, exit code 79."""
    assert main.run(["analyze", "--use-kube=false", route]) == 79
    shown = capsys.readouterr()
    assert shown.out == f'Error [IST0101] (VirtualService default/v {route}:10) Referenced host not found: "web"\n'
    assert shown.err.startswith("Error: Analyzers found issues when analyzing all namespaces.\n")


@pytest.mark.parametrize(
    ("flags", "code"),
    [
        (["-S", "IST0101=VirtualService *.default"], 0),
        (["--output-threshold", "Error", "--failure-threshold", "error"], 79),
        (["-o", "json"], 0),
        (["-n", "other"], 79),
        (["--recursive=false", "--verbose=true"], 79),
        (["-o", "xml"], 64),
    ],
)
def test_exit_codes(route: str, flags: list[str], code: int) -> None:
    """79 for findings at the threshold, but for machine-readable output; 64 for wrong usage."""
    assert main.run(["analyze", "-k=false", route, *flags]) == code


def test_all_is_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing on standard output, the files by name on standard error."""
    path = tmp_path / "well.yaml"
    path.write_text("apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{name: http, port: 80}]}\n")
    assert main.run(["analyze", "--use-kube=false", str(path)]) == 0
    assert capsys.readouterr() == ("", f"✔ No validation issues found when analyzing {path}.\n")


def test_unreadable_documents(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """They are told of and make exit code 65, unless they are to be ignored."""
    path = tmp_path / "odd.yaml"
    path.write_text("foo: bar\n")
    assert main.run(["analyze", "--use-kube=false", str(path)]) == 65
    assert capsys.readouterr().err.splitlines() == [
        f"Error(s) adding files: {path} has a document without apiVersion and kind at line 1",
        "No validation issues found when analyzing all namespaces (but 1 part could not be parsed).",
        "Error: Some files couldn't be parsed.",
    ]
    assert main.run(["analyze", "--use-kube=false", "--ignore-unknown", str(path)]) == 0


def test_nothing_to_analyze() -> None:
    """Neither cluster nor files is wrong usage."""
    assert main.run(["analyze", "--use-kube=false"]) == 64


def test_mesh_configuration_of_a_file(tmp_path: Path, route: str, capsys: pytest.CaptureFixture[str]) -> None:
    """It decides, for example, which providers Telemetry has."""
    mesh, telemetry = tmp_path / "mesh.yaml", tmp_path / "t.yaml"
    mesh.write_text("defaultProviders: {accessLogging: [envoy]}\n")
    telemetry.write_text("apiVersion: telemetry.istio.io/v1\nkind: Telemetry\nmetadata: {name: t}\nspec: {accessLogging: [{}]}\n")
    assert main.run(["analyze", "--use-kube=false", str(telemetry)]) == 0
    assert "IST0157" in capsys.readouterr().out
    assert main.run(["analyze", "--use-kube=false", "--meshConfigFile", str(mesh), str(telemetry)]) == 0
    assert capsys.readouterr().out == ""


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every analyzer with what it checks."""
    assert main.run(["analyze", "-L"]) == 0
    assert "* virtualservice.GatewayAnalyzer:\n    Checks gateways of VirtualServices\n" in capsys.readouterr().out


def test_cluster_with_files_on_top(cluster: Api, route: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A file counts as applied: what it refers to may be in the cluster."""
    assert main.run(["analyze", route]) == 79
    asyncio.run(cluster.create(resources.SERVICES, SERVICE, "default"))
    capsys.readouterr()
    assert main.run(["analyze", route]) == 0
    assert capsys.readouterr() == ("", f"✔ No validation issues found when analyzing {route}.\n")


def test_cluster_alone(cluster: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """One namespace, or all; one that is not there is told of."""
    assert main.run(["analyze"]) == 0
    assert capsys.readouterr().err == "✔ No validation issues found when analyzing namespace: default.\n"
    assert main.run(["analyze", "-A"]) == 0
    assert capsys.readouterr().err == "✔ No validation issues found when analyzing all namespaces.\n"
    assert main.run(["analyze", "-n", "none"]) == 0
    assert capsys.readouterr().err == 'namespace "none" not found\n'


def test_kinds_that_may_not_be_read(cluster: Api, capsys: pytest.CaptureFixture[str]) -> None:
    """The analysis goes without them, and says so."""
    cluster.forbidden.add(resources.SECRETS)
    assert main.run(["analyze"]) == 0
    assert capsys.readouterr().err.splitlines()[0] == "Warning: secrets may not be read; what depends on them is analyzed as if there were none"


def test_mesh_configuration_of_a_revision(cluster: Api, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each revision has its own; resources labelled for another one are left out."""
    data = {"mesh": "defaultProviders: {accessLogging: [envoy]}"}
    asyncio.run(cluster.create(resources.CONFIGMAPS, {"metadata": {"name": "istio-canary"}, "data": data}, "istio-system"))
    telemetries = Gvr("telemetry.istio.io", "v1alpha1", "telemetries")
    asyncio.run(cluster.create(telemetries, {"metadata": {"name": "t"}, "spec": {"accessLogging": [{}]}}, "default"))
    main.run(["analyze", "-o", "json"])
    assert [one["code"] for one in json.loads(capsys.readouterr().out)] == ["IST0157"]
    main.run(["analyze", "-o", "json", "--revision", "canary"])
    assert json.loads(capsys.readouterr().out) == []
    asyncio.run(cluster.create(telemetries, {"metadata": {"name": "u", "labels": {"istio.io/rev": "other"}}, "spec": {"accessLogging": [{}]}}, "default"))
    main.run(["analyze", "-o", "json"])
    assert [one["origin"] for one in json.loads(capsys.readouterr().out)] == ["Telemetry default/t"]


def test_unknown_code(route: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A suppression of a code that nobody knows is warned of."""
    main.run(["analyze", "--use-kube=false", route, "-S", "IST9999=*"])
    assert capsys.readouterr().err.splitlines()[0] == "Warning: Supplied message code 'IST9999' is an unknown message code and will not have any effect."
