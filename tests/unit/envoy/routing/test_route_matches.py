from __future__ import annotations

import pytest
from google.protobuf import json_format
from tests.builders import views

from varka.envoy.routing import route_matches
from varka.envoy.security import jwt
from varka.model.security import JwtRule
from varka.model.traffic import HttpMatch, MatchKind, StringMatch


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("@request.auth.claims.group", ("group",)),
        ("@request.auth.claims.org.unit", ("org", "unit")),
        ("@request.auth.claims[org.example][unit]", ("org.example", "unit")),
        ("@request.auth.claims", ()),
        ("x-user", ()),
    ],
)
def test_claims_among_headers(name: str, path: tuple[str, ...]) -> None:
    """A name that begins so is no header but a claim, parted by dots or in brackets."""
    assert route_matches.claim(name) == path


def test_routing_by_claims() -> None:
    """A claim, which may be a text or a list of texts, is asked for in what the token filter left behind; others stay headers."""
    exact = StringMatch(kind=MatchKind.EXACT, value="a")
    match = HttpMatch(headers={"@request.auth.claims.groups": exact, "x-user": exact}, without_headers={"@request.auth.claims.sub": exact})
    found = json_format.MessageToDict(route_matches.build(match))
    text = {"stringMatch": {"exact": "a"}}
    either = {"orMatch": {"valueMatchers": [text, {"listMatch": {"oneOf": text}}]}}
    assert [item["name"] for item in found["headers"]] == ["x-user"]
    assert found["dynamicMetadata"] == [
        {"filter": jwt.NAME, "path": [{"key": "payload"}, {"key": "groups"}], "value": either},
        {"filter": jwt.NAME, "path": [{"key": "payload"}, {"key": "sub"}], "value": either, "invert": True},
    ]


def test_gateways_choose_the_route_again() -> None:
    """A gateway's route may depend on claims, so it is chosen again once they are known; a sidecar's does not."""
    rules = (JwtRule(issuer="i", jwks="{}"),)
    filters = [jwt.filters(views.view(proxy, views.outbound([]), jwt_rules=rules))[0] for proxy in (views.gateway(), views.sidecar())]
    providers = [json_format.MessageToDict(item)["typedConfig"]["providers"]["origins-0"] for item in filters]
    assert [provider.get("clearRouteCache", False) for provider in providers] == [True, False]
