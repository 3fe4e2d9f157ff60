from __future__ import annotations

from google.protobuf import json_format
from tests.builders import views

from varka.envoy.security import rbac, rbac_rules, request_principals
from varka.model.security import Action, AuthorizationPolicy, Condition, Operation, Rule, Source

DOMAINS = rbac_rules.Domains(own="td1", aliases=("old",))


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


def test_trust_domain_and_former_names() -> None:
    """A principal of the mesh, by whatever name, is accepted under all its names; a foreign one stays as it is."""
    assert DOMAINS.expand(["old/ns/a/sa/b"]) == ("td1/ns/a/sa/b", "old/ns/a/sa/b")
    assert DOMAINS.expand(["cluster.local/ns/a/sa/b"]) == ("td1/ns/a/sa/b", "old/ns/a/sa/b")
    assert DOMAINS.expand(["other/ns/a/sa/b", "*"]) == ("other/ns/a/sa/b", "*")


def test_dry_run_decides_nothing() -> None:
    """The policy is in the shadow rules only."""
    (only,) = http(policy(Action.DENY, Rule(), dry_run=True))
    assert "rules" not in only
    assert only["shadowRulesStatPrefix"] == "istio_dry_run_deny_"


def test_dots_in_names_are_dots() -> None:
    """A namespace or service account with a dot does not match another letter in its place."""
    (only,) = http(policy(Action.ALLOW, Rule(sources=(Source(service_accounts=("shop/a.b",)),))))
    assert r".*/ns/shop/sa/a\\.b" in str(only)


def test_request_principal_splits_at_every_slash() -> None:
    """Issuer and subject may both contain slashes."""
    found = json_format.MessageToDict(request_principals.matcher("https://i/s"))
    assert len(found["orIds"]["ids"]) == 3


def test_nested_claim() -> None:
    """`request.auth.claims[a][b]` looks into the claim a."""
    (only,) = http(policy(Action.ALLOW, Rule(conditions=(Condition(key="request.auth.claims[a][b]", values=("x",)),))))
    assert "[{'key': 'payload'}, {'key': 'a'}, {'key': 'b'}]" in str(only)
