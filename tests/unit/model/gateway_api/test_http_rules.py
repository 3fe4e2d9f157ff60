from __future__ import annotations

from typing import Any

import pytest
from tests.builders import gateway_api as build

from varka.model.traffic import HttpRoute, MatchKind

BACKEND = [{"name": "shop", "port": 80}]


def only(rule: dict[str, Any], kind: str = "HTTPRoute") -> HttpRoute:
    """The one route that a rule becomes."""
    made = build.translated(build.GATEWAY, build.route("r", {"rules": [{"backendRefs": BACKEND, **rule}]}, kind=kind))
    (service,) = made.virtual_services
    (route,) = service.http
    return route


def test_a_prefix_ends_where_a_segment_ends() -> None:
    """`/a` is for `/a` and `/a/b`, not for `/ab`."""
    (match,) = only({"matches": [{"path": {"type": "PathPrefix", "value": "/a"}}]}).matches
    assert match.uri is not None
    assert (match.uri.kind, match.uri.value, match.whole_segments) == (MatchKind.PREFIX, "/a", True)


def test_headers_and_parameters_are_conditions() -> None:
    """Header names without regard to case; of two for one name the first counts."""
    rule = {
        "matches": [
            {
                "headers": [{"name": "X-A", "value": "1"}, {"name": "x-a", "value": "2"}, {"type": "RegularExpression", "name": "b", "value": ".+"}],
                "queryParams": [{"name": "Q", "value": "3"}],
                "method": "POST",
            }
        ]
    }
    (match,) = only(rule).matches
    assert {name: (one.kind, one.value) for name, one in match.headers.items()} == {"x-a": (MatchKind.EXACT, "1"), "b": (MatchKind.REGEX, ".+")}
    assert match.query_params["Q"].value == "3"
    assert match.method is not None
    assert match.method.value == "POST"


@pytest.mark.parametrize(
    ("method", "kind", "value"),
    [
        ({"service": "a.B", "method": "C"}, MatchKind.EXACT, "/a.B/C"),
        ({"service": "a.B"}, MatchKind.PREFIX, "/a.B/"),
        ({"method": "C"}, MatchKind.REGEX, "/[^/]+/C"),
        ({"type": "RegularExpression", "service": "a.*"}, MatchKind.REGEX, "/a.*/[^/]+"),
        ({}, MatchKind.PREFIX, "/"),
    ],
)
def test_grpc_methods_are_paths(method: dict[str, str], kind: MatchKind, value: str) -> None:
    """`/service/method`."""
    (match,) = only({"matches": [{"method": method}]}, kind="GRPCRoute").matches
    assert match.uri is not None
    assert (match.uri.kind, match.uri.value) == (kind, value)


@pytest.mark.parametrize(
    ("path", "uri", "prefix", "regex"),
    [
        ({"type": "ReplaceFullPath", "replaceFullPath": "/new"}, "/new", "", ""),
        ({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/new/"}, "", "/new", ""),
        ({"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}, "", "", "^/a/*"),
    ],
)
def test_redirects(path: dict[str, str], uri: str, prefix: str, regex: str) -> None:
    """302 unless another code is named; no double slash where a prefix goes away."""
    rule = {
        "matches": [{"path": {"value": "/a"}}],
        "filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https", "hostname": "b.org", "path": path}}],
        "backendRefs": [],
    }
    redirect = only(rule).redirect
    assert redirect is not None
    assert (redirect.scheme, redirect.authority, redirect.code, redirect.derive_port) == ("https", "b.org", 302, "FROM_PROTOCOL_DEFAULT")
    assert (redirect.uri, redirect.uri_prefix_rewrite, redirect.regex) == (uri, prefix, regex)


def test_rewrites() -> None:
    """The host, the prefix, or the whole path."""

    def rewrite(**fields: Any) -> Any:
        found = only({"matches": [{"path": {"value": "/a"}}], "filters": [{"type": "URLRewrite", "urlRewrite": fields}]}).rewrite
        assert found is not None
        return found

    assert rewrite(hostname="b.org").authority == "b.org"
    assert rewrite(path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/b"}).uri == "/b"
    assert (
        rewrite(path={"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}).regex,
        rewrite(path={"type": "ReplaceFullPath", "replaceFullPath": "/x"}).substitution,
    ) == (
        "^/a/*",
        "/x",
    )


def test_header_filters_mirrors_timeouts_and_retries() -> None:
    """Each ends up where the mesh's routes have it."""
    rule = {
        "filters": [
            {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "a", "value": "1"}], "remove": ["b"]}},
            {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "c", "value": "2"}]}},
            {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "shop", "port": 81}, "fraction": {"numerator": 1, "denominator": 4}}},
            {"type": "CORS", "cors": {"allowOrigins": ["https://*.org"], "allowMethods": ["GET"]}},
        ],
        "timeouts": {"request": "10s", "backendRequest": "2s"},
        "retry": {"codes": [500, 503], "attempts": 3, "backoff": "100ms"},
    }
    route = only(rule)
    assert (route.headers.request.set, route.headers.request.remove, route.headers.response.add) == ({"a": "1"}, ("b",), {"c": "2"})
    assert (route.mirrors[0].destination.port, route.mirrors[0].percentage) == (81, 25.0)
    assert route.cors is not None
    assert route.cors.allow_origins[0].kind is MatchKind.REGEX
    assert route.timeout == 10.0
    assert route.retries is not None
    assert (route.retries.attempts, route.retries.per_try_timeout, route.retries.backoff) == (3, 2.0, 0.1)
    assert route.retries.retry_on.endswith(",500,503")


def test_weights_and_filters_of_backends() -> None:
    """A backend of weight 0 gets nothing; a share of one that is not there fails without the others."""
    rule = {
        "backendRefs": [
            {
                "name": "shop",
                "port": 80,
                "weight": 9,
                "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "v", "value": "1"}]}}],
            },
            {"name": "shop", "port": 81, "weight": 0},
            {"name": "none", "port": 80, "weight": 1},
        ]
    }
    route = only(rule)
    assert [(one.destination.host, one.weight) for one in route.destinations] == [("shop.default.svc.cluster.local", 9), ("backend.invalid", 1)]
    assert route.destinations[0].headers.request.set == {"v": "1"}
    assert route.absent_status == 500


def test_a_filter_that_is_not_known_here_is_told() -> None:
    """The rule answers 500 rather than do without it."""
    rule = {"filters": [{"type": "ExtensionRef", "extensionRef": {"group": "example.org", "kind": "X", "name": "y"}}], "backendRefs": BACKEND}
    made = build.translated(build.GATEWAY, build.route("r", {"rules": [rule]}))
    assert build.reasons(made, "r") == [["UnsupportedValue", "ResolvedRefs"]]
    (route,) = made.virtual_services[0].http
    assert route.direct_response is not None
