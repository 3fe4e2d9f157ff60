"""The rules of a VirtualService, one by one, from the words of the API to those of the model."""

from __future__ import annotations

import base64
import binascii

from msgspec import Struct

from varka.base import durations, regexes
from varka.model.discovery import hosts
from varka.model.traffic import (
    Abort,
    Cors,
    Delay,
    Destination,
    DirectResponse,
    HeaderOperations,
    Headers,
    HttpMatch,
    HttpRoute,
    L4Match,
    L4Route,
    MatchKind,
    Mirror,
    Redirect,
    Retries,
    Rewrite,
    StringMatch,
    WeightedDestination,
)
from varka.resources.traffic import virtual_services as written

_PREFIX = "%PREFIX()%"


class Names(Struct, frozen=True, kw_only=True):
    """Where names are resolved: the namespace of the resource, and the cluster's domain."""

    namespace: str
    domain: str

    def destination(self, given: written.Destination | None) -> Destination:
        """A destination with its full host name."""
        if given is None:
            return Destination(host=hosts.qualified("", self.namespace, self.domain))
        port = given.port.number if given.port is not None else None
        return Destination(host=hosts.qualified(given.host, self.namespace, self.domain), subset=given.subset, port=port or None)


def seconds(text: str | None) -> float | None:
    """A duration in seconds; None when absent or malformed, which validation has reported."""
    if text is None:
        return None
    try:
        return durations.seconds(text)
    except ValueError:
        return None


def string_match(given: written.StringMatch) -> StringMatch:
    """A test of a text; an empty one asks for presence."""
    if given.exact is not None:
        return StringMatch(kind=MatchKind.EXACT, value=given.exact)
    if given.prefix is not None:
        return StringMatch(kind=MatchKind.PREFIX, value=given.prefix)
    if given.regex is not None:
        return StringMatch(kind=MatchKind.REGEX, value=given.regex)
    return StringMatch(kind=MatchKind.PRESENT)


def _optional(given: written.StringMatch | None) -> StringMatch | None:
    return string_match(given) if given is not None else None


def _all(given: dict[str, written.StringMatch]) -> dict[str, StringMatch]:
    return {name: string_match(match) for name, match in given.items()}


def readable(given: StringMatch | None) -> bool:
    """Whether Envoy can read a test: one with a broken expression would make it refuse all rules of all hosts."""
    return given is None or given.kind is not MatchKind.REGEX or given.value == "*" or not regexes.problem(given.value)


def _sound(match: HttpMatch) -> bool:
    single = (match.uri, match.scheme, match.method, match.authority)
    return all(map(readable, (*single, *match.headers.values(), *match.without_headers.values(), *match.query_params.values())))


def http(route: written.HttpRoute, names: Names) -> HttpRoute | None:
    """One HTTP rule; a delegate is not followed here. None for a rule that no request can meet, or that does nothing."""
    matches = tuple(match for item in route.match if _sound(match := _http_match(item, names)))
    acts = route.route or route.redirect is not None or route.direct_response is not None or route.delegate is not None
    return None if (route.match and not matches) or not acts else _http(route, matches, names)


def _http(route: written.HttpRoute, matches: tuple[HttpMatch, ...], names: Names) -> HttpRoute:
    timeout = seconds(route.timeout)
    fault = route.fault or written.HttpFaultInjection()
    return HttpRoute(
        name=route.name,
        matches=matches,
        destinations=_http_destinations(route.route, names),
        redirect=_redirect(route.redirect) if route.redirect is not None else None,
        direct_response=_direct_response(route.direct_response) if route.direct_response is not None else None,
        rewrite=_rewrite(route.rewrite) if route.rewrite is not None else None,
        timeout=timeout or None,
        retries=retries(route.retries) if route.retries is not None else None,
        delay=_delay(fault.delay) if fault.delay is not None else None,
        abort=_abort(fault.abort) if fault.abort is not None else None,
        mirrors=_mirrors(route, names),
        cors=_cors(route.cors_policy) if route.cors_policy is not None else None,
        headers=_headers(route.headers),
    )


def _http_match(match: written.HttpMatchRequest, names: Names) -> HttpMatch:
    return HttpMatch(
        name=match.name,
        uri=_optional(match.uri),
        ignore_uri_case=match.ignore_uri_case,
        scheme=_optional(match.scheme),
        method=_optional(match.method),
        authority=_optional(match.authority),
        headers=_all(match.headers),
        without_headers=_all(match.without_headers),
        query_params=_all(match.query_params),
        port=match.port or None,
        source_labels=dict(match.source_labels),
        source_namespace=match.source_namespace,
        gateways=tuple(hosts.gateway(name, names.namespace) for name in match.gateways),
        stat_prefix=match.stat_prefix,
    )


def _http_destinations(given: tuple[written.HttpRouteDestination, ...], names: Names) -> tuple[WeightedDestination, ...]:
    alone = len(given) == 1
    return tuple(
        WeightedDestination(destination=names.destination(item.destination), weight=item.weight or (100 if alone else 0), headers=_headers(item.headers))
        for item in given
    )


def _headers(given: written.Headers | None) -> Headers:
    if given is None:
        return Headers()
    return Headers(request=_operations(given.request), response=_operations(given.response))


