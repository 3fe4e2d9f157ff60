from __future__ import annotations

from typing import Any

from varka.cluster import forwards
from varka.cluster.network import forwarding


def service(kind: str = "LoadBalancer", **spec: Any) -> dict[str, Any]:
    """A service with a TCP and a UDP port."""
    ports = [{"port": 80, "nodePort": 30080, "protocol": "TCP"}, {"port": 53, "protocol": "UDP"}]
    return {"metadata": {"name": "gw", "namespace": "default"}, "spec": {"type": kind, "clusterIP": "10.96.0.7", "ports": ports, **spec}}


def test_a_load_balancer_wants_its_tcp_ports_and_node_ports() -> None:
    """UDP is not forwarded."""
    assert forwarding.wishes(service(), "10.244.0.1") == [
        forwards.Wish(id="default/gw", target="10.96.0.7", ports=(80,)),
        forwards.Wish(id="nodeport/default/gw", target="10.244.0.1", ports=(30080,), fixed=True),
    ]


def test_a_cluster_service_wants_nothing() -> None:
    """It is reached from inside only."""
    assert forwarding.wishes(service("ClusterIP"), "10.244.0.1") == []
