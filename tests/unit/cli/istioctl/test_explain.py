from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.builders import simulated
from tests.builders.simulated import istio, service

from varka.base.errors import VarkaError
from varka.cli.istioctl import explain, main
from varka.envoy import dump, generate

SPLIT = istio(
    "VirtualService",
    "web",
    """
    hosts: [web]
    http:
    - {name: beta, match: [{headers: {x-user: {exact: jason}}}], route: [{destination: {host: web, port: {number: 80}}}]}
    - {name: moved, match: [{uri: {prefix: /old}}], redirect: {uri: /new}}
    - {match: [{uri: {prefix: /api}}], route: [{destination: {host: web, subset: v2}}]}
    """,
)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """The config dump of a sidecar's Envoy, as its admin page shows it."""
    config = generate.generate(simulated.view(service("web", {"http": 80, "tcp-raw": 9000}) + SPLIT))
    listeners = [{"active_state": {"listener": dump.to_dict(item, proto_names=True)}} for item in config.listeners.values()]
    clusters = [{"cluster": dump.to_dict(item, proto_names=True)} for item in config.clusters.values()]
    routes = [{"route_config": dump.to_dict(item, proto_names=True)} for item in config.routes.values()]
    path = tmp_path / "dump.json"
    sections = [
        {"@type": "type.googleapis.com/envoy.admin.v3.ListenersConfigDump", "dynamic_listeners": listeners},
        {"@type": "type.googleapis.com/envoy.admin.v3.ClustersConfigDump", "dynamic_active_clusters": clusters},
        {"@type": "type.googleapis.com/envoy.admin.v3.RoutesConfigDump", "dynamic_route_configs": routes},
    ]
    path.write_text(json.dumps({"configs": sections}))
    return path


def ask(*arguments: str) -> Any:
    """The JSON of the command."""
    done = CliRunner().invoke(main.cli, ["explain", *arguments, "-o", "json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.output)


def test_headers_choose_a_rule(live: Path) -> None:
    """The rule whose header is given is met."""
    found = ask("-f", str(live), "http://web/", "-H", "x-user: jason")
    assert (found["listener"], found["route"], [item["name"] for item in found["clusters"]]) == (
        "0.0.0.0_80",
        "beta",
        ["outbound|80||web.default.svc.cluster.local"],
    )


def test_answers_of_the_proxy(live: Path) -> None:
    """A redirect and a missing rule are told."""
    assert ask("-f", str(live), "http://web/old/x")["answer"] == {"status": 301, "location": "http://web/new"}
    assert ask("-f", str(live), "http://web/else")["error"] == "NoRoute"


def test_a_cluster_that_is_missing(live: Path) -> None:
    """A subset that no DestinationRule has is told to be missing."""
    assert ask("-f", str(live), "http://web/api")["clusters"] == [{"name": "outbound|80|v2|web.default.svc.cluster.local", "percent": 100.0, "found": False}]


def test_bytes_by_address(live: Path) -> None:
    """A TCP call is told by its address."""
    assert ask("-f", str(live), "tcp://web:9000", "--address", "10.96.0.10")["clusters"][0]["name"] == "outbound|9000||web.default.svc.cluster.local"


def test_for_people(live: Path) -> None:
    """The verdict stands first, then each decision with its reason."""
    done = CliRunner().invoke(main.cli, ["explain", "-f", str(live), "http://web/", "-H", "x-user: jason"], catch_exceptions=False)
    lines = done.output.splitlines()
    assert lines[0] == "GET / http out to *:80 host web"
    assert lines[1] == "  goes to outbound|80||web.default.svc.cluster.local"
    assert any("matches path prefix /, header x-user" in line for line in lines)


@pytest.mark.parametrize("url", ["ftp://web", "http://", "http://web:port"])
def test_no_url(live: Path, url: str) -> None:
    """What is no URL is refused with the schemes that there are."""
    with pytest.raises(VarkaError, match="is no URL"):
        explain._parts(url)


def test_a_port_is_needed(live: Path) -> None:
    """A scheme without a usual port asks for one."""
    with pytest.raises(VarkaError, match="names no port"):
        ask("-f", str(live), "tcp://web")