def _operations(given: written.HeaderOperations | None) -> HeaderOperations:
    if given is None:
        return HeaderOperations()
    return HeaderOperations(set=dict(given.set), add=dict(given.add), remove=given.remove)


def _redirect(given: written.HttpRedirect) -> Redirect:
    prefixed = given.uri.startswith(_PREFIX)
    return Redirect(
        uri="" if prefixed else given.uri,
        uri_prefix_rewrite=given.uri.removeprefix(_PREFIX) if prefixed else "",
        authority=given.authority,
        scheme=given.scheme,
        port=given.port or None,
        derive_port=given.derive_port or "",
        code=given.redirect_code or 301,
    )


def _direct_response(given: written.HttpDirectResponse) -> DirectResponse:
    body: bytes | None = None
    if given.body is not None and given.body.string is not None:
        body = given.body.string.encode()
    elif given.body is not None and given.body.bytes is not None:
        try:
            body = base64.b64decode(given.body.bytes)
        except (ValueError, binascii.Error):
            body = None
    return DirectResponse(status=given.status, body=body)


def _rewrite(given: written.HttpRewrite) -> Rewrite:
    regex = given.uri_regex_rewrite or written.RegexRewrite()
    if regexes.problem(regex.match):
        regex = written.RegexRewrite()
    return Rewrite(uri=given.uri, authority=given.authority, regex=regex.match, substitution=regex.rewrite)


def retries(given: written.HttpRetry) -> Retries:
    """How often, and after what, a request is tried again."""
    return Retries(
        attempts=given.attempts,
        per_try_timeout=seconds(given.per_try_timeout),
        retry_on=given.retry_on,
        remote_localities=given.retry_remote_localities,
        ignore_previous_hosts=given.retry_ignore_previous_hosts is not False,
        backoff=seconds(given.backoff),
    )


def _delay(given: written.Delay) -> Delay | None:
    fixed = seconds(given.fixed_delay)
    if fixed is None:
        return None
    percentage = given.percentage.value if given.percentage is not None else float(given.percent or 0)
    return Delay(seconds=fixed, percentage=percentage)


def _abort(given: written.Abort) -> Abort | None:
    if given.http_status is None and given.grpc_status is None:
        return None
    percentage = given.percentage.value if given.percentage is not None else 0.0
    return Abort(percentage=percentage, http_status=given.http_status, grpc_status=given.grpc_status)


def _mirrors(route: written.HttpRoute, names: Names) -> tuple[Mirror, ...]:
    found = [
        Mirror(destination=names.destination(item.destination), percentage=item.percentage.value if item.percentage is not None else 100.0)
        for item in route.mirrors
    ]
    if route.mirror is not None:
        percent = route.mirror_percent if route.mirror_percent is not None else route.mirror_percent_old
        share = route.mirror_percentage.value if route.mirror_percentage is not None else float(percent) if percent is not None else 100.0
        found.insert(0, Mirror(destination=names.destination(route.mirror), percentage=share))
    return tuple(mirror for mirror in found if mirror.percentage > 0)


def _cors(given: written.CorsPolicy) -> Cors:
    preflights = given.unmatched_preflights or "UNSPECIFIED"
    origins = [string_match(origin) for origin in given.allow_origins]
    origins = origins or [StringMatch(kind=MatchKind.EXACT, value=origin) for origin in given.allow_origin]
    return Cors(
        allow_origins=tuple(filter(readable, origins)),
        allow_methods=given.allow_methods,
        allow_headers=given.allow_headers,
        expose_headers=given.expose_headers,
        max_age=seconds(given.max_age),
        allow_credentials=given.allow_credentials,
        unmatched_preflights="" if preflights == "UNSPECIFIED" else preflights,
    )


def tls(route: written.TlsRoute, names: Names) -> L4Route:
    """One rule for TLS that is passed on unopened."""
    matches = tuple(
        L4Match(
            sni_hosts=tuple(host.lower() for host in match.sni_hosts),
            destination_subnets=match.destination_subnets,
            port=match.port or None,
            source_labels=dict(match.source_labels),
            source_namespace=match.source_namespace,
            gateways=tuple(hosts.gateway(name, names.namespace) for name in match.gateways),
        )
        for match in route.match
    )
    return L4Route(matches=matches, destinations=_destinations(route.route, names))


def tcp(route: written.TcpRoute, names: Names) -> L4Route:
    """One rule for TCP."""
    matches = tuple(
        L4Match(
            destination_subnets=match.destination_subnets,
            port=match.port or None,
            source_subnet=match.source_subnet,
            source_labels=dict(match.source_labels),
            source_namespace=match.source_namespace,
            gateways=tuple(hosts.gateway(name, names.namespace) for name in match.gateways),
        )
        for match in route.match
    )
    return L4Route(matches=matches, destinations=_destinations(route.route, names))


def _destinations(given: tuple[written.RouteDestination, ...], names: Names) -> tuple[WeightedDestination, ...]:
    alone = len(given) == 1
    return tuple(WeightedDestination(destination=names.destination(item.destination), weight=item.weight or (100 if alone else 0)) for item in given)
