from __future__ import annotations

from tests.builders.findings import found, kubernetes, texts
from tests.builders.meshobjects import istio, pod, service

SELECTED, CERTIFICATES = "destinationrule.PodNotSelectedAnalyzer", "destinationrule.CaCertificateAnalyzer"


def _rule(host: str, *subsets: dict[str, object], namespace: str = "default", **spec: object) -> dict[str, object]:
    return istio("DestinationRule", "d", {"host": host, "subsets": list(subsets), **spec}, namespace)


def test_host_of_nobody() -> None:
    """A host that is no service, and one that its owner does not show, are told of; a wildcard over services is not."""
    hidden = service("hidden", namespace="other", annotations={"networking.istio.io/exportTo": "."})
    assert found(SELECTED, service("web"), _rule("nobody")) == ["IST0174 DestinationRule default/d"]
    assert found(SELECTED, hidden, _rule("hidden.other.svc.cluster.local")) == ["IST0174 DestinationRule default/d"]
    assert found(SELECTED, service("web"), _rule("*.default.svc.cluster.local")) == []


def test_subset_without_pods() -> None:
    """Only the pods of the service itself count."""
    pods = (pod("web", "10.0.0.1", labels={"version": "v1"}), pod("other", "10.0.0.2", labels={"version": "v2"}))
    subsets = [{"name": name, "labels": {"version": name}} for name in ("v1", "v2")]
    assert texts(SELECTED, service("web"), *pods, _rule("web", *subsets)) == [
        "The Subset v2 defined in the DestinationRule does not select any pods. Which may lead to 503 UH (NoHealthyUpstream)."
    ]


def test_subset_by_place() -> None:
    """Endpoints carry the region, zone and name of their node as labels."""
    node = kubernetes("Node", "n1", {}, "", labels={"topology.kubernetes.io/zone": "z1"})
    subsets = [{"name": zone, "labels": {"topology.kubernetes.io/zone": zone}} for zone in ("z1", "z2")]
    assert found(SELECTED, service("web"), node, pod("web", "10.0.0.1", nodeName="n1"), _rule("web", *subsets)) == ["IST0173 DestinationRule default/d"]


def test_server_that_nobody_checks() -> None:
    """TLS without caCertificates; a credentialName serves where a selector says whose it is."""
    assert found(CERTIFICATES, _rule("a.b", trafficPolicy={"tls": {"mode": "SIMPLE"}})) == ["IST0128 DestinationRule default/d"]
    assert found(CERTIFICATES, _rule("a.b", trafficPolicy={"portLevelSettings": [{"port": {"number": 1}, "tls": {"mode": "MUTUAL"}}]})) == [
        "IST0129 DestinationRule default/d"
    ]
    named = {"tls": {"mode": "SIMPLE", "credentialName": "c"}}
    assert found(CERTIFICATES, _rule("a.b", trafficPolicy=named, workloadSelector={"matchLabels": {"app": "x"}})) == []
