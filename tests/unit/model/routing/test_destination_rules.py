from __future__ import annotations

from tests.builders.meshobjects import Object, istio, service, snapshot_of

from varka.model.traffic import DestinationRule, LbAlgorithm, TlsMode


def _rule(name: str, host: str, namespace: str = "default", **spec: object) -> Object:
    return istio("DestinationRule", name, {"host": host, **spec}, namespace=namespace)


def _find(client: str, *rules: Object, labels: dict[str, str] | None = None) -> DestinationRule | None:
    made = snapshot_of(service("web"), *rules)
    found = made.registry.find("web.default.svc.cluster.local")
    assert found is not None
    return made.destination_rules.find(found, client, labels)


def test_precedence_of_namespaces() -> None:
    """The client's namespace goes first, then the service's, then the root namespace."""
    full = "web.default.svc.cluster.local"
    rules = [_rule("root", "*.local", "istio-system"), _rule("service", "web"), _rule("client", full, "team")]
    assert [getattr(_find("team", *rules[:count]), "name", None) for count in (1, 2, 3)] == ["root", "service", "client"]


def test_most_specific_host() -> None:
    """In one namespace the full name goes before a wildcard, and a long wildcard before a short one."""
    rules = [_rule("short", "*.local"), _rule("long", "*.default.svc.cluster.local"), _rule("full", "web")]
    assert [getattr(_find("default", *rules[:count]), "name", None) for count in (1, 2, 3)] == ["short", "long", "full"]


def test_export_to() -> None:
    """A rule that is not exported to a namespace is not used there."""
    assert _find("team", _rule("d", "web", exportTo=["."])) is None
    assert _find("default", _rule("d", "web", exportTo=["."])) is not None


def test_merge() -> None:
    """Rules for one host add their subsets; the oldest policy and the oldest subset of a name win."""
    first = _rule("a", "web", subsets=[{"name": "v1", "labels": {"version": "v1"}}])
    second = _rule("b", "web", trafficPolicy={"tls": {"mode": "SIMPLE"}}, subsets=[{"name": "v1"}, {"name": "v2"}])
    found = _find("default", first, second)
    assert found is not None
    assert [(subset.name, dict(subset.labels)) for subset in found.subsets] == [("v1", {"version": "v1"}), ("v2", {})]
    assert found.policy.tls is not None
    assert found.policy.tls.mode is TlsMode.SIMPLE


def test_workload_selector() -> None:
    """A rule with a selector goes first for the workloads that it picks, in its own namespace only."""
    rules = [_rule("general", "web"), _rule("chosen", "web", workloadSelector={"matchLabels": {"app": "a"}})]
    assert getattr(_find("default", *rules, labels={"app": "a"}), "name", "") == "chosen"
    assert getattr(_find("default", *rules, labels={"app": "b"}), "name", "") == "general"
    assert getattr(_find("team", *rules, labels={"app": "a"}), "name", "") == "general"


def test_policy() -> None:
    """A policy keeps what was said and nothing else; ports have theirs."""
    policy = {
        "loadBalancer": {"consistentHash": {"httpCookie": {"name": "c", "ttl": "0s"}, "maglev": {"tableSize": 101}}},
        "connectionPool": {"tcp": {"maxConnections": 7, "connectTimeout": "30ms"}},
        "portLevelSettings": [{"port": {"number": 80}, "loadBalancer": {"simple": "ROUND_ROBIN"}}],
    }
    found = _find("default", _rule("d", "web", trafficPolicy=policy))
    assert found is not None
    balancer, pool = found.policy.load_balancer, found.policy.connection_pool
    assert balancer is not None and balancer.hash_key is not None and pool is not None
    assert (balancer.algorithm, balancer.table_size, balancer.hash_key.cookie, balancer.hash_key.cookie_ttl) == (LbAlgorithm.MAGLEV, 101, "c", 0.0)
    assert (pool.max_connections, pool.connect_timeout, pool.max_retries) == (7, 0.03, None)
    port = found.policy.ports[80].load_balancer
    assert port is not None
    assert port.algorithm is LbAlgorithm.ROUND_ROBIN
