"""Tokens of requests, checked by Envoy: RequestAuthentication as the filter `envoy.filters.http.jwt_authn`.

A request without a token passes (who must have one is said by an AuthorizationPolicy), one with a bad token does not.
The keys stand in the configuration; fetching them is not this stage's business, so a rule with no keys refuses every token.
"""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import empty_pb2

from varka.envoy import messages
from varka.model.security import JwtRule
from varka.model.view import ProxyView

NAME = "envoy.filters.http.jwt_authn"
PAYLOAD = "payload"
NO_KEYS = '{"keys":[]}'
SPACE_DELIMITED = ("permission", "scope")
Requirement = config_pb2.JwtRequirement


def filters(view: ProxyView) -> list[Any]:
    """The filter, or nothing when no rule asks for it."""
    if not view.jwt_rules:
        return []
    return [http_connection_manager_pb2.HttpFilter(name=NAME, typed_config=messages.packed(configuration(view.jwt_rules)))]


def configuration(rules: tuple[JwtRule, ...]) -> Any:
    """Tokens of any of the issuers are accepted, a request without one too; one token must not stand in for another."""
    providers = {f"origins-{index}": _provider(rule) for index, rule in enumerate(rules)}
    missing = Requirement(allow_missing=empty_pb2.Empty())
    each = [Requirement(requires_any=config_pb2.JwtRequirementOrList(requirements=[Requirement(provider_name=n), missing])) for n in providers]
    if len(each) == 1:
        requirement = each[0]
    else:
        named = [Requirement(provider_name=name) for name in providers]
        requirement = Requirement(requires_any=config_pb2.JwtRequirementOrList(requirements=[*named, missing]))
    everything = config_pb2.RequirementRule(match=route_components_pb2.RouteMatch(prefix="/"), requires=requirement)
    return config_pb2.JwtAuthentication(providers=providers, rules=[everything], bypass_cors_preflight=True)


def _provider(rule: JwtRule) -> Any:
    provider = config_pb2.JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        local_jwks=base_pb2.DataSource(inline_string=rule.jwks or NO_KEYS),
        forward=rule.forward_original_token,
        forward_payload_header=rule.output_payload_to_header,
        payload_in_metadata=PAYLOAD,
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
    )
    provider.normalize_payload_in_metadata.space_delimited_claims.extend(sorted({*SPACE_DELIMITED, *rule.space_delimited_claims}))
    for name, prefix in rule.from_headers:
        provider.from_headers.add(name=name, value_prefix=prefix)
    for header, claim in rule.output_claim_to_headers:
        provider.claim_to_headers.add(header_name=header, claim_name=claim)
    return provider
