"""The HTTP rules of a VirtualService, one by one and in their order."""

from __future__ import annotations

from http import HTTPStatus

from varka.base import durations, grpc_status
from varka.resources.traffic import virtual_services as written
from varka.resources.validation import headers, http_matches, names
from varka.resources.validation.findings import Findings

_RETRY_ON = {
    *("5xx", "gateway-error", "reset", "reset-before-request", "connect-failure", "retriable-4xx", "refused-stream", "retriable-status-codes"),
    *("retriable-headers", "envoy-ratelimited", "http3-post-connect-failure"),
    *("cancelled", "deadline-exceeded", "internal", "resource-exhausted", "unavailable"),
}
_STATUS = {str(status.value) for status in HTTPStatus}
_LARGE_BODY, _LARGEST_BODY = 100 * 1024, 1024 * 1024
_METHODS = {"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "*"}


def check(route: written.HttpRoute, path: str, delegate: bool, found: Findings) -> None:
    """Check one rule."""
    _check_action(route, path, delegate, found)
    for index, match in enumerate(route.match):
        http_matches.check(match, f"{path}.match[{index}]", delegate, found)
    for index, item in enumerate(route.route):
        where = f"{path}.route[{index}]"
        check_destination(item.destination, f"{where}.destination", found)
        headers.check_operations(item.headers, f"{where}.headers", found)
    check_weights([item.weight for item in route.route], f"{path}.route", found)
    headers.check_operations(route.headers, f"{path}.headers", found)
    headers.check_authority(route.rewrite, route.headers, path, found)
    _check_fault(route.fault, f"{path}.fault", found)
    _check_mirrors(route, path, found)
    if route.retries is not None:
        _check_retries(route.retries, f"{path}.retries", found)
    if route.redirect is not None:
        _check_redirect(route.redirect, f"{path}.redirect", found)
    if route.direct_response is not None:
        _check_direct_response(route.direct_response, f"{path}.directResponse", found)
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
    elif not route.route:
        for name in ("fault", "rewrite"):
            if getattr(route, name) is not None:
                found.error(f"{path}.{name}", f"HTTP route cannot contain both {given[0]} and {name}")


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


def _check_retries(given: written.HttpRetry, path: str, found: Findings) -> None:
    if given.attempts < 0:
        found.error(f"{path}.attempts", "attempts cannot be negative")
    if given.attempts == 0 and (given.per_try_timeout is not None or given.retry_on or given.retry_remote_localities is not None):
        found.error(path, "http retry policy configured when attempts are set to 0 (disabled); set attempts or remove the rest")
    for policy in given.retry_on.split(",") if given.retry_on else ():
        if policy not in _RETRY_ON and policy not in _STATUS:
            found.error(
                f"{path}.retryOn", f"{policy!r} is not a valid retryOn policy; write names of Envoy's policies and HTTP statuses, with commas, without spaces"
            )


def _check_direct_response(given: written.HttpDirectResponse, path: str, found: Findings) -> None:
    if not 200 <= given.status <= 599:
        found.error(f"{path}.status", f"HTTP status {given.status} is not in range 200-599")
    size = max(len((given.body.string or "").encode(errors="replace")), len(given.body.bytes or "") * 3 // 4) if given.body is not None else 0
    if size > _LARGEST_BODY:
        found.error(f"{path}.body", "a body must be less than 1 MB: every proxy keeps it")
    elif size > _LARGE_BODY:
        found.warning(f"{path}.body", "a body of more than 100 KB may slow down the control plane: every proxy gets it")


def _check_fault(fault: written.HttpFaultInjection | None, path: str, found: Findings) -> None:
    if fault is None:
        return
    if fault.delay is None and fault.abort is None:
        found.error(path, "HTTP fault injection must have an abort and/or a delay")
    if fault.delay is not None and fault.delay.exponential_delay is not None:
        found.error(f"{path}.delay.exponentialDelay", "exponentialDelay is not supported; use fixedDelay")
    elif fault.delay is not None and fault.delay.fixed_delay is None:
        found.warning(f"{path}.delay", "a delay without fixedDelay delays nothing")
    if fault.delay is not None and fault.delay.percent:
        found.warning(f"{path}.delay.percent", "percent is deprecated; use percentage")
    if fault.abort is not None:
        _check_abort(fault.abort, f"{path}.abort", found)
    for name, part in (("delay", fault.delay), ("abort", fault.abort)):
        share = part.percentage if part is not None else None
        if share is not None and share.value != 0 and not 0.0001 <= share.value <= 100:
            found.error(f"{path}.{name}.percentage", f"percentage {share.value} is neither 0 nor in range 0.0001..100")


def _check_abort(abort: written.Abort, path: str, found: Findings) -> None:
    if abort.http2_error is not None:
        found.error(f"{path}.http2Error", "http2Error is not supported; use httpStatus or grpcStatus")
    elif abort.http_status is None and abort.grpc_status is None:
        found.warning(path, "an abort needs httpStatus or grpcStatus, it does nothing")
    if abort.http_status is not None and not 200 <= abort.http_status <= 599:
        found.error(f"{path}.httpStatus", f"HTTP status {abort.http_status} is not in range 200-599")
    if abort.grpc_status is not None and abort.grpc_status not in grpc_status.NAMES:
        found.error(f"{path}.grpcStatus", f"gRPC status {abort.grpc_status!r} is not supported; use one of {', '.join(grpc_status.NAMES)}")


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
    if not (given.uri or given.authority or given.scheme or given.port is not None or given.derive_port):
        found.error(path, "redirect must specify URI, authority, scheme, or port")
    if given.port:
        names.check_port(given.port, f"{path}.port", found)
    if given.redirect_code and not 300 <= given.redirect_code <= 399:
        found.error(f"{path}.redirectCode", f"{given.redirect_code} is not in range 300..399")
    if given.scheme and given.scheme not in {"http", "https"}:
        found.error(f"{path}.scheme", f"invalid redirect scheme {given.scheme!r}; use http or https")


def _check_rewrite(given: written.HttpRewrite, path: str, found: Findings) -> None:
    if not (given.uri or given.authority or given.uri_regex_rewrite is not None):
        found.error(path, "rewrite must specify at least one of URI, authority or uriRegexRewrite")
    if given.uri and given.uri_regex_rewrite is not None:
        found.error(path, "rewrite cannot have both uri and uriRegexRewrite")
    regex = given.uri_regex_rewrite
    if regex is not None and not (regex.match and regex.rewrite):
        found.error(f"{path}.uriRegexRewrite", "uriRegexRewrite requires both match and rewrite")
    if regex is not None and regex.match:
        http_matches.check_regex(regex.match, f"{path}.uriRegexRewrite.match", found)


def _check_cors(given: written.CorsPolicy, path: str, found: Findings) -> None:
    for index, origin in enumerate(given.allow_origins):
        where = f"{path}.allowOrigins[{index}]"
        if not (origin.exact or origin.prefix or origin.regex):
            found.error(where, "an origin needs a text in exact, prefix or regex")
        if origin.regex:
            http_matches.check_regex(origin.regex, f"{where}.regex", found)
    for field, given_names in (("allowHeaders", given.allow_headers), ("exposeHeaders", given.expose_headers)):
        for index, name in enumerate(given_names):
            if name != "*" and not headers.NAME.fullmatch(name):
                found.error(f"{path}.{field}[{index}]", f"header name {name!r} is not a valid header name")
    if given.max_age is not None and durations.has_fraction(given.max_age):
        found.error(f"{path}.maxAge", "maxAge is accurate only to seconds; write whole seconds")
    for index, method in enumerate(given.allow_methods):
        if method not in _METHODS:
            found.error(f"{path}.allowMethods[{index}]", f"{method!r} is not a supported HTTP method")
    if given.allow_origin:
        found.warning(f"{path}.allowOrigin", "allowOrigin is deprecated; use allowOrigins", "Deprecated")
