"""The state of one stream, message by message."""

from __future__ import annotations

from typing import Any

from varka.base.wire import WireResource
from varka.xds import status, types
from varka.xds.resource_set import ResourceSet
from varka.xds.streams import Outcome, Request, Response, StreamState, shortened

CDS, EDS, LDS, RDS = types.CLUSTER, types.ENDPOINT, types.LISTENER, types.ROUTE


def of(url: str, **bodies: str) -> ResourceSet:
    """A set with these names and bodies."""
    return ResourceSet([WireResource(name=name, type_url=url, body=body.encode()) for name, body in bodies.items()])


def names(response: Response) -> list[str]:
    """The resources of a response."""
    return [packed.resource.name for packed in response.resources]


def ack(state: StreamState, response: Response) -> Outcome:
    """The proxy accepts."""
    return state.request(Request(type_url=response.type_url, nonce=response.nonce))


def nack(state: StreamState, response: Response, error: str = "bad") -> Outcome:
    """The proxy refuses."""
    return state.request(Request(type_url=response.type_url, nonce=response.nonce, error=error))


def sent(state: StreamState, **sets: ResourceSet) -> list[Response]:
    """What goes out for these sets."""
    return state.responses({{"cds": CDS, "eds": EDS, "lds": LDS, "rds": RDS}[key]: value for key, value in sets.items()})


def connected(url: str = CDS, **request: Any) -> StreamState:
    """A stream with one subscription."""
    state = StreamState()
    assert state.request(Request(type_url=url, **request)) is Outcome.SUBSCRIBED
    return state


def test_empty_first_request_subscribes_to_everything() -> None:
    """A first request without names is a wildcard subscription."""
    (response,) = sent(connected(), cds=of(CDS, a="1", b="1"))
    assert names(response) == ["a", "b"]


def test_nothing_is_sent_without_subscription() -> None:
    """A stream that asks for nothing gets nothing."""
    assert sent(StreamState(), cds=of(CDS, a="1")) == []


def test_wildcard_on_an_empty_set_is_answered() -> None:
    """Envoy waits for a first answer even when there is nothing to say."""
    (response,) = sent(connected())
    assert response.resources == () and response.removed == ()


def test_only_what_changed_is_sent() -> None:
    """After an acknowledgement the next response holds the difference."""
    state = connected()
    (first,) = sent(state, cds=of(CDS, a="1", b="1", c="1"))
    ack(state, first)
    (second,) = sent(state, cds=of(CDS, a="1", b="2", d="1"))
    assert names(second) == ["b", "d"] and second.removed == ("c",)


def test_no_second_response_before_the_first_is_answered() -> None:
    """An unanswered proxy later gets the newest state only."""
    state = connected()
    (first,) = sent(state, cds=of(CDS, a="1"))
    assert sent(state, cds=of(CDS, a="2")) == []
    assert sent(state, cds=of(CDS, a="3")) == []
    ack(state, first)
    newest = of(CDS, a="4")
    (second,) = sent(state, cds=newest)
    assert second.resources[0].resource.body == b"4"
    ack(state, second)
    assert sent(state, cds=newest) == []


def test_stale_nonce_is_ignored() -> None:
    """An answer to a response that is not the last one changes nothing."""
    state = connected()
    (first,) = sent(state, cds=of(CDS, a="1"))
    assert state.request(Request(type_url=CDS, nonce="old")) is Outcome.STALE
    assert state.types[CDS].outstanding is first
    assert ack(state, first) is Outcome.ACK
    assert ack(state, first) is Outcome.STALE


def test_unknown_type_is_counted() -> None:
    """A type that is not served leaves no subscription behind."""
    state = StreamState()
    assert state.request(Request(type_url="type.googleapis.com/nonsense")) is Outcome.UNKNOWN_TYPE
    assert state.types == {} and state.unknown_types == {"type.googleapis.com/nonsense": 1}


def test_named_subscription_gets_only_its_names() -> None:
    """Endpoints go to those who asked for them, and a name that does not exist is told to be absent."""
    state = connected(EDS, names=("a", "x"))
    (response,) = sent(state, eds=of(EDS, a="1", b="1"))
    assert names(response) == ["a"] and response.removed == ("x",)


def test_later_subscription_is_answered() -> None:
    """A name that is asked for later is sent then, also when the set has not changed."""
    state = connected(EDS, names=("a",))
    current = of(EDS, a="1", b="1")
    ack(state, sent(state, eds=current)[0])
    state.request(Request(type_url=EDS, names=("b",)))
    (response,) = sent(state, eds=current)
    assert names(response) == ["b"]


def test_absent_name_is_sent_when_it_appears() -> None:
    """A proxy that was told of nothing hears of it when there is something."""
    state = connected(EDS, names=("x",))
    ack(state, sent(state)[0])
    (response,) = sent(state, eds=of(EDS, x="1"))
    assert names(response) == ["x"]


