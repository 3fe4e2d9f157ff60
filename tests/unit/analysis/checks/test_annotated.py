from __future__ import annotations

import pytest
from tests.builders.findings import found, kubernetes, texts

ANALYZER = "annotations.K8sAnalyzer"


@pytest.mark.parametrize(
    ("kind", "name", "value", "said"),
    [
        ("Service", "networking.istio.io/exportThree", "a", ["Unknown annotation: networking.istio.io/exportThree"]),
        ("Namespace", "kubernetes.io/ingress.class", "istio", ["Misplaced annotation: kubernetes.io/ingress.class can only be applied to Ingress"]),
        ("Pod", "status.sidecar.istio.io/port", "65536", ["Invalid annotation status.sidecar.istio.io/port: '65536' is no number from 0 to 65535"]),
        ("Pod", "sidecar.istio.io/interceptionMode", "TPROXY", []),
        ("Pod", "traffic.sidecar.istio.io/includeInboundPorts", "*", []),
        ("Pod", "traffic.sidecar.istio.io/excludeInboundPorts", "80, 443", []),
        (
            "Pod",
            "traffic.sidecar.istio.io/excludeOutboundIPRanges",
            "10.0.0.1",
            ["Invalid annotation traffic.sidecar.istio.io/excludeOutboundIPRanges: '10.0.0.1' is no IP range in CIDR form; write 10.0.0.1/32 for one address"],
        ),
        ("Pod", "prometheus.istio.io/merge-metrics", "perhaps", ["Invalid annotation prometheus.istio.io/merge-metrics: 'perhaps' is neither true nor false"]),
        ("Pod", "proxy.istio.io/config", "[]", ["Invalid annotation proxy.istio.io/config: must be a map of fields of ProxyConfig"]),
        ("Deployment", "galley.istio.io/analyze-suppress", "*", []),
        ("Pod", "example.com/anything", "x", []),
    ],
)
def test_places_and_values(kind: str, name: str, value: str, said: list[str]) -> None:
    """Every annotation of Istio's has its kinds and its values; those of others are their own business."""
    assert texts(ANALYZER, kubernetes(kind, "a", annotations={name: value})) == said


def test_deprecated_unless_the_label_is_there_too() -> None:
    """The annotation for injection gave way to a label; with both, somebody knows already."""
    pods = [
        kubernetes("Pod", name, annotations={"sidecar.istio.io/inject": "true"}, labels=labels)
        for name, labels in (("a", {}), ("b", {"sidecar.istio.io/inject": "true"}))
    ]
    assert found(ANALYZER, *pods) == ["IST0135 Pod default/a"]
