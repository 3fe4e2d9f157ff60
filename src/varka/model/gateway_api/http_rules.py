"""Rules of HTTPRoutes and GRPCRoutes as HTTP routes of the mesh, one a match, with the rank that the Gateway API gives it.

Where several routes fit a request, the Gateway API decides: exact path, longest prefix, a method, most headers, most
query parameters, then the oldest route. A sorted list of ranked rules therefore is a list of routes in their order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from varka.base import durations
from varka.model.gateway_api import backends, statuses
from varka.model.gateway_api.backends import Directory
from varka.model.gateway_api.statuses import Condition
from varka.model.traffic import (
    Cors,
    Destination,
    DirectResponse,
    HeaderOperations,
    Headers,
    HttpMatch,
    HttpRoute,
    MatchKind,
    Mirror,
    Redirect,
    Retries,
    Rewrite,
    StringMatch,
    WeightedDestination,
)
from varka.resources import Parsed
from varka.resources.gateway_api import routes as written

RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled"
Rank = tuple[int, int, int, int, int, float, str, int, int]


class Ranked(Struct, frozen=True, kw_only=True):
    """A route of the mesh and its place among others; the lowest rank is tried first."""

    rank: Rank
    route: HttpRoute


class Rules(Struct, frozen=True, kw_only=True):
    """The rules of one route and what is wrong with them."""

    ranked: tuple[Ranked, ...] = ()
    unresolved: Condition | None = None
    unsupported: Condition | None = None


class _Found(Struct, frozen=True, kw_only=True):
    """What one rule's filters and backends come to."""

    route: HttpRoute
    unresolved: Condition | None
    unsupported: Condition | None


def of_http(source: Parsed[written.HttpRoute], directory: Directory) -> Rules:
    """The rules of an HTTPRoute."""
    assert source.spec is not None
    found = [(rule, [_http_match(match) for match in rule.matches or (written.HttpRouteMatch(),)]) for rule in source.spec.rules]
    return _rules(source, found, directory)


def of_grpc(source: Parsed[written.GrpcRoute], directory: Directory) -> Rules:
    """The rules of a GRPCRoute."""
    assert source.spec is not None
    found = []
    for rule in source.spec.rules:
        plain = written.HttpRouteRule(name=rule.name, filters=rule.filters, backend_refs=rule.backend_refs)
        found.append((plain, [_grpc_match(match) for match in rule.matches or (written.GrpcRouteMatch(),)]))
    return _rules(source, found, directory)


def _rules(source: Parsed[object], found: Iterable[tuple[written.HttpRouteRule, Sequence[HttpMatch]]], directory: Directory) -> Rules:
    ranked: list[Ranked] = []
    problems: list[_Found] = []
    for number, (rule, matches) in enumerate(found):
        problems += [_rule(source, rule, match, directory) for match in matches[:1]]
        for place, match in enumerate(matches):
            made = _rule(source, rule, match, directory).route
            name = ".".join((source.meta.namespace, source.meta.name, rule.name or str(number)))
            rank = (*_specificity(match), source.meta.created, source.meta.key, number, place)
            ranked.append(Ranked(rank=rank, route=replace(made, name=name, matches=(match,))))
    return Rules(
        ranked=tuple(ranked),
        unresolved=backends.first(one.unresolved for one in problems),
        unsupported=backends.first(one.unsupported for one in problems),
    )


def _specificity(match: HttpMatch) -> tuple[int, int, int, int, int]:
    kind = match.uri.kind if match.uri is not None else MatchKind.PREFIX
    length = len(match.uri.value.rstrip("/")) if match.uri is not None else 0
    first = {MatchKind.EXACT: 0, MatchKind.PREFIX: 1}.get(kind, 2)
    return (first, -length, 0 if match.method else 1, -len(match.headers), -len(match.query_params))


def _http_match(given: written.HttpRouteMatch) -> HttpMatch:
    path = given.path or written.PathMatch()
    kinds = {"Exact": MatchKind.EXACT, "PathPrefix": MatchKind.PREFIX, "RegularExpression": MatchKind.REGEX}
    value = path.value or "/"
    return HttpMatch(
        uri=StringMatch(kind=kinds[path.type], value=value),
        whole_segments=path.type == "PathPrefix",
        method=StringMatch(kind=MatchKind.EXACT, value=given.method) if given.method else None,
        headers=_values(given.headers, lower=True),
        query_params=_values(given.query_params, lower=False),
    )


