"""Which requests a rule of a VirtualService is for, in Envoy's terms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.route.v3 import route_components_pb2
from envoy.type.matcher.v3 import metadata_pb2, string_pb2, value_pb2

from varka.envoy import messages
from varka.envoy.security import jwt
from varka.model.traffic import HttpMatch, MatchKind, StringMatch

Header = route_components_pb2.HeaderMatcher
CLAIMS = "@request.auth.claims"


def build(match: HttpMatch | None) -> Any:
    """The RouteMatch; None matches every request."""
    if match is None:
        return route_components_pb2.RouteMatch(prefix="/")
    result = _path(match)
    for name, value in ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme)):
        if value is not None:
            result.headers.append(header(name, value))
    for given, inverted in ((match.headers, False), (match.without_headers, True)):
        for name, value in sorted(given.items()):
            path = claim(name)
            if path:
                result.dynamic_metadata.append(_claim(path, value, inverted))
            else:
                result.headers.append(header(name, value, inverted))
    result.query_parameters.extend(_query(name, value) for name, value in sorted(match.query_params.items()))
    return result


def catches_all(match: HttpMatch | None) -> bool:
    """Whether no request can get past this match, so that what follows is never reached."""
    if match is None:
        return True
    if match.uri is not None:
        anything = {(MatchKind.PREFIX, "/"), (MatchKind.PREFIX, ""), (MatchKind.REGEX, "*"), (MatchKind.REGEX, ".*")}
        if (match.uri.kind, match.uri.value) not in anything:
            return False
    narrower = match.headers or match.without_headers or match.query_params or match.method or match.authority or match.scheme
    return not narrower


def applies(match: HttpMatch | None, port: int, gateway: str, labels: Mapping[str, str], namespace: str) -> bool:
    """Whether the match can hold at this proxy, port and gateway (`mesh` or `namespace/name`)."""
    if match is None:
        return True
    if match.gateways and gateway not in match.gateways:
        return False
    if match.port is not None and match.port != port:
        return False
    if match.source_namespace and match.source_namespace != namespace:
        return False
    return all(labels.get(key) == value for key, value in match.source_labels.items())


def header(name: str, match: StringMatch, inverted: bool = False) -> Any:
    """One header's condition; a header that must not match may also be absent."""
    if match.kind is MatchKind.PRESENT or (match.kind is MatchKind.REGEX and match.value == "*"):
        return Header(name=name, present_match=True, invert_match=inverted)
    return Header(name=name, string_match=messages.string_matcher(match), invert_match=inverted, treat_missing_header_as_empty=inverted)


def claim(name: str) -> tuple[str, ...]:
    """`@request.auth.claims.a.b`, or `@request.auth.claims[a][b]`: the claim `b` inside the claim `a` of the request's token; empty for a header."""
    rest = name.removeprefix(CLAIMS)
    if rest == name or not rest:
        return ()
    if rest.startswith("[") and rest.endswith("]"):
        return tuple(rest[1:-1].split("]["))
    return tuple(rest[1:].split(".")) if rest.startswith(".") else ()


def _claim(path: tuple[str, ...], match: StringMatch, inverted: bool) -> Any:
    """A claim is a text, or a list that has one."""
    wanted = string_pb2.StringMatcher(safe_regex=messages.regex(".*")) if match.kind is MatchKind.PRESENT else messages.string_matcher(match)
    single = value_pb2.ValueMatcher(string_match=wanted)
    listed = value_pb2.ValueMatcher(list_match=value_pb2.ListMatcher(one_of=single))
    either = value_pb2.ValueMatcher(or_match=value_pb2.OrMatcher(value_matchers=[single, listed]))
    segments = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in (jwt.PAYLOAD, *path)]
    return metadata_pb2.MetadataMatcher(filter=jwt.NAME, path=segments, value=either, invert=inverted)


def _path(match: HttpMatch) -> Any:
    result = route_components_pb2.RouteMatch()
    uri = match.uri
    if uri is None or uri.kind is MatchKind.PRESENT:
        result.prefix = "/"
    elif uri.kind is MatchKind.EXACT:
        result.path = uri.value
    elif uri.kind is MatchKind.PREFIX and match.whole_segments and uri.value.rstrip("/"):
        result.path_separated_prefix = uri.value.rstrip("/")
    elif uri.kind is MatchKind.PREFIX:
        result.prefix = uri.value or "/"
    else:
        result.safe_regex.regex = ".*" if uri.value == "*" else uri.value
    if match.ignore_uri_case:
        result.case_sensitive.value = False
    return result


def _query(name: str, match: StringMatch) -> Any:
    if match.kind is MatchKind.PRESENT:
        return route_components_pb2.QueryParameterMatcher(name=name, present_match=True)
    return route_components_pb2.QueryParameterMatcher(name=name, string_match=messages.string_matcher(match))
