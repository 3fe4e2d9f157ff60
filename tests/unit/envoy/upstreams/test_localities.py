from __future__ import annotations

from tests.builders import views

from varka.envoy.upstreams import localities
from varka.model.traffic import LoadBalancer, LocalityLb, OutlierDetection, TrafficPolicy

WEB = views.service("web")
ENDPOINTS = [views.endpoint(WEB, 9080, f"10.0.0.{number}", locality=place) for number, place in enumerate(("r1/z1", "r1/z2", "r2/z1"))]
FAILING = OutlierDetection(consecutive_5xx=5)


def ranks(policy: TrafficPolicy, own: str) -> dict[str, tuple[int, int]]:
    return {group.locality: (group.priority, group.weight) for group in localities.arrange(ENDPOINTS, policy, own)}


def test_without_outlier_detection_all_are_equal() -> None:
    """Nothing tells that a locality has failed, so none is preferred."""
    assert {priority for priority, _ in ranks(TrafficPolicy(), "r1/z1").values()} == {0}


def test_nearest_first() -> None:
    """Own zone, own region, the rest."""
    found = ranks(TrafficPolicy(outlier_detection=FAILING), "r1/z1")
    assert [found[place][0] for place in ("r1/z1", "r1/z2", "r2/z1")] == [0, 1, 2]


def test_distribution() -> None:
    """Given shares replace ranks; localities without a share get nothing."""
    settings = LoadBalancer(locality=LocalityLb(distribute={"r1/*": {"r1/z1": 80, "r2/*": 20}}))
    found = ranks(TrafficPolicy(load_balancer=settings), "r1/z1")
    assert found == {"r1/z1": (0, 80), "r2/z1": (0, 20)}