def _values(given: Iterable[written.ValueMatch], *, lower: bool) -> dict[str, StringMatch]:
    """Conditions by name; of two for one name the first counts."""
    found: dict[str, StringMatch] = {}
    for one in given:
        kind = MatchKind.EXACT if one.type == "Exact" else MatchKind.REGEX
        found.setdefault(one.name.lower() if lower else one.name, StringMatch(kind=kind, value=one.value))
    return found


def _grpc_match(given: written.GrpcRouteMatch) -> HttpMatch:
    headers = _values(given.headers, lower=True)
    method = given.method
    if method is None or not (method.service or method.method):
        return HttpMatch(uri=StringMatch(kind=MatchKind.PREFIX, value="/"), headers=headers)
    if method.type == "Exact" and method.service and method.method:
        return HttpMatch(uri=StringMatch(kind=MatchKind.EXACT, value=f"/{method.service}/{method.method}"), headers=headers)
    if method.type == "Exact" and method.service:
        return HttpMatch(uri=StringMatch(kind=MatchKind.PREFIX, value=f"/{method.service}/"), headers=headers)
    exact = method.type == "Exact"
    service = (re.escape(method.service) if exact else method.service) if method.service else "[^/]+"
    name = (re.escape(method.method) if exact else method.method) if method.method else "[^/]+"
    return HttpMatch(uri=StringMatch(kind=MatchKind.REGEX, value=f"/{service}/{name}"), headers=headers)


def _rule(source: Parsed[object], rule: written.HttpRouteRule, match: HttpMatch, directory: Directory) -> _Found:
    """What is done with requests of one match."""
    kind, namespace = source.kind, source.meta.namespace
    route, problems, unsupported = HttpRoute(), [], None
    for one in rule.filters:
        route, problem = _filtered(route, one, match, source, directory)
        problems.append(problem)
        if one.type == "ExtensionRef":
            unsupported = statuses.refused("UnsupportedValue", "filters of type ExtensionRef are not supported")
    timeouts = rule.timeouts
    retry = rule.retry
    if timeouts is not None and (timeouts.request or timeouts.backend_request):
        whole, single = _seconds(timeouts.request), _seconds(timeouts.backend_request)
        route = replace(route, timeout=whole if whole is not None else single if retry is None else None)
        if single is not None and whole is not None and retry is None:
            route = replace(route, timeout=min(whole, single) if whole else single)
    if retry is not None:
        codes = ",".join(map(str, retry.codes))
        route = replace(
            route,
            retries=Retries(
                attempts=retry.attempts if retry.attempts is not None else 1,
                per_try_timeout=_seconds(timeouts.backend_request) if timeouts is not None else None,
                retry_on=f"{RETRY_ON},{codes}" if codes else RETRY_ON,
                backoff=_seconds(retry.backoff),
            ),
        )
    if route.redirect is not None:
        return _Found(route=route, unresolved=backends.first(problems), unsupported=unsupported)
    destinations, more = _destinations(kind, namespace, rule.backend_refs, directory)
    problems.extend(more)
    usable = any(one.weight and one.destination.host != backends.NOWHERE for one in destinations)
    if usable and unsupported is None:
        route = replace(route, destinations=destinations, absent_status=500)
    else:
        route = replace(route, direct_response=DirectResponse(status=500), rewrite=None, mirrors=(), retries=None, timeout=None)
    return _Found(route=route, unresolved=backends.first(problems), unsupported=unsupported)


def _seconds(text: str | None) -> float | None:
    if not text:
        return None
    try:
        return durations.seconds(text)
    except ValueError:
        return None


def _destinations(
    kind: str, namespace: str, given: Iterable[written.BackendRef], directory: Directory
) -> tuple[tuple[WeightedDestination, ...], list[Condition | None]]:
    found: list[WeightedDestination] = []
    problems: list[Condition | None] = []
    for one in given:
        destination, problem = backends.resolve(kind, namespace, one, directory)
        problems.append(problem)
        headers = Headers()
        for item in one.filters:
            headers = _headers(headers, item)
        if one.weight:
            found.append(WeightedDestination(destination=destination or Destination(host=backends.NOWHERE), weight=one.weight, headers=headers))
    return tuple(found), problems


