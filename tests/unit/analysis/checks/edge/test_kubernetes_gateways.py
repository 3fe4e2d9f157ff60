from __future__ import annotations

import pytest
from tests.builders.findings import found
from tests.builders.meshobjects import istio, pod

ANALYZER = "k8sgateway.SelectorAnalyzer"
PROXY = pod("gw", "10.0.0.1", labels={"gateway.networking.k8s.io/gateway-name": "front"})


@pytest.mark.parametrize("kind", ["AuthorizationPolicy", "RequestAuthentication", "Telemetry", "WasmPlugin"])
def test_selector_for_a_gateway(kind: str) -> None:
    """Proxies of the Gateway API are reached by targetRefs, not by labels."""
    spec = {"selector": {"matchLabels": {"app": "gw"}}, **({"url": "file:///x"} if kind == "WasmPlugin" else {})}
    assert found(ANALYZER, PROXY, istio(kind, "x", spec)) == [f"IST0166 {kind} default/x"]
    assert found(ANALYZER, pod("gw", "10.0.0.1"), istio(kind, "x", spec)) == []
    assert found(ANALYZER, PROXY, istio(kind, "x", spec, "other")) == []
