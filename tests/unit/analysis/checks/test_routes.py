from __future__ import annotations

from tests.builders.findings import found, paths, texts
from tests.builders.meshobjects import istio, service

HOSTS, CONFLICTS, GATEWAYS, SUBSETS = (
    "virtualservice.DestinationHostAnalyzer",
    "virtualservice.ConflictingMeshGatewayHostsAnalyzer",
    "virtualservice.GatewayAnalyzer",
    "virtualservice.DestinationRuleAnalyzer",
)
TWO = service("two", {"name": "http", "port": 80}, {"name": "grpc", "port": 81})


def _route(*destinations: dict[str, object], name: str = "v", namespace: str = "default", **spec: object) -> dict[str, object]:
    http = [{"route": [{"destination": one}]} for one in destinations]
    return istio("VirtualService", name, {"hosts": ["web"], "http": http, **spec}, namespace)


def test_destinations() -> None:
    """Hosts and ports have to be there; a port is needed where there are several."""
    asked = [{"host": "nobody"}, {"host": "two"}, {"host": "two", "port": {"number": 82}}, {"host": "two", "port": {"number": 81}}]
    assert texts(HOSTS, TWO, _route(*asked)) == [
        'Referenced host not found: "nobody"',
        'Referenced host:port not found: "two:82"',
        'This VirtualService routes to a service "two" that exposes multiple ports [80 81]. Specifying a port in the destination is required to disambiguate.',
    ]
    assert paths(HOSTS, TWO, _route(*asked)) == [f"spec.http[{index}].route[0].destination.host" for index in (0, 2, 1)]


def test_mirrors_and_other_protocols() -> None:
    """Every destination counts, wherever it stands."""
    spec = {
        "hosts": ["web"],
        "http": [{"route": [{"destination": {"host": "web"}}], "mirror": {"host": "a"}, "mirrors": [{"destination": {"host": "b"}}]}],
        "tcp": [{"route": [{"destination": {"host": "c"}}]}],
        "tls": [{"match": [{"sniHosts": ["x"]}], "route": [{"destination": {"host": "d"}}]}],
    }
    assert sorted(texts(HOSTS, service("web"), istio("VirtualService", "v", spec))) == [
        'Referenced host not found: "c"',
        'Referenced host not found: "d"',
        'Referenced mirror host not found: "a"',
        'Referenced mirror host not found: "b"',
    ]


def test_service_entries() -> None:
    """A host of a ServiceEntry is there where it is exported to; a wildcard stands for the hosts below it."""
    entry = istio("ServiceEntry", "e", {"hosts": ["*.example.com"], "exportTo": ["."], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}, "shop")
    assert found(HOSTS, entry, _route({"host": "a.example.com"}, namespace="shop")) == []
    assert found(HOSTS, entry, _route({"host": "a.example.com"})) == ["IST0101 VirtualService default/v"]


def test_subset_that_a_gateway_passes_by() -> None:
    """Rules of sidecars for a host do not apply to what a gateway sends there."""
    objects = (service("web"), _route({"host": "web", "subset": "v1"}), _route({"host": "web"}, name="edge", gateways=["gw"], hosts=["a.b"]))
    assert texts(HOSTS, *objects) == ["Subset in virtual service default/v has no effect on ingress gateway default/edge requests"]


def test_subsets() -> None:
    """A subset has to be defined for its host, whatever the host's spelling."""
    rule = istio("DestinationRule", "d", {"host": "web.default.svc.cluster.local", "subsets": [{"name": "v1"}]})
    assert found(SUBSETS, rule, _route({"host": "web", "subset": "v1"})) == []
    assert texts(SUBSETS, rule, _route({"host": "web", "subset": "v2"})) == ['Referenced host+subset in destinationrule not found: "web+v2"']


def test_gateways() -> None:
    """A gateway has to be there, and to serve one of the hosts to the namespace of the route."""
    hosts = ["./a.b", "shop/c.d", "*.e.f"]
    gateway = istio("Gateway", "gw", {"selector": {}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": hosts}]})
    for host, namespace, served in (("a.b", "default", True), ("a.b", "shop", False), ("c.d", "shop", True), ("c.d", "default", False), ("x.e.f", "x", True)):
        said = found(GATEWAYS, gateway, _route(namespace=namespace, hosts=[host], gateways=["default/gw"]))
        assert said == ([] if served else [f"IST0132 VirtualService {namespace}/v"])


def test_conflicts_where_both_are_seen() -> None:
    """VirtualServices claim a host for the namespaces that they are exported to; each is told once, with all of its rivals."""
    public, other, local = _route(name="a"), _route(name="b"), _route(name="c", exportTo=["."])
    assert found(CONFLICTS, public, other) == ["IST0109 VirtualService default/a", "IST0109 VirtualService default/b"]
    assert found(CONFLICTS, public, other, local) == [f"IST0109 VirtualService default/{name}" for name in "abc"]
    assert found(CONFLICTS, local, _route(name="b", namespace="shop", exportTo=["."], hosts=["web.default.svc.cluster.local"])) == []
    assert found(CONFLICTS, public, _route(name="b", gateways=["gw"])) == []


def test_wildcards_conflict_with_what_is_exported_to_all() -> None:
    """A host that one namespace alone sees, and a wildcard over it that every namespace sees."""
    local, public = _route(name="a", hosts=["*.b.c"], exportTo=["."]), _route(name="b", namespace="shop", hosts=["*.c"])
    (first, second) = texts(CONFLICTS, local, public)
    assert first == second
    assert "The VirtualServices default/a,shop/b associated with mesh gateway define the same host default/*.b.c" in first


def test_destinations_are_looked_for_where_the_route_is_used() -> None:
    """A route that is exported to one namespace alone needs destinations that this namespace sees."""
    web = service("web")
    web["metadata"]["annotations"] = {"networking.istio.io/exportTo": ".,near"}
    for namespaces, missing in ((["near"], False), ([".", "far"], False), (["far"], True)):
        said = found(HOSTS, web, _route({"host": "web.default.svc.cluster.local"}, exportTo=namespaces))
        assert said == (["IST0101 VirtualService default/v"] if missing else [])
