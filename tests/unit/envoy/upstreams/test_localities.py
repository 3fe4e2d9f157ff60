from __future__ import annotations

from tests.builders import views

from varka.envoy.upstreams import localities
from varka.model.traffic import LoadBalancer, LocalityLb, OutlierDetection, TrafficPolicy

WEB = views.service("web")
ENDPOINTS = [views.endpoint(WEB, 9080, f"10.0.0.{number}", locality=place) for number, place in enumerate(("r1/z1", "r1/z2", "r2/z1"))]
FAILING = OutlierDetection(consecutive_5xx=5)


def ranks(policy: TrafficPolicy, own: str) -> dict[str, tuple[int, int]]:
    return {group.locality: (group.priority, group.weight) for group in localities.arrange(ENDPOINTS, policy, localities.Viewpoint(locality=own))}


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


def test_the_named_region_takes_over() -> None:
    """Of the other regions the one named for failover comes before the rest."""
    found = ranks(TrafficPolicy(outlier_detection=FAILING, load_balancer=LoadBalancer(locality=LocalityLb(failover={"r9": "r2"}))), "r9/z1")
    assert [found[place][0] for place in ("r1/z1", "r1/z2", "r2/z1")] == [1, 1, 0]


def test_a_subzone_that_the_proxy_does_not_have_is_another_one() -> None:
    """A locality is compared as a whole, so the same zone without a subzone is not the same place."""
    near = [views.endpoint(WEB, 9080, "10.0.1.1", locality="r1/z1"), views.endpoint(WEB, 9080, "10.0.1.2", locality="r1/z1/s1")]
    found = localities.arrange(near, TrafficPolicy(outlier_detection=FAILING), localities.Viewpoint(locality="r1/z1"))
    assert [(group.locality, group.priority) for group in found] == [("r1/z1", 0), ("r1/z1/s1", 1)]


def test_labels_decide_in_their_order() -> None:
    """All labels shared, then the first only, then none; endpoints of one locality may differ."""
    labels = ({"net": "a", "version": "v1"}, {"net": "a", "version": "v2"}, {"net": "b", "version": "v1"})
    near = [views.endpoint(WEB, 9080, f"10.0.2.{number}", locality="r1", labels=found) for number, found in enumerate(labels)]
    settings = LoadBalancer(locality=LocalityLb(failover_priority=("net", "version=v1")))
    own = localities.Viewpoint(labels=(("net", "a"),))
    found = localities.arrange(near, TrafficPolicy(outlier_detection=FAILING, load_balancer=settings), own)
    assert [(group.priority, [endpoint.address for endpoint in group.endpoints]) for group in found] == [
        (0, ["10.0.2.0"]),
        (1, ["10.0.2.1"]),
        (2, ["10.0.2.2"]),
    ]


def test_places_count_as_labels() -> None:
    """`topology.kubernetes.io/region` compares the regions of proxy and endpoint."""
    settings = LoadBalancer(locality=LocalityLb(failover_priority=("topology.kubernetes.io/region",)))
    own = localities.Viewpoint(labels=(("topology.kubernetes.io/region", "r2"),))
    found = localities.arrange(ENDPOINTS, TrafficPolicy(outlier_detection=FAILING, load_balancer=settings), own)
    assert [(group.locality, group.priority) for group in found] == [("r2/z1", 0), ("r1/z1", 1), ("r1/z2", 1)]


def test_the_meshs_preference_holds_where_no_rule_has_one() -> None:
    """`localityLbSetting` of the mesh shares requests out, unless the DestinationRule says otherwise."""
    own = localities.Viewpoint(locality="r1/z1", default=LocalityLb(distribute={"r1/*": {"r1/z1": 70, "r2/*": 30}}))
    assert {group.locality: group.weight for group in localities.arrange(ENDPOINTS, TrafficPolicy(), own)} == {"r1/z1": 70, "r2/z1": 30}
    off = TrafficPolicy(load_balancer=LoadBalancer(locality=LocalityLb(enabled=False)))
    assert [group.locality for group in localities.arrange(ENDPOINTS, off, own)] == ["r1/z1", "r1/z2", "r2/z1"]


def test_near_endpoints_first() -> None:
    """A service that prefers near endpoints has them ranked without outlier detection."""
    own = localities.Viewpoint(locality="r1/z1")
    assert [group.priority for group in localities.arrange(ENDPOINTS, TrafficPolicy(), own, near=True)] == [0, 1, 2]
