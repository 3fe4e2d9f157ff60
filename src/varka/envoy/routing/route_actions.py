"""What happens to a request that a rule is for: where it goes, how often, what is changed in it, and faults on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2
from envoy.type.v3 import percent_pb2

from varka.base import grpc_status
from varka.envoy import messages
from varka.envoy.listeners import http_filters
from varka.model.traffic import Cors, DirectResponse, HeaderOperations, Headers, HttpRoute, LoadBalancer, Redirect, Retries

Action = route_components_pb2.RouteAction
RedirectAction = route_components_pb2.RedirectAction
RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes,reset-before-request"
"""Istio's default, and resets of connections that the request was not yet sent on: repeating those is always safe."""

PREVIOUS_HOSTS = route_components_pb2.RetryPolicy.RetryHostPredicate(
    name="envoy.retry_host_predicates.previous_hosts", typed_config=messages.packed(previous_hosts_pb2.PreviousHostsPredicate())
)
OTHER_LOCALITIES = route_components_pb2.RetryPolicy.RetryPriority(
    name="envoy.retry_priorities.previous_priorities",
    typed_config=messages.packed(previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=2)),
)
"""After two attempts at one priority the next is tried: other localities, once there is failover between them."""
NO_STREAM_LIMIT = Action.MaxStreamDuration(max_stream_duration=messages.NO_TIME, grpc_timeout_header_max=messages.NO_TIME)
MILLION = percent_pb2.FractionalPercent.MILLION
CODES = {
    301: RedirectAction.MOVED_PERMANENTLY,
    302: RedirectAction.FOUND,
    303: RedirectAction.SEE_OTHER,
    307: RedirectAction.TEMPORARY_REDIRECT,
    308: RedirectAction.PERMANENT_REDIRECT,
}


NO_RETRIES = Retries(attempts=0)


def retry_policy(retries: Retries) -> Any:
    """No attempts at all mean no policy."""
    if retries.attempts <= 0:
        return None
    policy = route_components_pb2.RetryPolicy(
        retry_on=RETRY_ON,
        num_retries=messages.uint32(retries.attempts),
        host_selection_retry_max_attempts=5,
        retry_host_predicate=[PREVIOUS_HOSTS],
    )
    if retries.retry_on:
        conditions = [part.strip() for part in retries.retry_on.split(",") if part.strip()]
        codes = [int(part) for part in conditions if part.isdigit()]
        words = [part for part in conditions if not part.isdigit()]
        if codes and "retriable-status-codes" not in words:
            words.append("retriable-status-codes")
        policy.retry_on = ",".join(words)
        policy.retriable_status_codes.extend(codes)
    if retries.per_try_timeout is not None:
        policy.per_try_timeout.CopyFrom(messages.duration(retries.per_try_timeout))
    if retries.backoff is not None:
        policy.retry_back_off.base_interval.CopyFrom(messages.duration(retries.backoff))
    if retries.remote_localities:
        policy.retry_priority.CopyFrom(OTHER_LOCALITIES)
    if not retries.ignore_previous_hosts:
        policy.ClearField("retry_host_predicate")
    return policy


def forward(timeout: float | None, retries: Retries) -> Any:
    """A RouteAction without its cluster.

    Without a timeout a gRPC request's own `grpc-timeout` is the limit. With one it is not asked for here, only at both ends:
    Envoy ignores `timeout` on a route that has `max_stream_duration`.
    """
    if timeout:
        return Action(timeout=messages.duration(timeout), retry_policy=retry_policy(retries))
    return Action(timeout=messages.NO_TIME, max_stream_duration=NO_STREAM_LIMIT, retry_policy=retry_policy(retries))


def redirect(said: Redirect, port: int) -> Any:
    """The RedirectAction for requests that came to `port`."""
    action = RedirectAction(response_code=CODES.get(said.code, RedirectAction.MOVED_PERMANENTLY))
    if said.authority:
        action.host_redirect = said.authority
    if said.scheme:
        action.scheme_redirect = said.scheme
    if said.port:
        action.port_redirect = said.port
    elif said.derive_port == "FROM_PROTOCOL_DEFAULT" and said.scheme:
        action.port_redirect = 443 if said.scheme == "https" else 80
    elif said.derive_port == "FROM_REQUEST_PORT" and (said.scheme or port not in (80, 443)):
        action.port_redirect = port
    if said.regex:
        action.regex_rewrite.pattern.regex = said.regex
        action.regex_rewrite.substitution = said.substitution
    elif said.uri_prefix_rewrite:
        action.prefix_rewrite = said.uri_prefix_rewrite
    elif said.uri:
        action.path_redirect = said.uri
    return action