def test_subscribing_again_sends_again() -> None:
    """The protocol says so: a repeated subscription means that the client has lost the resource."""
    state = connected(EDS, names=("a",))
    current = of(EDS, a="1")
    ack(state, sent(state, eds=current)[0])
    state.request(Request(type_url=EDS, names=("a",)))
    assert names(sent(state, eds=current)[0]) == ["a"]


def test_unsubscribed_name_is_not_sent() -> None:
    """Changes of a name that was given up are not sent."""
    state = connected(EDS, names=("a", "b"))
    ack(state, sent(state, eds=of(EDS, a="1", b="1"))[0])
    state.request(Request(type_url=EDS, unsubscribe=("a",)))
    (response,) = sent(state, eds=of(EDS, a="2", b="2"))
    assert names(response) == ["b"]


def test_returning_proxy_gets_only_what_changed() -> None:
    """Versions from an earlier stream are believed, and what is gone meanwhile is taken away."""
    current = of(CDS, a="1", b="2")
    known = {"a": current.version_of("a"), "b": "other", "gone": "1"}
    (response,) = sent(connected(initial_versions=known), cds=current)
    assert names(response) == ["b"] and response.removed == ("gone",)


def test_returning_proxy_that_is_up_to_date_gets_nothing() -> None:
    """It counts as synced all the same."""
    current = of(CDS, a="1")
    state = connected(initial_versions={"a": current.version_of("a")})
    assert sent(state, cds=current) == []
    assert status.of(state, {CDS: current})["cds"].sync is status.Sync.SYNCED
    assert names(sent(state, cds=of(CDS, a="2"))[0]) == ["a"]


def test_routes_wait_for_clusters() -> None:
    """Nothing may name a cluster that the proxy has not accepted yet."""
    state = connected()
    state.request(Request(type_url=RDS, names=("80",)))
    clusters, routes = of(CDS, a="1"), of(RDS, **{"80": "1"})
    (first,) = sent(state, cds=clusters, rds=routes)
    assert first.type_url == CDS
    ack(state, first)
    (second,) = sent(state, cds=clusters, rds=routes)
    assert second.type_url == RDS


def test_routes_wait_for_endpoints_of_new_clusters() -> None:
    """Endpoints under way hold routes back too."""
    state = connected(EDS, names=("a",))
    state.request(Request(type_url=RDS, names=("80",)))
    endpoints, routes = of(EDS, a="1"), of(RDS, **{"80": "1"})
    (first,) = sent(state, eds=endpoints, rds=routes)
    assert first.type_url == EDS
    ack(state, first)
    assert [one.type_url for one in sent(state, eds=endpoints, rds=routes)] == [RDS]


def test_cluster_is_removed_after_the_routes_that_named_it() -> None:
    """Make before break: additions first, then routes, then removals."""
    state = connected()
    state.request(Request(type_url=RDS, names=("80",)))
    old = {"cds": of(CDS, a="1"), "rds": of(RDS, **{"80": "to a"})}
    ack(state, sent(state, **old)[0])
    ack(state, sent(state, **old)[0])
    new = {"cds": of(CDS, b="1"), "rds": of(RDS, **{"80": "to b"})}
    (add,) = sent(state, **new)
    assert names(add) == ["b"] and add.removed == ()
    ack(state, add)
    (route,) = sent(state, **new)
    assert route.type_url == RDS
    assert sent(state, **new) == []
    ack(state, route)
    (remove,) = sent(state, **new)
    assert remove.removed == ("a",) and remove.resources == ()
    ack(state, remove)
    assert sent(state, **new) == [] and state.settled({CDS: new["cds"], RDS: new["rds"]})


def test_rejected_resource_is_not_sent_again_until_it_changes() -> None:
    """A refused version is remembered."""
    state = connected()
    bad = of(CDS, a="bad")
    assert nack(state, sent(state, cds=bad)[0]) is Outcome.NACK
    assert sent(state, cds=bad) == []
    assert status.of(state, {CDS: bad})["cds"].rejected == {"a": "bad"}
    (response,) = sent(state, cds=of(CDS, a="good"))
    ack(state, response)
    assert status.of(state, {})["cds"].error == ""


def test_error_that_names_a_resource_blames_only_that_one() -> None:
    """The others of the same response are sent again without it."""
    state = connected()
    current = of(CDS, a="1", bad="1", c="1")
    nack(state, sent(state, cds=current)[0], "Error adding/updating cluster(s) bad: no such thing")
    (again,) = sent(state, cds=current)
    assert names(again) == ["a", "c"]
    ack(state, again)
    assert sent(state, cds=current) == []
    assert set(state.types[CDS].rejected) == {"bad"}


