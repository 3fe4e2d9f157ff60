"""The HTTP rules of a VirtualService, one by one and in their order."""

from __future__ import annotations

import re

from varka.base import regexes
from varka.resources.traffic import virtual_services as written
from varka.resources.validation import names
from varka.resources.validation.findings import Findings

_HEADER = re.compile(r"[-_A-Za-z0-9]+")
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"}


def check(route: written.HttpRoute, path: str, delegate: bool, found: Findings) -> None:
    """Check one rule."""
    _check_action(route, path, delegate, found)
    for index, match in enumerate(route.match):
        _check_match(match, f"{path}.match[{index}]", delegate, found)
    for index, item in enumerate(route.route):
        where = f"{path}.route[{index}]"
        check_destination(item.destination, f"{where}.destination", found)
        _check_headers(item.headers, f"{where}.headers", found)
    check_weights([item.weight for item in route.route], f"{path}.route", found)
    _check_headers(route.headers, f"{path}.headers", found)
    _check_fault(route.fault, f"{path}.fault", found)
    _check_mirrors(route, path, found)
    if route.retries is not None and route.retries.attempts < 0:
        found.error(f"{path}.retries.attempts", "attempts cannot be negative")
    if route.redirect is not None:
        _check_redirect(route.redirect, f"{path}.redirect", found)
    if route.direct_response is not None and not 200 <= route.direct_response.status <= 599:
        found.error(f"{path}.directResponse.status", f"HTTP status {route.direct_response.status} is not in range 200-599")
    if route.rewrite is not None:
        _check_rewrite(route.rewrite, f"{path}.rewrite", found)
    if route.cors_policy is not None:
        _check_cors(route.cors_policy, f"{path}.corsPolicy", found)


def _check_action(route: written.HttpRoute, path: str, delegate: bool, found: Findings) -> None:
    actions = {"route": bool(route.route), "redirect": route.redirect is not None, "directResponse": route.direct_response is not None}
    given = [name for name, there in actions.items() if there]
    if route.delegate is not None:
        if delegate:
            found.error(f"{path}.delegate", "a delegate cannot have a delegate of its own")
        if given:
            found.error(path, f"a rule with a delegate cannot have {given[0]}")
    elif not given:
        found.error(path, "HTTP route, redirect or directResponse is required")
    elif len(given) > 1:
        found.error(path, f"HTTP route cannot contain both {given[0]} and {given[1]}")
    elif route.redirect is not None:
        for name in ("fault", "rewrite"):
            if getattr(route, name) is not None:
                found.error(f"{path}.{name}", f"HTTP route cannot contain both redirect and {name}")


def _check_match(match: written.HttpMatchRequest, path: str, delegate: bool, found: Findings) -> None:
    for name in ("uri", "scheme", "method", "authority"):
        given = getattr(match, name)
        if given is not None:
            _check_string(given, f"{path}.{name}", found)
    for field, given in (("headers", match.headers), ("withoutHeaders", match.without_headers), ("queryParams", match.query_params)):
        for key, item in given.items():
            if field != "queryParams" and not key.startswith("@") and not _HEADER.fullmatch(key.removeprefix(":")):
                found.error(f"{path}.{field}[{key}]", f"header name {key!r} is not a valid header name")
            _check_string(item, f"{path}.{field}[{key}]", found)
    if match.port is not None:
        names.check_port(match.port, f"{path}.port", found)
    if match.gateways and delegate:
        found.error(f"{path}.gateways", "a delegate cannot have gateways; those of its parent count")
    names.check_labels(match.source_labels, f"{path}.sourceLabels", found)


def _check_string(given: written.StringMatch, path: str, found: Findings) -> None:
    if given.prefix == "":
        found.error(f"{path}.prefix", "prefix must not be empty; use '/' to match every path")
    if given.regex is not None:
        check_regex(given.regex, f"{path}.regex", found)


def check_regex(pattern: str, path: str, found: Findings) -> None:
    """Check that Envoy can compile a pattern."""
    problem = regexes.problem(pattern)
    if problem:
        found.error(path, f"{pattern[:200]!r} is not a regular expression of RE2, which Envoy uses: {problem}")


def check_destination(given: written.Destination | None, path: str, found: Findings) -> None:
    """Check a destination; it has to be there."""
    if given is None:
        found.error(path, "destination is required")
        return
    if not given.host or given.host == "*":
        found.error(f"{path}.host", "invalid destination host; name a service")
    else:
        names.check_domain(given.host, f"{path}.host", found)
    if given.subset and not names.is_label(given.subset):
        found.error(f"{path}.subset", f"{given.subset!r} is not a name of a subset")
    if given.port is not None:
        names.check_port(given.port.number, f"{path}.port.number", found)


