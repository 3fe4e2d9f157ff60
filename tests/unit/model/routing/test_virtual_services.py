from __future__ import annotations

from tests.builders.meshobjects import istio, snapshot_of

from varka.model.traffic import HttpRoute, MatchKind, StringMatch, VirtualService

ROUTE = {"route": [{"destination": {"host": "web"}}]}


def _one(spec: dict[str, object], *others: dict[str, object]) -> VirtualService:
    return snapshot_of(istio("VirtualService", "v", spec), *others).virtual_services.all[0]


def _http(**rule: object) -> HttpRoute:
    return _one({"hosts": ["web"], "http": [{**ROUTE, **rule}]}).http[0]


def test_names_are_resolved() -> None:
    """Short hosts belong to the resource's namespace, gateways get theirs, and mesh is the default."""
    found = _one({"hosts": ["web", "a.org"], "gateways": ["gw", "mesh"], "http": [ROUTE]})
    assert found.hosts == ("web.default.svc.cluster.local", "a.org")
    assert found.gateways == ("default/gw", "mesh")
    assert found.http[0].destinations[0].destination.host == "web.default.svc.cluster.local"
    assert _one({"hosts": ["web"], "http": [ROUTE]}).gateways == ("mesh",)


def test_weights() -> None:
    """A single destination takes everything; of several, those without a weight take nothing."""
    assert _http().destinations[0].weight == 100
    two = _http(route=[{"destination": {"host": "a"}, "weight": 30}, {"destination": {"host": "b"}}])
    assert [item.weight for item in two.destinations] == [30, 0]


def test_durations_and_defaults() -> None:
    """Durations are seconds; without a timeout there is none; a redirect is 301."""
    rule = _http(timeout="1.5s", retries={"attempts": 3, "perTryTimeout": "250ms"})
    assert rule.timeout == 1.5
    assert rule.retries is not None
    assert (rule.retries.attempts, rule.retries.per_try_timeout) == (3, 0.25)
    assert _http().timeout is None
    redirect = _one({"hosts": ["web"], "http": [{"redirect": {"uri": "%PREFIX()%/new"}}]}).http[0].redirect
    assert redirect is not None
    assert (redirect.code, redirect.uri, redirect.uri_prefix_rewrite) == (301, "", "/new")


def test_matches() -> None:
    """Every form of a text match is kept; an empty one asks for presence."""
    match = _http(match=[{"uri": {"prefix": "/a"}, "headers": {"x": {}, "y": {"regex": "b.*"}}, "gateways": ["gw"]}]).matches[0]
    assert match.uri == StringMatch(kind=MatchKind.PREFIX, value="/a")
    assert match.headers == {"x": StringMatch(kind=MatchKind.PRESENT), "y": StringMatch(kind=MatchKind.REGEX, value="b.*")}
    assert match.gateways == ("default/gw",)


def test_faults() -> None:
    """Delay and abort keep their share of the requests."""
    rule = _http(fault={"delay": {"fixedDelay": "7s", "percentage": {"value": 50}}, "abort": {"httpStatus": 500, "percentage": {"value": 100}}})
    assert rule.delay is not None and rule.abort is not None
    assert (rule.delay.seconds, rule.delay.percentage, rule.abort.http_status, rule.abort.percentage) == (7.0, 50.0, 500, 100.0)


def test_mirror_without_a_share_takes_all() -> None:
    """The old mirror and its old percentage are understood; 0 per cent is no mirror."""
    assert _http(mirror={"host": "m"}).mirrors[0].percentage == 100.0
    assert _http(mirror={"host": "m"}, mirrorPercent=5).mirrors[0].percentage == 5.0
    assert _http(mirror={"host": "m"}, mirrorPercentage={"value": 0}).mirrors == ()


def test_delegate() -> None:
    """A delegate's rules come in under the root's conditions, and its own settings go first."""
    root = {
        "hosts": ["a.org"],
        "gateways": ["gw"],
        "http": [{"match": [{"uri": {"prefix": "/p"}}], "timeout": "5s", "delegate": {"name": "d", "namespace": "team"}}],
    }
    rules = [{"match": [{"uri": {"prefix": "/p/x"}}], "timeout": "1s", **ROUTE}, {"match": [{"uri": {"prefix": "/q"}}], **ROUTE}, ROUTE]
    found = _one(root, istio("VirtualService", "d", {"http": rules}, namespace="team"))
    assert [(rule.matches[0].uri.value if rule.matches[0].uri else "", rule.timeout) for rule in found.http] == [("/p/x", 1.0), ("/p", 5.0)]
    assert found.http[0].destinations[0].destination.host == "web.team.svc.cluster.local"


def test_order_of_the_mesh() -> None:
    """For sidecars the most specific host comes first, then the oldest."""
    made = [
        istio("VirtualService", "all", {"hosts": ["*.org"], "http": [ROUTE]}, creationTimestamp="1970-01-01T00:00:01Z"),
        istio("VirtualService", "new", {"hosts": ["a.org"], "http": [ROUTE]}, creationTimestamp="1970-01-01T00:00:03Z"),
        istio("VirtualService", "old", {"hosts": ["a.org"], "http": [ROUTE]}, creationTimestamp="1970-01-01T00:00:02Z"),
    ]
    assert [item.name for item in snapshot_of(*made).virtual_services.mesh] == ["old", "new", "all"]
