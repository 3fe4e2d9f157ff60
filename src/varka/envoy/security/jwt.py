"""Tokens of requests, checked by Envoy: RequestAuthentication as the filter `envoy.filters.http.jwt_authn`.

A request without a token passes (who must have one is said by an AuthorizationPolicy), one with a bad token does not.
The keys stand in the configuration, or the proxy is told which cluster serves them. A rule whose keys nobody could
fetch gets one that nothing was ever signed with: requests with a token are refused, and those without are none the worse.
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from envoy.config.core.v3 import http_uri_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import empty_pb2
from msgspec.structs import replace

from varka.envoy import messages, names
from varka.model.policies import key_sets
from varka.model.security import JwtRule
from varka.model.view import ProxyType, ProxyView

NAME = "envoy.filters.http.jwt_authn"
PAYLOAD = "payload"
FETCH_SECONDS, CACHE_SECONDS = 5.0, 300.0
SPACE_DELIMITED = ("permission", "scope")
Requirement = config_pb2.JwtRequirement


def filters(view: ProxyView) -> list[Any]:
    """The filter, or nothing when no rule asks for it. A key set that Envoy would refuse, and the listener with it, counts as none."""
    if not view.jwt_rules:
        return []
    routes_by_claims = view.proxy.type is ProxyType.ROUTER
    rules = tuple(rule if not rule.jwks or key_sets.usable(rule.jwks) else replace(rule, jwks="") for rule in view.jwt_rules)
    return [http_connection_manager_pb2.HttpFilter(name=NAME, typed_config=messages.packed(configuration(rules, routes_by_claims)))]


def configuration(rules: tuple[JwtRule, ...], routes_by_claims: bool = False) -> Any:
    """Tokens of any of the issuers are accepted, a request without one too; one token must not stand in for another.

    With `routes_by_claims` the route is chosen again when the token's claims are known.
    """
    providers = {f"origins-{index}": _provider(rule) for index, rule in enumerate(rules)}
    for provider in providers.values():
        provider.clear_route_cache = routes_by_claims
    missing = Requirement(allow_missing=empty_pb2.Empty())
    named = [Requirement(provider_name=name) for name in providers]
    each = [_any(one, missing) for one in named]
    if len(each) == 1:
        requirement = each[0]
    else:
        requirement = _any(*named, Requirement(requires_all=config_pb2.JwtRequirementAndList(requirements=each)))
    everything = config_pb2.RequirementRule(match=route_components_pb2.RouteMatch(prefix="/"), requires=requirement)
    return config_pb2.JwtAuthentication(providers=providers, rules=[everything], bypass_cors_preflight=True)


def _any(*requirements: Any) -> Any:
    return Requirement(requires_any=config_pb2.JwtRequirementOrList(requirements=requirements))


def unfetched(source: str) -> str:
    """A key set that matches no token. Its key's name says what could not be fetched; the number is a hash, so that nobody has its factors."""
    number = b"".join(hashlib.sha256(f"varka-{part}".encode()).digest() for part in range(8))
    number = bytes([number[0] | 0x80, *number[1:-1], number[-1] | 1])
    key = {"kty": "RSA", "kid": f"could-not-fetch:{source}", "e": "AQAB", "n": base64.urlsafe_b64encode(number).decode().rstrip("=")}
    return json.dumps({"keys": [key]}, separators=(",", ":"))


def _provider(rule: JwtRule) -> Any:
    provider = config_pb2.JwtProvider(
        issuer=rule.issuer,
        audiences=rule.audiences,
        forward=rule.forward_original_token,
        forward_payload_header=rule.output_payload_to_header if _sendable(rule.output_payload_to_header) else "",
        payload_in_metadata=PAYLOAD,
        from_params=rule.from_params,
        from_cookies=rule.from_cookies,
    )
    provider.normalize_payload_in_metadata.space_delimited_claims.extend(sorted({*SPACE_DELIMITED, *rule.space_delimited_claims}))
    if rule.fetch_from is not None:
        host, port = rule.fetch_from
        uri = http_uri_pb2.HttpUri(uri=rule.jwks_uri, cluster=names.outbound(port, "", host), timeout=messages.duration(rule.timeout or FETCH_SECONDS))
        provider.remote_jwks.CopyFrom(config_pb2.RemoteJwks(http_uri=uri, cache_duration=messages.duration(CACHE_SECONDS)))
    else:
        provider.local_jwks.inline_string = rule.jwks or unfetched(rule.jwks_uri or rule.issuer)
    for name, prefix in filter(_sendable_pair, rule.from_headers):
        provider.from_headers.add(name=name, value_prefix=prefix)
    for header, claim in rule.output_claim_to_headers:
        if header and claim and _sendable(header):
            provider.claim_to_headers.add(header_name=header, claim_name=claim)
    return provider


def _sendable(text: str) -> bool:
    """Whether a header could hold it: Envoy refuses a configuration with a line break in one, which no request could have either."""
    return not set("\0\r\n") & set(text)


def _sendable_pair(header: tuple[str, str]) -> bool:
    return bool(header[0]) and _sendable("".join(header))