def check_weights(weights: list[int], path: str, found: Findings) -> None:
    """Check that weights are not negative and that some request goes somewhere."""
    for index, weight in enumerate(weights):
        if weight < 0:
            found.error(f"{path}[{index}].weight", f"weight {weight} < 0")
    if len(weights) > 1 and sum(weights) == 0:
        found.error(path, "total destination weight = 0")


def _check_headers(given: written.Headers | None, path: str, found: Findings) -> None:
    for side, operations in (("request", given.request), ("response", given.response)) if given is not None else ():
        if operations is None:
            continue
        for kind, keys in (("set", operations.set), ("add", operations.add), ("remove", operations.remove)):
            for key in keys:
                if key == ":authority" and kind == "set" and side == "request":
                    continue
                if not _HEADER.fullmatch(key):
                    found.error(f"{path}.{side}.{kind}[{key}]", f"header name {key!r} is not a valid header name")


def _check_fault(fault: written.HttpFaultInjection | None, path: str, found: Findings) -> None:
    if fault is None:
        return
    if fault.delay is None and fault.abort is None:
        found.error(path, "HTTP fault injection must have an abort and/or a delay")
    if fault.delay is not None and fault.delay.fixed_delay is None and fault.delay.exponential_delay is None:
        found.error(f"{path}.delay.fixedDelay", "is required")
    if fault.delay is not None and fault.delay.percent:
        found.warning(f"{path}.delay.percent", "percent is deprecated; use percentage")
    abort = fault.abort
    if abort is not None:
        if abort.http_status is None and abort.grpc_status is None and abort.http2_error is None:
            found.error(f"{path}.abort", "an abort needs httpStatus or grpcStatus")
        if abort.http_status is not None and not 200 <= abort.http_status <= 599:
            found.error(f"{path}.abort.httpStatus", f"HTTP status {abort.http_status} is not in range 200-599")
    for name, part in (("delay", fault.delay), ("abort", fault.abort)):
        share = part.percentage if part is not None else None
        if share is not None and not 0 <= share.value <= 100:
            found.error(f"{path}.{name}.percentage", f"percentage {share.value} is not in range 0..100")


def _check_mirrors(route: written.HttpRoute, path: str, found: Findings) -> None:
    for name, old in (("mirrorPercent", route.mirror_percent), ("mirror_percent", route.mirror_percent_old)):
        if old is not None:
            found.warning(f"{path}.{name}", f"using deprecated setting {name!r}, use 'mirrorPercentage' instead", "Deprecated")
            if old > 100:
                found.error(f"{path}.{name}", f"{old} is not in range 0..100")
    if route.mirror is not None:
        check_destination(route.mirror, f"{path}.mirror", found)
        if route.mirrors:
            found.error(f"{path}.mirrors", "HTTP route cannot contain both mirror and mirrors")
    for index, item in enumerate(route.mirrors):
        check_destination(item.destination, f"{path}.mirrors[{index}].destination", found)
    for where, share in (("mirrorPercentage", route.mirror_percentage), *((f"mirrors[{i}]", item.percentage) for i, item in enumerate(route.mirrors))):
        if share is not None and not 0 <= share.value <= 100:
            found.error(f"{path}.{where}", f"percentage {share.value} is not in range 0..100")


def _check_redirect(given: written.HttpRedirect, path: str, found: Findings) -> None:
    if not (given.uri or given.authority or given.scheme or given.port or given.derive_port or given.redirect_code):
        found.error(path, "redirect must specify URI, authority, scheme, or port")
    if given.redirect_code and not 300 <= given.redirect_code <= 399:
        found.error(f"{path}.redirectCode", f"{given.redirect_code} is not in range 300..399")
    if given.scheme and given.scheme not in {"http", "https"}:
        found.error(f"{path}.scheme", f"invalid redirect scheme {given.scheme!r}; use http or https")


def _check_rewrite(given: written.HttpRewrite, path: str, found: Findings) -> None:
    if not (given.uri or given.authority or given.uri_regex_rewrite is not None):
        found.error(path, "rewrite must specify at least one of URI, authority or uriRegexRewrite")
    if given.uri and given.uri_regex_rewrite is not None:
        found.error(path, "rewrite cannot have both uri and uriRegexRewrite")
    if given.uri_regex_rewrite is not None:
        check_regex(given.uri_regex_rewrite.match, f"{path}.uriRegexRewrite.match", found)


def _check_cors(given: written.CorsPolicy, path: str, found: Findings) -> None:
    for index, origin in enumerate(given.allow_origins):
        if origin.regex is not None:
            check_regex(origin.regex, f"{path}.allowOrigins[{index}].regex", found)
    for index, method in enumerate(given.allow_methods):
        if method not in _METHODS:
            found.error(f"{path}.allowMethods[{index}]", f"{method!r} is not a supported HTTP method")
    if given.allow_origin:
        found.warning(f"{path}.allowOrigin", "allowOrigin is deprecated; use allowOrigins", "Deprecated")
