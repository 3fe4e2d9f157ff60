from __future__ import annotations

import re

import pytest
from google.protobuf import json_format
from msgspec.structs import replace
from tests.builders import views

from varka.envoy.security import rbac, request_principals
from varka.model.security import Action, AuthorizationPolicy, Authorizer, Condition, Operation, Rule, Source

ANY = {"safeRegex": {"regex": ".+"}}


def policy(action: Action, *rules: Rule, dry_run: bool = False) -> AuthorizationPolicy:
    return AuthorizationPolicy(name="p", namespace="n", action=action, rules=rules, dry_run=dry_run)


def http(*policies: AuthorizationPolicy) -> list[dict[str, object]]:
    return [json_format.MessageToDict(item)["typedConfig"] for item in rbac.http_filters(policies, views.MESH)]


def test_no_policy_no_filter() -> None:
    """Without policies nothing stands in the way."""
    assert rbac.http_filters((), views.MESH) == []


def test_deny_is_asked_before_allow() -> None:
    """The order of the filters is the order of evaluation, whatever the order of the policies."""
    filters = http(policy(Action.ALLOW, Rule()), policy(Action.DENY, Rule()))
    assert [item["rules"].get("action", "ALLOW") for item in filters] == ["DENY", "ALLOW"]  # type: ignore[attr-defined]


def test_allow_without_rules_matches_nobody() -> None:
    """The policy is there and never matches, so everything is refused."""
    (only,) = http(policy(Action.ALLOW))
    (built,) = only["rules"]["policies"].values()  # type: ignore[index]
    assert built == {"permissions": [{"notRule": {"any": True}}], "principals": [{"notId": {"any": True}}]}


def test_allow_on_tcp_with_http_terms_refuses_all() -> None:
    """A rule that could never be known to match goes, the filter stays."""
    (only,) = rbac.network_filters((policy(Action.ALLOW, Rule(operations=(Operation(methods=("GET",)),))),), views.MESH)
    assert json_format.MessageToDict(only)["typedConfig"]["rules"] == {}


def test_deny_on_tcp_drops_http_terms() -> None:
    """A DENY rule denies more on TCP rather than less."""
    (only,) = rbac.network_filters((policy(Action.DENY, Rule(operations=(Operation(methods=("GET",), ports=("80",)),))),), views.MESH)
    (built,) = json_format.MessageToDict(only)["typedConfig"]["rules"]["policies"].values()
    assert built["permissions"] == [{"andRules": {"rules": [{"orRules": {"rules": [{"destinationPort": 80}]}}]}}]


def test_dry_run_decides_nothing() -> None:
    """The policy is in the shadow rules only."""
    (only,) = http(policy(Action.DENY, Rule(), dry_run=True))
    assert "rules" not in only
    assert only["shadowRulesStatPrefix"] == "istio_dry_run_deny_"


def test_dots_in_names_are_dots() -> None:
    """A namespace or service account with a dot does not match another letter in its place."""
    (only,) = http(policy(Action.ALLOW, Rule(sources=(Source(service_accounts=("shop/a.b",)),))))
    assert r"spiffe://.+/ns/shop/(.+/|)sa/a\\.b(/.+)?" in str(only)


@pytest.mark.parametrize(
    ("pattern", "issuer", "subject"),
    [
        ("https://i/s", {"exact": "https://i"}, {"exact": "s"}),
        ("https://i/*", {"exact": "https://i"}, ANY),
        ("https://i/s*", {"exact": "https://i"}, {"prefix": "s"}),
        ("*/s", ANY, {"exact": "s"}),
        ("*i/s", {"suffix": "i"}, {"exact": "s"}),
        ("*s", ANY, {"suffix": "s"}),
        ("i*", {"prefix": "i"}, ANY),
        ("*", ANY, ANY),
    ],
)
def test_request_principal(pattern: str, issuer: object, subject: object) -> None:
    """A principal of a token is parted at its last slash; an asterisk at one end leaves that end open."""
    found = json_format.MessageToDict(request_principals.matcher([pattern]))
    assert [item["metadata"]["value"]["stringMatch"] for item in found["andIds"]["ids"]] == [issuer, subject]


def test_several_request_principals() -> None:
    """Any of them will do."""
    assert len(json_format.MessageToDict(request_principals.matcher(["a/b", "c/d"]))["orIds"]["ids"]) == 2


