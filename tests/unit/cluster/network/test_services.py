from __future__ import annotations

from typing import Any

from varka.cluster.network import services
from varka.cluster.network.services import Backend, Frontend
from varka.cluster.settings import ClusterSettings

CONFIG = ClusterSettings()
API = {Frontend("10.96.0.1", "tcp", 443): Backend(endpoints=(("10.244.0.1", 6443),))}


def service(name: str = "web", **spec: Any) -> dict[str, Any]:
    """A service of one port."""
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {"clusterIP": "10.96.0.7", "ports": [{"port": 80, "name": "http"}], **spec}}


def piece(*addresses: str, ready: bool = True, name: str = "web", port: int = 8080) -> dict[str, Any]:
    """An EndpointSlice of that service."""
    return {
        "metadata": {"name": f"{name}-x", "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address in addresses],
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
    }


def test_a_service_leads_to_its_ready_endpoints_in_order_of_address() -> None:
    """Endpoints are sorted as numbers, so that the same input gives the same rules."""
    found = services.frontends([service()], [piece("10.244.0.10", "10.244.0.9")], CONFIG)
    assert found == {**API, Frontend("10.96.0.7", "tcp", 80): Backend(endpoints=(("10.244.0.9", 8080), ("10.244.0.10", 8080)))}


def test_a_service_without_ready_endpoints_has_no_frontend() -> None:
    """What has no frontend is refused by the rule for the whole range."""
    assert services.frontends([service()], [piece("10.244.0.9", ready=False)], CONFIG) == API


def test_endpoints_that_are_not_ready_count_when_the_service_publishes_them() -> None:
    """publishNotReadyAddresses overrides readiness."""
    found = services.frontends([service(publishNotReadyAddresses=True)], [piece("10.244.0.9", ready=False)], CONFIG)
    assert Frontend("10.96.0.7", "tcp", 80) in found


def test_a_headless_service_has_no_frontend() -> None:
    """clusterIP None is for DNS alone."""
    assert services.frontends([service(clusterIP="None")], [piece("10.244.0.9")], CONFIG) == API


def test_a_node_port_is_a_frontend_without_address() -> None:
    """It is served on the node's own address."""
    found = services.frontends([service(ports=[{"port": 80, "name": "http", "nodePort": 30080}])], [piece("10.244.0.9")], CONFIG)
    assert found[Frontend("", "tcp", 30080)] == Backend(endpoints=(("10.244.0.9", 8080),))


def test_a_new_frontend_is_a_chain_a_rule_and_an_element() -> None:
    """One group of commands that is complete in itself."""
    new = {Frontend("10.96.0.7", "tcp", 80): Backend(endpoints=(("10.244.0.9", 8080), ("10.244.0.10", 8080)))}
    assert services.changes({}, new) == [
        "add element ip varka hairpin { 10.244.0.10 . 10.244.0.10 }\n",
        "add element ip varka hairpin { 10.244.0.9 . 10.244.0.9 }\n",
        "add chain ip varka to_0a600007_tcp_80\n"
        "add rule ip varka to_0a600007_tcp_80 meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.244.0.9 . 8080, 1 : 10.244.0.10 . 8080 }\n"
        "add element ip varka services { 10.96.0.7 . tcp . 80 : goto to_0a600007_tcp_80 }\n",
    ]


def test_a_changed_backend_touches_only_its_own_chain() -> None:
    """Other services are not mentioned."""
    old = {
        Frontend("10.96.0.7", "tcp", 80): Backend(endpoints=(("10.244.0.9", 8080),)),
        Frontend("10.96.0.8", "tcp", 80): Backend(endpoints=(("10.244.0.9", 1),)),
    }
    new = {**old, Frontend("10.96.0.7", "tcp", 80): Backend(endpoints=(("10.244.0.9", 8081),))}
    assert services.changes(old, new) == [
        "flush chain ip varka to_0a600007_tcp_80\nadd rule ip varka to_0a600007_tcp_80 meta l4proto tcp dnat to 10.244.0.9:8081\n"
    ]


def test_nothing_changed_gives_no_commands() -> None:
    """Applying the same table again is free."""
    assert services.changes(API, dict(API)) == []


def test_a_frontend_that_is_gone_loses_element_and_chain() -> None:
    """The element goes first, since it refers to the chain."""
    old = {Frontend("", "tcp", 30080): Backend(endpoints=(("10.244.0.9", 8080),))}
    assert services.changes(old, {}) == [
        "delete element ip varka hairpin { 10.244.0.9 . 10.244.0.9 }\n",
        "delete element ip varka nodeports { tcp . 30080 }\nflush chain ip varka to_node_tcp_30080\ndelete chain ip varka to_node_tcp_30080\n",
    ]


def test_a_sticky_service_picks_by_the_clients_address() -> None:
    """sessionAffinity ClientIP hashes the source."""
    found = services.frontends([service(sessionAffinity="ClientIP")], [piece("10.244.0.9", "10.244.0.10")], CONFIG)
    assert "jhash ip saddr mod 2" in "".join(services.changes({}, found))


def test_transactions_join_groups_up_to_the_limit() -> None:
    """A group is never split, and none is lost."""
    assert services.transactions(["aaa", "bbb", "ccc", "dddddd"], limit=6) == ["aaabbb", "ccc", "dddddd"]


def test_known_reads_the_frontends_back_from_a_listing() -> None:
    """A restarted node finds out from the kernel which chains exist."""
    listing = "chain services {\n}\nchain to_0a600007_tcp_80 {\n}\nchain to_node_udp_30053 {\n}\n"
    assert set(services.known(listing)) == {Frontend("10.96.0.7", "tcp", 80), Frontend("", "udp", 30053)}


def test_without_egress_no_rule_leads_outside() -> None:
    """What is not rewritten is refused in the forward hook."""
    assert "15999" in services.base(ClusterSettings()) and "15999" not in services.base(ClusterSettings(egress=False))
