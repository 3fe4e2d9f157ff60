from __future__ import annotations

from tests.builders.findings import found, kubernetes, texts
from tests.builders.meshobjects import istio

ANALYZER = "deprecation.FieldAnalyzer"


def test_delay_by_a_whole_number() -> None:
    """`percent` gave way to `percentage`."""
    rule = {"fault": {"delay": {"percent": 10, "fixedDelay": "1s"}}, "route": [{"destination": {"host": "x"}}]}
    said = texts(ANALYZER, istio("VirtualService", "v", {"hosts": ["a.b"], "http": [rule]}))
    assert said == ["Deprecated: HTTPRoute.fault.delay.percent is deprecated; use HTTPRoute.fault.delay.percentage"]


def test_egress_proxy_of_a_sidecar() -> None:
    """It has no effect."""
    policy = {"outboundTrafficPolicy": {"mode": "ALLOW_ANY", "egressProxy": {"host": "x"}}}
    assert texts(ANALYZER, istio("Sidecar", "s", policy)) == ["Deprecated: OutboundTrafficPolicy.EgressProxy ignored"]


def test_removed_kind() -> None:
    """A definition of a kind that Istio has removed."""
    made = [
        kubernetes("CustomResourceDefinition", kind.lower(), {"group": group, "names": {"kind": kind}}, "", "apiextensions.k8s.io/v1")
        for group, kind in (("rbac.istio.io", "ServiceRole"), ("example.com", "ServiceRole"))
    ]
    assert found(ANALYZER, *made) == ["IST0002 CustomResourceDefinition servicerole"]