def direct_response(said: DirectResponse) -> Any:
    """The DirectResponseAction."""
    action = route_components_pb2.DirectResponseAction(status=said.status)
    if said.body is not None:
        action.body.inline_bytes = said.body
    return action


def hash_policies(balancer: LoadBalancer | None) -> list[Any]:
    """What of a request decides on the endpoint, for consistent hashing."""
    key = balancer.hash_key if balancer else None
    if key is None:
        return []
    policy = Action.HashPolicy()
    if key.header:
        policy.header.header_name = key.header
    elif key.cookie:
        policy.cookie.name = key.cookie
        policy.cookie.path = key.cookie_path
        if key.cookie_ttl is not None:
            policy.cookie.ttl.CopyFrom(messages.duration(key.cookie_ttl))
        for name, value in key.cookie_attributes.items():
            policy.cookie.attributes.add(name=name, value=value)
    elif key.query_parameter:
        policy.query_parameter.name = key.query_parameter
    else:
        policy.connection_properties.source_ip = key.source_ip
    return [policy]


def header_values(operations: HeaderOperations) -> list[Any]:
    """Headers to set (replacing) and to add (beside what is there)."""
    option = base_pb2.HeaderValueOption
    kinds = ((operations.set, option.OVERWRITE_IF_EXISTS_OR_ADD), (operations.add, option.APPEND_IF_EXISTS_OR_ADD))
    return [
        option(header=base_pb2.HeaderValue(key=name, value=value), append_action=action)
        for values, action in kinds
        for name, value in sorted(values.items())
        if name.lower() not in {"host", ":authority"}
    ]


def authority_of(operations: HeaderOperations) -> str:
    """A Host header that is set means another authority, which Envoy does not count among the headers."""
    values: Mapping[str, str] = operations.set
    return next((value for name, value in values.items() if name.lower() in {"host", ":authority"}), "")


def apply_headers(target: Any, headers: Headers) -> None:
    """Put the operations on a Route, a ClusterWeight or a VirtualHost."""
    target.request_headers_to_add.extend(header_values(headers.request))
    target.request_headers_to_remove.extend(headers.request.remove)
    target.response_headers_to_add.extend(header_values(headers.response))
    target.response_headers_to_remove.extend(headers.response.remove)


def fraction(percent: float) -> Any:
    """A percentage, exact to a ten-thousandth of a percent."""
    return percent_pb2.FractionalPercent(numerator=round(percent * 10000), denominator=MILLION)


def runtime_fraction(percent: float) -> Any:
    """The same where Envoy would let its runtime change it."""
    return base_pb2.RuntimeFractionalPercent(default_value=fraction(percent))


def filter_configs(rule: HttpRoute) -> dict[str, Any]:
    """The rule's configuration of other filters: faults and CORS."""
    configs = {}
    if rule.delay is not None or rule.abort is not None:
        configs[http_filters.FAULT] = messages.packed(_fault(rule))
    if rule.cors is not None:
        configs[http_filters.CORS] = messages.packed(_cors(rule.cors))
    return configs


def _fault(rule: HttpRoute) -> Any:
    fault = fault_pb2.HTTPFault()
    if rule.delay is not None:
        fault.delay.CopyFrom(common_fault_pb2.FaultDelay(fixed_delay=messages.duration(rule.delay.seconds), percentage=fraction(rule.delay.percentage)))
    if rule.abort is not None:
        fault.abort.percentage.CopyFrom(fraction(rule.abort.percentage))
        if rule.abort.grpc_status is not None:
            name = rule.abort.grpc_status.upper()
            fault.abort.grpc_status = int(name) if name.isdigit() else grpc_status.NAMES.index(name) if name in grpc_status.NAMES else 2
        else:
            fault.abort.http_status = rule.abort.http_status or 500
    return fault


def _cors(said: Cors) -> Any:
    policy = cors_pb2.CorsPolicy(
        allow_origin_string_match=[messages.string_matcher(origin) for origin in said.allow_origins],
        allow_methods=",".join(said.allow_methods),
        allow_headers=",".join(said.allow_headers),
        expose_headers=",".join(said.expose_headers),
        filter_enabled=runtime_fraction(100),
    )
    if said.max_age is not None:
        policy.max_age = str(int(said.max_age))
    if said.allow_credentials is not None:
        policy.allow_credentials.value = said.allow_credentials
    if said.unmatched_preflights == "IGNORE":
        policy.forward_not_matching_preflights.value = False
    return policy
