from __future__ import annotations

import json

import pytest
from tests.builders.meshobjects import Object, istio

from varka.resources import Severity, parse, validation

OLDER = {"EnvoyFilter": "networking.istio.io/v1alpha3", "ProxyConfig": "networking.istio.io/v1beta1"}


def verdict(kind: str, spec: Object, **meta: object) -> tuple[list[str], list[str]]:
    """The paths of what is refused and of what is warned of."""
    obj = istio(kind, "x", spec, **meta)
    obj["apiVersion"] = OLDER.get(kind, obj["apiVersion"])
    found = validation.validate(parse(obj))
    return [item.path for item in found if item.severity is Severity.ERROR], [item.path for item in found if item.severity is Severity.WARNING]


def policy(action: str, rule: Object) -> tuple[list[str], list[str]]:
    """The verdict on a policy with one rule, with paths below the rule."""
    provider = {"provider": {"name": "checker"}} if action == "CUSTOM" else {}
    errors, warnings = verdict("AuthorizationPolicy", {"action": action, "rules": [rule], **provider})
    return [path.removeprefix("spec.rules[0].") for path in errors], warnings


@pytest.mark.parametrize("name", ["namespaces", "notPrincipals", "requestPrincipals"])
def test_servers_are_not_asked_by_identity(name: str) -> None:
    """A CUSTOM rule chooses by addresses and operations."""
    assert policy("CUSTOM", {"from": [{"source": {name: ["a"]}}]}) == ([f"from[0].source.{name}"], [])
    assert policy("CUSTOM", {"from": [{"source": {"ipBlocks": ["10.0.0.0/8"]}}]}) == ([], [])


def test_servers_are_not_asked_by_claims() -> None:
    """Nor by a condition on a token."""
    assert policy("CUSTOM", {"when": [{"key": "request.auth.claims[iss]", "values": ["a"]}]}) == (["when[0].key"], [])


@pytest.mark.parametrize(
    ("rule", "warned"),
    [
        ({"to": [{"operation": {"methods": ["GET"]}}]}, True),
        ({"to": [{"operation": {"methods": ["GET"], "ports": ["80"]}}]}, False),
        ({"from": [{"source": {"requestPrincipals": ["a"]}}]}, True),
        ({"from": [{"source": {"requestPrincipals": ["a"], "principals": ["b"]}}]}, False),
        ({"from": [{"source": {"principals": ["a"]}}], "to": [{"operation": {"paths": ["/a"]}}]}, True),
        ({"from": [{"source": {"remoteIpBlocks": ["10.0.0.1"]}}]}, False),
    ],
)
def test_denials_that_take_all_of_tcp(rule: Object, warned: bool) -> None:
    """A DENY rule of HTTP attributes alone denies everything on TCP ports."""
    assert policy("DENY", rule) == ([], ["spec.rules[0]"] * warned)


@pytest.mark.parametrize(
    ("paths", "wrong"), [(["/a/{*}/b/{**}"], False), (["/{id}"], False), (["/{*}/{id}"], True), (["/{*}/*"], True)], ids=lambda value: str(value)
)
def test_templates_of_paths(paths: list[str], wrong: bool) -> None:
    """Braces are literal until a path has a template; then everything variable is one."""
    assert policy("ALLOW", {"to": [{"operation": {"paths": paths}}]}) == (["to[0].operation.paths"] * wrong, [])


def test_metadata_of_filters_has_a_key() -> None:
    """The name of a filter alone says nothing."""
    assert policy("ALLOW", {"when": [{"key": "experimental.envoy.filters.a", "values": ["b"]}]}) == (["when[0].key"], [])
    assert policy("ALLOW", {"when": [{"key": "experimental.envoy.filters.a[b]", "values": ["c"]}]}) == ([], [])


def test_only_authorization_is_tried_out() -> None:
    """Other kinds would act, whatever the annotation says."""
    for kind in ("PeerAuthentication", "Telemetry"):
        assert verdict(kind, {}, annotations={"istio.io/dry-run": "true"}) == (["metadata.annotations[istio.io/dry-run]"], [])


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        ({"kty": "RSA", "n": "AQAB", "e": "AQAB"}, False),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AQAB"}, False),
        ({"kty": "RSA", "e": "AQAB"}, True),
        ({"kty": "EC", "crv": "P-256", "x": "AQAB"}, True),
        ({"n": "AQAB", "e": "AQAB"}, True),
        ("AQAB", True),
    ],
)
def test_keys_of_an_issuer(key: object, wrong: bool) -> None:
    """A key has a type and all that the type needs."""
    rule = {"issuer": "a", "jwks": json.dumps({"keys": [key]})}
    assert verdict("RequestAuthentication", {"jwtRules": [rule]}) == (["spec.jwtRules[0].jwks"] * wrong, [])


@pytest.mark.parametrize(
    ("apply_to", "match", "path"),
    [
        ("CLUSTER", {"listener": {}}, ""),
        ("HTTP_ROUTE", {"cluster": {}}, ""),
        ("CLUSTER", {"proxy": {"proxyVersion": "1.(2"}}, ".proxy.proxyVersion"),
        ("NETWORK_FILTER", {"listener": {"filterChain": {"filter": {}}}}, ".listener.filterChain.filter.name"),
        ("NETWORK_FILTER", {"listener": {"filterChain": {"filter": {"name": "a", "subFilter": {"name": "b"}}}}}, ".listener.filterChain.filter.subFilter"),
        ("HTTP_FILTER", {"listener": {"filterChain": {"filter": {"name": "a", "subFilter": {"name": "b"}}}}}, ".listener.filterChain.filter.name"),
    ],
)
def test_places_of_patches(apply_to: str, match: Object, path: str) -> None:
    """A patch that could never find its object is refused."""
    patch = {"applyTo": apply_to, "match": match, "patch": {"operation": "MERGE", "value": {"name": "x"}}}
    assert verdict("EnvoyFilter", {"configPatches": [patch]}) == ([f"spec.configPatches[0].match{path}"], ["spec.configPatches"])


def test_selectors_of_proxy_settings() -> None:
    """Labels are matched as they are, and none are doubtful."""
    assert verdict("ProxyConfig", {"selector": {}}) == ([], ["spec.selector"])
    assert "spec.selector" in verdict("ProxyConfig", {"selector": {"matchLabels": {"app": "a*"}}})[0]


def test_addresses_of_modules() -> None:
    """An address has no white space."""
    assert verdict("WasmPlugin", {"url": "oci://a b"}) == (["spec.url"], [])
