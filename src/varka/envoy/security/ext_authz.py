"""The action CUSTOM: requests that a policy matches are shown to an external authorizer, which says yes or no.

Two filters do it. An RBAC filter tries the rules as shadow rules and leaves the name of the one that matched in the
request's metadata; the ext_authz filter after it asks only where such a name is. A policy whose authorizer cannot be
asked refuses what it matches, and so do policies of one workload that name different authorizers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2, config_source_pb2, grpc_service_pb2, http_uri_pb2
from envoy.extensions.filters.http.ext_authz.v3 import ext_authz_pb2
from envoy.extensions.filters.network.ext_authz.v3 import ext_authz_pb2 as network_pb2
from envoy.type.matcher.v3 import metadata_pb2, string_pb2, value_pb2
from envoy.type.v3 import http_status_pb2

from varka.envoy import messages, names
from varka.model.security import AuthorizationPolicy, Authorizer

HTTP_FILTER = "envoy.filters.http.ext_authz"
NETWORK_FILTER = "envoy.filters.network.ext_authz"
RULE_PREFIX = "istio-ext-authz-"
SHADOW_PREFIX = "istio_ext_authz_"
REFUSED_SUFFIX = "-deny-due-to-bad-CUSTOM-action"
TIMEOUT = 600.0
"""Where the provider gives none, a DestinationRule of the authorizer's service is what limits the wait."""


def chosen(policies: Iterable[AuthorizationPolicy]) -> Authorizer | None:
    """Whom all the policies ask; None when they do not agree, or when it cannot be asked."""
    found = {(policy.provider, policy.authorizer) for policy in policies}
    return next(iter(found))[1] if len(found) == 1 else None


def http(authorizer: Authorizer, rbac_filter: str) -> Any:
    """The configuration of the HTTP filter."""
    config = ext_authz_pb2.ExtAuthz(
        failure_mode_allow=authorizer.fail_open,
        transport_api_version=config_source_pb2.ApiVersion.V3,
        clear_route_cache=authorizer.clear_route_cache,
        filter_enabled_metadata=_enabled(rbac_filter),
    )
    if authorizer.grpc:
        config.grpc_service.CopyFrom(_grpc(authorizer))
    else:
        config.http_service.CopyFrom(_http_service(authorizer))
        config.allowed_headers.CopyFrom(_headers(authorizer.headers_in_check))
        if not authorizer.headers_in_check:
            config.ClearField("allowed_headers")
    if authorizer.status_on_error:
        config.status_on_error.CopyFrom(http_status_pb2.HttpStatus(code=authorizer.status_on_error))
    if authorizer.body is not None:
        body = config.with_request_body
        body.max_request_bytes, body.allow_partial_message = authorizer.body.max_bytes, authorizer.body.allow_partial
        body.pack_as_bytes = authorizer.body.as_bytes
    return config


def network(authorizer: Authorizer, rbac_filter: str) -> Any:
    """The configuration of the network filter; only an authorizer that speaks gRPC can be asked of connections."""
    return network_pb2.ExtAuthz(
        stat_prefix="tcp.",
        failure_mode_allow=authorizer.fail_open,
        transport_api_version=config_source_pb2.ApiVersion.V3,
        grpc_service=_grpc(authorizer),
        filter_enabled_metadata=_enabled(rbac_filter),
    )


def _enabled(rbac_filter: str) -> Any:
    key = metadata_pb2.MetadataMatcher.PathSegment(key=f"{SHADOW_PREFIX}shadow_effective_policy_id")
    value = value_pb2.ValueMatcher(string_match=string_pb2.StringMatcher(prefix=RULE_PREFIX.removesuffix("-")))
    return metadata_pb2.MetadataMatcher(filter=rbac_filter, path=[key], value=value)


def _cluster(authorizer: Authorizer) -> str:
    return names.outbound(authorizer.port, "", authorizer.host)


def _grpc(authorizer: Authorizer) -> Any:
    target = grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=_cluster(authorizer), authority=authorizer.host)
    return grpc_service_pb2.GrpcService(envoy_grpc=target, timeout=messages.duration(authorizer.timeout or TIMEOUT))


def _http_service(authorizer: Authorizer) -> Any:
    uri = http_uri_pb2.HttpUri(uri=f"http://{authorizer.host}", cluster=_cluster(authorizer), timeout=messages.duration(authorizer.timeout or TIMEOUT))
    service = ext_authz_pb2.HttpService(server_uri=uri, path_prefix=authorizer.path_prefix)
    for key, value in authorizer.additional_headers:
        service.authorization_request.headers_to_add.append(base_pb2.HeaderValue(key=key, value=value))
    answers: Mapping[str, tuple[str, ...]] = {
        "allowed_upstream_headers": authorizer.upstream_on_allow,
        "allowed_client_headers": authorizer.downstream_on_deny,
        "allowed_client_headers_on_success": authorizer.downstream_on_allow,
    }
    for name, headers in answers.items():
        if headers:
            getattr(service.authorization_response, name).CopyFrom(_headers(headers))
    return service


def _headers(patterns: Iterable[str]) -> Any:
    return string_pb2.ListStringMatcher(patterns=[_header(pattern) for pattern in patterns])


def _header(pattern: str) -> Any:
    if pattern == "*":
        return string_pb2.StringMatcher(safe_regex=messages.regex(".+"))
    if pattern.startswith("*"):
        return string_pb2.StringMatcher(suffix=pattern[1:], ignore_case=True)
    if pattern.endswith("*"):
        return string_pb2.StringMatcher(prefix=pattern[:-1], ignore_case=True)
    return string_pb2.StringMatcher(exact=pattern, ignore_case=True)