BAD = (
    Rule(sources=(Source(ip_blocks=("10.0.0.300/8",)),)),
    Rule(operations=(Operation(ports=("70000",)),)),
    Rule(operations=(Operation(paths=("/a/{**}/b/{*}",)),)),
    Rule(conditions=(Condition(key="request.header[x]", values=("a",)),)),
    Rule(conditions=(Condition(key="request.headers[x]", values=("a\r\nb",)),)),
)


@pytest.mark.parametrize("rule", BAD, ids=["address", "port", "template", "key", "header"])
def test_what_envoy_could_not_read(rule: Rule) -> None:
    """A malformed value takes its rule out of an ALLOW policy, and only itself out of a DENY policy: neither lets more through."""
    allow, deny = http(policy(Action.ALLOW, rule)), http(policy(Action.DENY, rule))
    assert allow[0]["rules"] == {}
    (built,) = deny[0]["rules"]["policies"].values()  # type: ignore[index]
    everything = {"permissions": [{"andRules": {"rules": [{"any": True}]}}], "principals": [{"andIds": {"ids": [{"any": True}]}}]}
    assert built == everything


@pytest.mark.parametrize("name", ["[", "a(b", "x{2", "(?=a)", "a\\"])
def test_names_are_no_expressions(name: str) -> None:
    """A namespace that reads like a regular expression, even a broken one, gives a valid one that matches just the name."""
    (only,) = http(policy(Action.ALLOW, Rule(sources=(Source(namespaces=(name,)),))))
    (built,) = only["rules"]["policies"].values()  # type: ignore[index]
    pattern = built["principals"][0]["andIds"]["ids"][0]["orIds"]["ids"][0]["authenticated"]["principalName"]["safeRegex"]["regex"]
    assert re.fullmatch(pattern, f"spiffe://cluster.local/ns/{name}/sa/x")
    assert not re.fullmatch(pattern, "spiffe://cluster.local/ns/axb/sa/x")


def test_custom_asks_where_a_rule_matches() -> None:
    """The rules stand in shadow rules, and the authorizer is asked only where one of them matched."""
    asking = replace(policy(Action.CUSTOM, Rule()), provider="p", authorizer=Authorizer(name="p", host="h", port=80))
    rules, asked = http(asking)
    assert list(rules["shadowRules"]["policies"]) == ["istio-ext-authz-ns[n]-policy[p]-rule[0]"]  # type: ignore[index]
    assert asked["httpService"]["serverUri"] == {"uri": "http://h", "cluster": "outbound|80||h", "timeout": "600s"}  # type: ignore[index]
    assert asked["filterEnabledMetadata"]["path"] == [{"key": "istio_ext_authz_shadow_effective_policy_id"}]  # type: ignore[index]


@pytest.mark.parametrize("others", [(), (Authorizer(name="q", host="h", port=80),)])
def test_custom_that_cannot_be_asked_refuses(others: tuple[Authorizer, ...]) -> None:
    """No authorizer of the name, or two of different names on one workload: what the rules match is denied."""
    policies = [replace(policy(Action.CUSTOM, Rule()), provider=item.name, authorizer=item) for item in others]
    (only,) = http(replace(policy(Action.CUSTOM, Rule()), provider="p"), *policies)
    assert only["rules"]["action"] == "DENY"  # type: ignore[index]
    assert list(only["rules"]["policies"]) == ["istio-ext-authz-ns[n]-policy[p]-rule[0]-deny-due-to-bad-CUSTOM-action"]  # type: ignore[index]


def test_custom_on_tcp() -> None:
    """Connections are shown to an authorizer that speaks gRPC; one that speaks HTTP cannot be asked of them."""
    known = Authorizer(name="p", host="h", port=80, grpc=True)
    asking = replace(policy(Action.CUSTOM, Rule()), provider="p", authorizer=known)
    assert [item.name for item in rbac.network_filters((asking,), views.MESH)] == ["envoy.filters.network.rbac", "envoy.filters.network.ext_authz"]
    assert rbac.network_filters((replace(asking, authorizer=replace(known, grpc=False)),), views.MESH) == []


def test_custom_in_dry_run_asks_nobody() -> None:
    """A CUSTOM policy in dry run has no filter at all."""
    assert http(policy(Action.CUSTOM, Rule(), dry_run=True)) == []


def test_nested_claim() -> None:
    """`request.auth.claims[a][b]` looks into the claim a."""
    (only,) = http(policy(Action.ALLOW, Rule(conditions=(Condition(key="request.auth.claims[a][b]", values=("x",)),))))
    assert "[{'key': 'payload'}, {'key': 'a'}, {'key': 'b'}]" in str(only)
