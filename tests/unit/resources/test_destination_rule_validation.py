from __future__ import annotations

import pytest
from tests.builders.meshobjects import Object, istio

from varka.resources import Severity, parse, validation

OUTLIERS = {"consecutive5xxErrors": 3}


def verdict(spec: Object) -> tuple[list[str], list[str]]:
    """The paths of what is refused and of what is warned of, below the traffic policy."""
    found = validation.validate(parse(istio("DestinationRule", "d", {"host": "shop", **spec})))
    paths = [(item.severity, item.path.removeprefix("spec.trafficPolicy.")) for item in found]
    return [path for severity, path in paths if severity is Severity.ERROR], [path for severity, path in paths if severity is Severity.WARNING]


def policy(**fields: object) -> tuple[list[str], list[str]]:
    """The verdict on one traffic policy."""
    return verdict({"trafficPolicy": fields})


def locality(**fields: object) -> tuple[list[str], list[str]]:
    """The verdict on balancing by locality, with outlier detection."""
    return policy(loadBalancer={"localityLbSetting": fields}, outlierDetection=OUTLIERS)


SETTING = "loadBalancer.localityLbSetting"


@pytest.mark.parametrize(
    ("setting", "paths"),
    [
        ({"distribute": [{"from": "north/*", "to": {"north/*": 60, "south/*": 40}}]}, []),
        ({"distribute": [{"from": "north", "to": {"north": 0, "south": 100}}]}, [f"{SETTING}.distribute[0].to"]),
        ({"distribute": [{"from": "north", "to": {"south/*": 50, "south/a": 50}}]}, [f"{SETTING}.distribute[0].to"]),
        ({"distribute": [{"from": place, "to": {"east": 100}} for place in ("north/a", "north")]}, [f"{SETTING}.distribute"]),
        ({"distribute": [{"from": "north//x", "to": {"east": 100}}]}, [f"{SETTING}.distribute"]),
        ({"distribute": [{"from": "*/a", "to": {"east": 100}}]}, [f"{SETTING}.distribute"]),
        ({"failover": [{"from": "north", "to": "south"}]}, []),
        ({"failover": [{"from": "north", "to": "north"}]}, [f"{SETTING}.failover[0]"]),
        ({"failover": [{"from": "north/a", "to": "south"}]}, [f"{SETTING}.failover[0]"]),
        ({"failover": [{"from": "north", "to": "south"}], "failoverPriority": ["topology.kubernetes.io/zone"]}, [f"{SETTING}.failoverPriority"]),
    ],
)
def test_localities(setting: Object, paths: list[str]) -> None:
    """Shares make a whole, places do not overlap, and regions fail over to other regions."""
    assert locality(**setting) == (paths, [])


def test_failover_needs_outlier_detection() -> None:
    """Without it no failure is noticed."""
    assert policy(loadBalancer={"localityLbSetting": {"failover": [{"from": "north", "to": "south"}]}}) == ([], [SETTING])


@pytest.mark.parametrize(("size", "wrong"), [(2, False), (65537, False), (4, True), (65535, True), (5000011, True), (0, True)])
def test_tables_of_maglev(size: int, wrong: bool) -> None:
    """Envoy takes primes up to a limit."""
    errors, _ = policy(loadBalancer={"consistentHash": {"useSourceIp": True, "maglev": {"tableSize": size}}})
    assert errors == ["loadBalancer.consistentHash.maglev.tableSize"] * wrong


def test_the_older_ring_size() -> None:
    """It is warned of, and excludes the newer ways."""
    assert policy(loadBalancer={"consistentHash": {"useSourceIp": True, "minimumRingSize": 64}})[1] == ["loadBalancer.consistentHash.minimumRingSize"]
    assert policy(loadBalancer={"consistentHash": {"useSourceIp": True, "minimumRingSize": 64, "ringHash": {}}})[0] == ["loadBalancer.consistentHash"]


def test_tunnels() -> None:
    """A tunnel ends at an address or a name, and excludes the PROXY protocol."""
    assert policy(tunnel={"targetHost": "10.1.2.3", "targetPort": 443}) == ([], [])
    assert policy(tunnel={"targetHost": "*.example", "targetPort": 443})[0] == ["tunnel.targetHost"]
    assert len(policy(tunnel={"targetHost": "a.example", "targetPort": 443}, proxyProtocol={})[0]) == 1


def test_pools() -> None:
    """Both ways to choose HTTP/2 cannot be asked for; a pool may leave everything at its default."""
    assert policy(connectionPool={"http": {"h2UpgradePolicy": "UPGRADE", "useClientProtocol": True}})[0] == ["connectionPool.http.useClientProtocol"]
    assert policy(connectionPool={"http": {}}) == ([], [])


def test_policies_of_ports() -> None:
    """A policy of a port says something."""
    assert policy(portLevelSettings=[{"port": {"number": 80}}])[0] == ["portLevelSettings[0]"]


@pytest.mark.parametrize(("names", "wrong"), [([], False), (["."], False), (["default"], False), (["other"], True), ([".", "other"], True)])
def test_rules_for_some_callers_stay_in_their_namespace(names: list[str], wrong: bool) -> None:
    """The workloads that a selector chooses are of the own namespace."""
    errors, _ = verdict({"workloadSelector": {"matchLabels": {"app": "a"}}, "exportTo": names})
    assert errors == ["spec.exportTo"] * wrong
