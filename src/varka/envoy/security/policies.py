"""The one traffic policy of one port of one subset, out of the levels of a DestinationRule.

A subset's policy overrides the rule's field by field; a policy for a port replaces the four fields that a port may have,
so what it leaves out of them is Istio's default and not what the level above says.
"""

from __future__ import annotations

from varka.model.traffic import DestinationRule, LoadBalancer, TrafficPolicy

NO_POLICY = TrafficPolicy()
DEFAULT_BALANCER = LoadBalancer()


def merged(rule: DestinationRule | None, port: int, subset: str = "") -> TrafficPolicy:
    """What holds for connections to `port`, by way of `subset` if one is named."""
    if rule is None:
        return NO_POLICY
    policy = _at_port(NO_POLICY, rule.policy, port)
    for candidate in rule.subsets:
        if candidate.name == subset:
            policy = _at_port(policy, candidate.policy, port)
    return policy


def _at_port(inherited: TrafficPolicy, level: TrafficPolicy, port: int) -> TrafficPolicy:
    chosen = level.ports.get(port)
    if chosen is None and inherited is NO_POLICY:
        return level
    return TrafficPolicy(
        load_balancer=chosen.load_balancer if chosen else level.load_balancer or inherited.load_balancer,
        connection_pool=chosen.connection_pool if chosen else level.connection_pool or inherited.connection_pool,
        outlier_detection=chosen.outlier_detection if chosen else level.outlier_detection or inherited.outlier_detection,
        tls=chosen.tls if chosen else level.tls or inherited.tls,
        proxy_protocol=level.proxy_protocol or inherited.proxy_protocol,
        retry_budget=level.retry_budget or inherited.retry_budget,
        tunnel=level.tunnel or inherited.tunnel,
    )
