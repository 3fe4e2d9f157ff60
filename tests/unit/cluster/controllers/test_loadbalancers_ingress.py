from __future__ import annotations

from varka.cluster.controllers.loadbalancers import Allocation, ingress

SERVICE = {"spec": {"ports": [{"port": 80, "protocol": "TCP"}, {"port": 443, "protocol": "TCP"}]}}


def test_a_place_as_asked_for_names_no_ports() -> None:
    """The plain form of every cloud."""
    assert ingress(SERVICE, Allocation(ip="127.0.0.1", ports=((80, 80), (443, 443)))) == {"ip": "127.0.0.1", "ipMode": "VIP"}


def test_a_port_that_was_moved_carries_an_error() -> None:
    """The others are named without one."""
    assert ingress(SERVICE, Allocation(ip="127.0.0.1", ports=((80, 40001), (443, 443))))["ports"] == [
        {"port": 80, "protocol": "TCP", "error": "varka.dev/PortUnavailable"},
        {"port": 443, "protocol": "TCP"},
    ]
