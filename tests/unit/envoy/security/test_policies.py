from __future__ import annotations

from msgspec.structs import replace
from tests.builders import views

from varka.envoy.security import policies
from varka.model.traffic import ClientTls, ConnectionPool, DestinationRule, LbAlgorithm, LoadBalancer, RetryBudget, Subset, TlsMode, TrafficPolicy, Tunnel

ROBIN = LoadBalancer(algorithm=LbAlgorithm.ROUND_ROBIN)
POOL = ConnectionPool(max_connections=7)
OFF = ClientTls(mode=TlsMode.DISABLE)
RULE = DestinationRule(
    name="r",
    namespace="default",
    host=views.host("web"),
    policy=TrafficPolicy(load_balancer=ROBIN, connection_pool=POOL, ports={81: TrafficPolicy(tls=OFF)}),
    subsets=(Subset(name="v1", labels={}, policy=TrafficPolicy(tls=OFF)),),
)


def test_subset_overrides_field_by_field() -> None:
    """What the subset does not say, the rule says."""
    found = policies.merged(RULE, 80, "v1")
    assert (found.load_balancer, found.connection_pool, found.tls) == (ROBIN, POOL, OFF)


def test_port_replaces_everything() -> None:
    """What a port's policy leaves out is the default, not the rule's."""
    found = policies.merged(RULE, 81)
    assert (found.load_balancer, found.connection_pool, found.tls) == (None, None, OFF)


def test_a_port_cannot_say_everything() -> None:
    """What a port's policy has no field for comes from the level that it belongs to."""
    budget, tunnel = RetryBudget(percent=50), Tunnel(host="far.example.com", port=7000)
    rule = replace(RULE, policy=replace(RULE.policy, retry_budget=budget, tunnel=tunnel, proxy_protocol="V1"))
    for subset in ("", "v1"):
        found = policies.merged(rule, 81, subset)
        assert (found.retry_budget, found.tunnel, found.proxy_protocol) == (budget, tunnel, "V1")


def test_no_rule_no_policy() -> None:
    """Without a DestinationRule everything is default."""
    assert policies.merged(None, 80) == TrafficPolicy()
