"""VirtualService: what rules do with calls, and what mistakes in them do not do."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from tests.builders import simulated
from tests.builders.simulated import istio, service

from varka.analysis.simulation import simulate
from varka.analysis.simulation.call import Call, Direction
from varka.analysis.simulation.result import Answer, Result

WEB = service("web", {"http": 80}) + service("api", {"http": 80}, "10.96.0.11")
GATEWAY = istio(
    "Gateway", "gw", {"selector": {"istio": "ingressgateway"}, "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]}
)
TO_WEB: dict[str, Any] = {"route": [{"destination": {"host": "web"}}]}
TO_API: dict[str, Any] = {"route": [{"destination": {"host": "api"}}]}
ASK = Call(port=80, host="web")
AT_GATEWAY = Call(port=80, host="shop.example.com", direction=Direction.GATEWAY)


def rules(name: str, *http: dict[str, Any], hosts: tuple[str, ...] = ("web",), created: str = "2020-01-01T00:00:00Z", **spec: Any) -> str:
    """A VirtualService as YAML."""
    return istio("VirtualService", name, {"hosts": list(hosts), "http": list(http), **spec}, creationTimestamp=created)


def asked(text: str, call: Call = ASK, labels: dict[str, str] | None = None) -> Result:
    """What becomes of the call at a sidecar."""
    return simulate.run(simulated.config(WEB + text, simulated.sidecar(labels=labels)), call)


def at_gateway(text: str, call: Call = AT_GATEWAY) -> Result:
    """What becomes of the call at the gateway."""
    return simulate.run(simulated.config(WEB + GATEWAY + text, simulated.gateway()), call)


def test_rules_for_everything_come_last() -> None:
    """At a gateway a rule for all requests stands behind the narrower rules of younger VirtualServices."""
    shop = ("shop.example.com",)
    old = rules("old", TO_WEB, hosts=shop, gateways=["gw"], created="2020-01-01T00:00:00Z")
    young = rules("young", {"match": [{"uri": {"prefix": "/api"}}], **TO_API}, TO_API, hosts=shop, gateways=["gw"], created="2021-01-01T00:00:00Z")
    assert at_gateway(old + young, replace(AT_GATEWAY, path="/api")).cluster == "outbound|80||api.default.svc.cluster.local"
    assert at_gateway(old + young).cluster == "outbound|80||web.default.svc.cluster.local"


def test_claims_choose_a_rule() -> None:
    """A claim of the token is looked at like a header; a list of texts has it when one of them matches."""
    match = {"headers": {"@request.auth.claims.groups": {"exact": "admin"}}, "withoutHeaders": {"@request.auth.claims[org][name]": {"prefix": "ex"}}}
    text = rules("shop", {"match": [match], **TO_API}, TO_WEB, hosts=("shop.example.com",), gateways=["gw"])
    api, web = "outbound|80||api.default.svc.cluster.local", "outbound|80||web.default.svc.cluster.local"
    assert at_gateway(text, replace(AT_GATEWAY, claims={"groups": ["staff", "admin"]})).cluster == api
    assert at_gateway(text, replace(AT_GATEWAY, claims={"groups": "admin"})).cluster == api
    assert at_gateway(text, replace(AT_GATEWAY, claims={"groups": "admin", "org": {"name": "example"}})).cluster == web
    assert at_gateway(text).cluster == web


@pytest.mark.parametrize("field", ["uri", "method", "authority", "scheme"])
def test_a_broken_expression_matches_nothing(field: str) -> None:
    """A rule whose expression Envoy cannot read is never met; the rules after it are."""
    text = rules("web", {"match": [{field: {"regex": "(?=a).*"}}], **TO_API}, TO_WEB)
    assert asked(text).cluster == "outbound|80||web.default.svc.cluster.local"


def test_a_sound_match_beside_a_broken_one() -> None:
    """Of two matches of a rule only the broken one is passed over."""
    match = [{"headers": {"x": {"regex": "["}}}, {"uri": {"prefix": "/a"}}]
    text = rules("web", {"match": match, **TO_API}, TO_WEB)
    assert asked(text, replace(ASK, path="/a")).cluster == "outbound|80||api.default.svc.cluster.local"


def test_an_evil_expression() -> None:
    """An expression that makes other engines hang is an ordinary one."""
    text = rules("web", {"match": [{"uri": {"regex": "/(a+)+b"}}], **TO_API}, TO_WEB)
    assert asked(text, replace(ASK, path="/" + "a" * 2000)).cluster == "outbound|80||web.default.svc.cluster.local"


def test_delegates_that_name_each_other() -> None:
    """A delegate's own delegate is not followed, so a circle ends; the rest of the rules stands."""
    root = rules("root", {"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "one"}}, TO_WEB)
    one = rules("one", {"delegate": {"name": "two"}}, {"match": [{"uri": {"prefix": "/a/one"}}], **TO_API}, hosts=())
    two = rules("two", {"delegate": {"name": "one"}}, hosts=())
    assert asked(root + one + two, replace(ASK, path="/a/one/x")).cluster == "outbound|80||api.default.svc.cluster.local"
    assert asked(root + one + two, replace(ASK, path="/a/two")).cluster == "outbound|80||web.default.svc.cluster.local"


def test_a_delegate_of_itself() -> None:
    """A VirtualService with hosts is no delegate, so one that names itself leaves its rule out."""
    text = rules("web", {"match": [{"uri": {"prefix": "/a"}}], "delegate": {"name": "web"}}, TO_WEB)
    assert asked(text, replace(ASK, path="/a")).cluster == "outbound|80||web.default.svc.cluster.local"


def test_conditions_of_root_and_delegate() -> None:
    """Both must hold; a delegate's rule that the root's contradicts is left out."""
    root = rules("root", {"match": [{"uri": {"prefix": "/a"}, "headers": {"x": {"exact": "1"}}}], "delegate": {"name": "one"}}, TO_WEB)
    one = rules("one", {"match": [{"uri": {"prefix": "/b"}}], **TO_API}, {"match": [{"uri": {"prefix": "/a/b"}}], **TO_API}, hosts=())
    config = simulated.config(WEB + root + one)
    call = replace(ASK, path="/a/b", headers={"X": "1"})
    assert simulate.run(config, call).cluster == "outbound|80||api.default.svc.cluster.local"
    assert simulate.run(config, replace(call, headers={})).cluster == "outbound|80||web.default.svc.cluster.local"


def test_a_delegate_of_another_namespace() -> None:
    """Its short names belong to its own namespace, and exportTo says who may use it; without any rule a host is served as ever."""
    root = rules("root", {"delegate": {"name": "one", "namespace": "other"}})
    one = istio("VirtualService", "one", {"http": [TO_API]}, namespace="other")
    assert asked(root + one).cluster == "outbound|80||api.other.svc.cluster.local"
    assert asked(root + one.replace("spec:", "spec:\n  exportTo: [.]")).cluster == "outbound|80||web.default.svc.cluster.local"


@pytest.mark.parametrize(
    ("redirect", "location"),
    [
        ({"derivePort": "FROM_REQUEST_PORT", "authority": "a.org"}, "http://a.org/x"),
        ({"derivePort": "FROM_REQUEST_PORT", "authority": "a.org", "scheme": "https"}, "https://a.org:80/x"),
        ({"derivePort": "FROM_PROTOCOL_DEFAULT", "authority": "a.org", "scheme": "https"}, "https://a.org:443/x"),
        ({"scheme": "https"}, "https://web/x"),
        ({"uri": "%PREFIX()%/new"}, "http://web/newx"),
    ],
)
def test_places_of_redirects(redirect: dict[str, str], location: str) -> None:
    """Scheme, authority, port and path of the place are those of the redirect, else those of the request."""
    found = asked(rules("web", {"redirect": redirect}), replace(ASK, path="/x"))
    assert found.answer == Answer(status=301, location=location)


def test_callers_by_label_and_namespace() -> None:
    """Rules may be for some callers only."""
    text = rules("web", {"match": [{"sourceLabels": {"app": "x"}}], **TO_API}, {"match": [{"sourceNamespace": "other"}], "redirect": {"uri": "/"}}, TO_WEB)
    assert asked(text, labels={"app": "x"}).cluster == "outbound|80||api.default.svc.cluster.local"
    assert asked(text).cluster == "outbound|80||web.default.svc.cluster.local"


def test_the_oldest_of_many_counts() -> None:
    """Of a thousand VirtualServices for one host a sidecar follows the oldest; a gateway has the rules of all, oldest first."""
    many = "".join(
        rules(
            f"v{number:04}", {"name": f"n{number:04}", "match": [{"uri": {"prefix": f"/{number:04}"}}], **TO_WEB}, TO_API,
            gateways=["mesh", "gw"], created=f"2020-01-01T{number // 60:02}:{number % 60:02}:00Z",
        )
        for number in reversed(range(1000))
    )  # fmt: skip
    assert asked(many, replace(ASK, path="/0000")).route == "n0000"
    assert asked(many, replace(ASK, path="/0999")).cluster == "outbound|80||api.default.svc.cluster.local"
    config = simulated.config(WEB + GATEWAY + many, simulated.gateway())
    (host,) = config.routes["http.80"].virtual_hosts
    assert [route.name for route in host.routes] == [*(f"n{number:04}" for number in range(1000)), ""]


def test_international_hosts() -> None:
    """A host beyond ASCII is never met, since Envoy answers 400 to it, and disturbs no other; in its ASCII form it is a host as any."""
    text = rules("b", TO_API, hosts=("bücher.example", "xn--bcher-kva.example")) + rules("web", TO_WEB)
    assert asked(text, replace(ASK, host="bücher.example")).answer == Answer(status=400)
    assert asked(text, replace(ASK, host="xn--bcher-kva.example")).cluster == "outbound|80||api.default.svc.cluster.local"
    assert asked(text).cluster == "outbound|80||web.default.svc.cluster.local"
