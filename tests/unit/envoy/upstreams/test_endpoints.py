from __future__ import annotations

from envoy.config.endpoint.v3 import endpoint_pb2
from msgspec.structs import replace
from tests.builders import views

from varka.envoy.upstreams import endpoints

WEB = views.service("web")
GATEWAYS = {"far": (("192.0.2.1", 15443), ("192.0.2.2", 15443))}


def seen(network: str) -> list[tuple[str, int, int]]:
    """Address, port and weight of what a proxy on a network gets for a service with endpoints on three networks."""
    known = [
        views.endpoint(WEB, 9080, "10.0.0.1", network="near"),
        views.endpoint(WEB, 9080, "10.0.0.2", network="far"),
        views.endpoint(WEB, 9080, "10.0.0.3", network="far", weight=2),
        views.endpoint(WEB, 9080, "10.0.0.4", network="far", mutual_tls=False),
        views.endpoint(WEB, 9080, "10.0.0.5", network="without-gateway"),
    ]
    view = views.view(replace(views.sidecar(), network=network), views.outbound([WEB], known), network_gateways=GATEWAYS)
    (resource,) = endpoints.outbound(view.outbound, endpoints.viewpoint(view))
    found = endpoint_pb2.ClusterLoadAssignment.FromString(resource.body)
    items = [item for group in found.endpoints for item in group.lb_endpoints]
    return [(item.endpoint.address.socket_address.address, item.endpoint.address.socket_address.port_value, item.load_balancing_weight.value) for item in items]


def test_another_network_is_reached_through_its_gateways() -> None:
    """They stand for all endpoints there that take mutual TLS, with their weight; the others cannot be reached."""
    assert seen("near") == [("10.0.0.1", 9080, 1), ("10.0.0.5", 9080, 1), ("192.0.2.1", 15443, 3), ("192.0.2.2", 15443, 3)]


def test_the_own_network_is_reached_directly() -> None:
    """A proxy on the network itself needs no gateway, and one that names no network takes every address as it is."""
    direct = [("10.0.0.1", 9080, 1), ("10.0.0.2", 9080, 1), ("10.0.0.3", 9080, 2), ("10.0.0.4", 9080, 1), ("10.0.0.5", 9080, 1)]
    assert seen("far") == direct
    assert seen("") == direct