def _filtered(route: HttpRoute, given: written.Filter, match: HttpMatch, source: Parsed[object], directory: Directory) -> tuple[HttpRoute, Condition | None]:
    """The route with one more filter."""
    if given.type in ("RequestHeaderModifier", "ResponseHeaderModifier"):
        return replace(route, headers=_headers(route.headers, given)), None
    if given.type == "RequestRedirect" and given.request_redirect is not None:
        return replace(route, redirect=_redirect(given.request_redirect, match)), None
    if given.type == "URLRewrite" and given.url_rewrite is not None:
        return replace(route, rewrite=_rewrite(given.url_rewrite, match)), None
    if given.type == "CORS" and given.cors is not None:
        return replace(route, cors=_cors(given.cors)), None
    if given.type == "RequestMirror" and given.request_mirror is not None and given.request_mirror.backend_ref is not None:
        mirror = given.request_mirror
        assert mirror.backend_ref is not None
        destination, problem = backends.resolve(source.kind, source.meta.namespace, mirror.backend_ref, directory)
        if destination is None:
            return route, problem
        share = 100.0 if mirror.percent is None else float(mirror.percent)
        if mirror.fraction is not None:
            share = 100.0 * mirror.fraction.numerator / max(1, mirror.fraction.denominator)
        return replace(route, mirrors=(*route.mirrors, Mirror(destination=destination, percentage=min(share, 100.0)))), None
    return route, None


def _headers(headers: Headers, given: written.Filter) -> Headers:
    if given.type == "RequestHeaderModifier" and given.request_header_modifier is not None:
        return replace(headers, request=_operations(headers.request, given.request_header_modifier))
    if given.type == "ResponseHeaderModifier" and given.response_header_modifier is not None:
        return replace(headers, response=_operations(headers.response, given.response_header_modifier))
    return headers


def _operations(before: HeaderOperations, given: written.HeaderFilter) -> HeaderOperations:
    return HeaderOperations(
        set={**before.set, **{one.name: one.value for one in given.set}},
        add={**before.add, **{one.name: one.value for one in given.add}},
        remove=(*before.remove, *given.remove),
    )


def _redirect(given: written.RequestRedirect, match: HttpMatch) -> Redirect:
    port = given.port
    derive = "" if port is not None else "FROM_PROTOCOL_DEFAULT" if given.scheme else "FROM_REQUEST_PORT"
    made = Redirect(scheme=given.scheme or "", authority=given.hostname, port=port, derive_port=derive, code=given.status_code)
    if given.path is None:
        return made
    if given.path.type == "ReplaceFullPath":
        return replace(made, uri=given.path.replace_full_path or "/")
    prefix = (given.path.replace_prefix_match or "").rstrip("/")
    if prefix:
        return replace(made, uri_prefix_rewrite=prefix)
    return replace(made, regex=_without_prefix(match), substitution="/")


def _rewrite(given: written.UrlRewrite, match: HttpMatch) -> Rewrite:
    made = Rewrite(authority=given.hostname)
    if given.path is None:
        return made
    if given.path.type == "ReplaceFullPath":
        # The whole path, not only the prefix that was matched.
        return replace(made, regex="^[^?]*", substitution=_literal(given.path.replace_full_path or "/"))
    prefix = (given.path.replace_prefix_match or "").rstrip("/")
    if prefix:
        return replace(made, uri=prefix) if match.uri is None or match.uri.value != "/" else replace(made, regex="^/", substitution=_literal(prefix + "/"))
    return replace(made, regex=_without_prefix(match), substitution="/")


def _without_prefix(match: HttpMatch) -> str:
    """Matches the prefix and the slashes after it: what is left begins with one slash."""
    prefix = match.uri.value.rstrip("/") if match.uri is not None else ""
    return f"^{re.escape(prefix)}/*"


def _literal(text: str) -> str:
    """A text in a substitution, where a backslash would name a group."""
    return text.replace("\\", "\\\\")


def _cors(given: written.Cors) -> Cors:
    def origin(text: str) -> StringMatch:
        if "*" not in text:
            return StringMatch(kind=MatchKind.EXACT, value=text)
        return StringMatch(kind=MatchKind.REGEX, value=".*" if text == "*" else re.escape(text).replace(r"\*", ".*"))

    return Cors(
        allow_origins=tuple(origin(text) for text in given.allow_origins),
        allow_methods=given.allow_methods,
        allow_headers=given.allow_headers,
        expose_headers=given.expose_headers,
        max_age=float(given.max_age),
        allow_credentials=given.allow_credentials,
        unmatched_preflights="IGNORE",
    )


def for_port(route: HttpRoute, port: int | None) -> HttpRoute:
    """The route for calls to one port of a service only."""
    return route if port is None else replace(route, matches=tuple(replace(match, port=port) for match in route.matches))