def test_error_that_names_nothing_is_narrowed_down() -> None:
    """Halves are sent until the one resource is found; all others arrive."""
    state = connected()
    current = of(CDS, **{f"c{number}": "bad" if number == 5 else "good" for number in range(8)})
    accepted: set[str] = set()
    pending = sent(state, cds=current)
    while pending:
        response = pending[0]
        if any(packed.resource.body == b"bad" for packed in response.resources):
            nack(state, response, "proto constraint validation failed")
        else:
            accepted.update(names(response))
            ack(state, response)
        pending = sent(state, cds=current)
    assert accepted == {f"c{number}" for number in range(8) if number != 5}
    assert set(state.types[CDS].rejected) == {"c5"}


def test_rejection_of_one_type_does_not_hold_back_another() -> None:
    """A refused cluster lets listeners pass."""
    state = connected()
    state.request(Request(type_url=LDS))
    sets = {"cds": of(CDS, a="bad"), "lds": of(LDS, l="1")}
    nack(state, sent(state, **sets)[0])
    assert [one.type_url for one in sent(state, **sets)] == [LDS]


def test_world_sends_all_and_takes_names() -> None:
    """State of the world: the whole set at each change, or the named part of it."""
    state = StreamState(delta=False)
    state.request(Request(type_url=CDS))
    state.request(Request(type_url=EDS, names=("a",)))
    found = sent(state, cds=of(CDS, a="1", b="1"), eds=of(EDS, a="1", b="1"))
    assert [names(one) for one in found] == [["a", "b"], ["a"]]
    ack(state, found[0])
    state.request(Request(type_url=EDS, nonce=found[1].nonce, names=("a",)))
    assert sent(state, cds=of(CDS, a="1", b="1"), eds=of(EDS, a="1", b="2")) == []
    (again,) = sent(state, cds=of(CDS, b="1"), eds=of(EDS, a="1"))
    assert names(again) == ["b"]


def test_world_ignores_requests_with_a_stale_nonce() -> None:
    """Names in a stale request do not count."""
    state = StreamState(delta=False)
    state.request(Request(type_url=EDS, names=("a",)))
    sent(state, eds=of(EDS, a="1"))
    assert state.request(Request(type_url=EDS, nonce="old", names=("b",))) is Outcome.STALE
    assert state.types[EDS].names == {"a"}


def test_difference_of_two_sets_is_computed_once() -> None:
    """Streams share the result."""
    old, new = of(CDS, a="1"), of(CDS, a="2")
    assert new.changes_from(old) is new.changes_from(old)


def test_status_words() -> None:
    """NOT SENT, STALE, SYNCED, as `proxy-status` says it."""
    state = connected()
    current = of(CDS, a="1")
    assert status.of(state, {CDS: current})["cds"].sync is status.Sync.NOT_SENT
    (response,) = sent(state, cds=current)
    assert status.of(state, {CDS: current})["cds"].sync is status.Sync.STALE
    ack(state, response)
    assert status.of(state, {CDS: current})["cds"].sync is status.Sync.SYNCED
    assert status.of(state, {CDS: of(CDS, a="2")})["cds"].sync is status.Sync.STALE
    assert status.of(state, {})["rds"].sync is status.Sync.NOT_SENT


def test_dump_of_the_resource_is_left_out_of_an_error() -> None:
    """Only the sentences remain."""
    text = "Error adding a: goo.gle/debugonly  \nx {\n  y: 1\n}\n: validation failed (Z), b: goo.gle/debugstr\nx {\n...(truncated)"
    assert shortened(text) == "Error adding a: validation failed (Z), b:"


def test_endpoints_follow_a_changed_cluster() -> None:
    """Envoy makes a changed cluster anew and waits for its endpoints: they are sent again although they are the same."""
    state = connected()
    clusters, endpoints = of(CDS, a="1", b="1"), of(EDS, a="e", b="e")
    (first,) = sent(state, cds=clusters, eds=endpoints)
    ack(state, first)
    state.request(Request(type_url=EDS, names=("a", "b")))
    (second,) = sent(state, cds=clusters, eds=endpoints)
    ack(state, second)
    changed = sent(state, cds=of(CDS, a="2", b="1"), eds=endpoints)
    assert [(response.type_url, names(response)) for response in changed] == [(CDS, ["a"]), (EDS, ["a"])]


def test_absent_endpoints_of_a_changed_cluster_are_taken_away() -> None:
    """A changed cluster without endpoints hears that there are none, and stops waiting."""
    state = connected()
    (first,) = sent(state, cds=of(CDS, a="1"))
    ack(state, first)
    state.request(Request(type_url=EDS, names=("a",)))
    (second,) = sent(state, cds=of(CDS, a="1"))
    ack(state, second)
    clusters, endpoints = sent(state, cds=of(CDS, a="2"))
    assert names(clusters) == ["a"]
    assert endpoints.removed == ("a",)
