from __future__ import annotations

import pytest

from varka.base.errors import VarkaError
from varka.telemetry.addons import kiali
from varka.telemetry.graph.topology import GraphType


def test_settings_are_those_of_kialis_file() -> None:
    """What is not given has Kiali's defaults; what is about pages is left unread."""
    text = """
auth: {strategy: anonymous}
external_services: {prometheus: {url: "http://p:1"}, tracing: {enabled: false}}
server: {port: 81, web_root: /mesh/, observability: {metrics: {port: 82}}}
"""
    assert kiali.load(text) == kiali.Settings(port=81, web_root="/mesh", metrics_port=82, prometheus="http://p:1")
    assert kiali.load("") == kiali.Settings()
    assert kiali.load("server: {web_root: /}").web_root == ""


@pytest.mark.parametrize("text", ["[", "server: 3", "server: {port: many}", "- a"])
def test_a_file_that_cannot_be_read_is_told(text: str) -> None:
    """Instead of starting with settings that nobody wanted."""
    with pytest.raises(VarkaError, match="the configuration cannot be read"):
        kiali.load(text)


def test_the_query_becomes_a_wish() -> None:
    """Kiali's parameters."""
    query = {
        "namespaces": "b,a",
        "graphType": "versionedApp",
        "duration": "60s",
        "queryTime": "1700000000",
        "injectServiceNodes": "true",
        "boxBy": "app,namespace",
        "appenders": "deadNode",
    }
    wish, boxes = kiali.wish_of(query, 5.0)
    assert (wish.type, wish.namespaces, wish.seconds, wish.time) == (GraphType.VERSIONED_APP, ("a", "b"), 60, 1_700_000_000.0)
    assert (wish.inject_services, wish.idle_edges, wish.idle_nodes) == (True, False, False)
    assert boxes == ("app", "namespace")
    plain, _ = kiali.wish_of({}, 5.0)
    assert (plain.type, plain.namespaces, plain.seconds, plain.time, plain.idle_nodes) == (GraphType.WORKLOAD, (), 600, 5.0, True)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"graphType": "pie"}, "graphType 'pie' is none of workload, app, versionedApp, service"),
        ({"duration": "long"}, "duration: "),
        ({"duration": "0s"}, "duration must be between"),
        ({"queryTime": "now"}, "queryTime 'now'"),
        ({"boxBy": "colour"}, "boxBy 'colour'"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(query: dict[str, str], message: str) -> None:
    """The answer is 400 with this text."""
    with pytest.raises(ValueError, match=message):
        kiali.wish_of(query, 0.0)
