from __future__ import annotations

from typing import Any

import pytest
from tests.builders.findings import found, texts
from tests.builders.meshobjects import istio, pod

CONFLICTS = "gateway.ConflictingGatewayAnalyzer"
BOTH = ["IST0145 Gateway default/one", "IST0145 Gateway default/two"]


def _gateway(name: str, host: str = "a.b", number: int = 80, namespace: str = "default", **selector: str) -> dict[str, Any]:
    server = {"port": {"number": number, "name": "http", "protocol": "HTTP"}, "hosts": [host]}
    return istio("Gateway", name, {"selector": selector or {"istio": "in"}, "servers": [server]}, namespace)


def test_the_same_host_on_the_same_port() -> None:
    """Both are told, with each other's names."""
    assert found(CONFLICTS, _gateway("one"), _gateway("two")) == BOTH
    assert "Conflict with gateways default/two (workload selector istio=in, port 80, hosts a.b)." in texts(CONFLICTS, _gateway("one"), _gateway("two"))


@pytest.mark.parametrize("other", [_gateway("two", "c.d"), _gateway("two", number=81), _gateway("two", istio="out")])
def test_what_is_apart(other: dict[str, Any]) -> None:
    """Another host, another port, other pods."""
    assert found(CONFLICTS, _gateway("one"), other) == []


def test_different_selectors_of_the_same_pod() -> None:
    """What counts is whether a pod is picked by both."""
    wide, narrow = _gateway("one", istio="in"), _gateway("two", istio="in", app="gw")
    assert found(CONFLICTS, wide, narrow) == []
    assert found(CONFLICTS, wide, narrow, pod("gw", "10.0.0.1", labels={"istio": "in"})) == BOTH


def test_hosts_for_namespaces() -> None:
    """The same name for the routes of different namespaces is no conflict; for those of all namespaces it is."""
    assert found(CONFLICTS, _gateway("one", "x/a.b"), _gateway("two", "y/a.b")) == []
    assert found(CONFLICTS, _gateway("one", "x/a.b"), _gateway("two", "*/a.b")) == BOTH
