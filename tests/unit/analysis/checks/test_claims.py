from __future__ import annotations

import pytest
from tests.builders.findings import found
from tests.builders.meshobjects import istio, pod

ANALYZER = "virtualservice.JWTClaimRouteAnalyzer"
GATEWAY = istio("Gateway", "gw", {"selector": {"app": "edge"}, "servers": []})


def _route(gateways: list[str], field: str = "headers") -> dict[str, object]:
    match = {field: {"@request.auth.claims.group": {"exact": "admin"}}}
    return istio("VirtualService", "v", {"hosts": ["a.b"], "gateways": gateways, "http": [{"match": [match], "route": [{"destination": {"host": "x"}}]}]})


@pytest.mark.parametrize("field", ["headers", "withoutHeaders"])
def test_gateway_without_authentication(field: str) -> None:
    """A route by claims needs a RequestAuthentication for each pod of its gateways."""
    assert found(ANALYZER, GATEWAY, pod("edge", "10.0.0.1"), _route(["gw"], field)) == ["IST0149 VirtualService default/v"]


@pytest.mark.parametrize(("where", "labels"), [("default", {"app": "edge"}), ("istio-system", {})])
def test_gateway_with_authentication(where: str, labels: dict[str, str]) -> None:
    """It may stand beside the pod or in the root namespace."""
    policy = istio("RequestAuthentication", "r", {"selector": {"matchLabels": labels}}, where)
    assert found(ANALYZER, GATEWAY, pod("edge", "10.0.0.1"), _route(["gw"]), policy) == []


def test_sidecars_are_not_meant() -> None:
    """The mesh's own proxies and unknown gateways are left to other analyzers."""
    assert found(ANALYZER, GATEWAY, pod("edge", "10.0.0.1"), _route(["mesh", "other"])) == []
