from __future__ import annotations

from typing import Any

import pytest

from varka.analysis.authorization import evaluation
from varka.analysis.authorization.evaluation import Decision, Verdict
from varka.analysis.authorization.requests import Http, Request, Token
from varka.model.security import Action, AuthorizationPolicy, Authorizer, Condition, JwtRule, Operation, Rule, Source
from varka.model.view import MeshSettings

MESH = MeshSettings(trust_domain="td", trust_domain_aliases=("old",))
CALLER = "td/ns/shop/sa/web"


def policy(*rules: Rule, action: Action = Action.ALLOW, name: str = "p", **fields: Any) -> AuthorizationPolicy:
    """A policy in namespace n."""
    return AuthorizationPolicy(name=name, namespace="n", action=action, rules=rules, **fields)


def request(**fields: Any) -> Request:
    """An HTTP request from the caller, unless something else is said; fields of Http are found by their names."""
    http = {name: fields.pop(name) for name in ("method", "path", "host", "headers", "tokens") if name in fields}
    given: dict[str, Any] = {"port": 8080, "principal": CALLER, "source_ip": "10.0.0.1", "http": Http(**http), **fields}
    return Request(**given)


def decide(asked: Request, *policies: AuthorizationPolicy, rules: tuple[JwtRule, ...] = ()) -> Decision:
    """The verdict."""
    return evaluation.decide(policies, rules, MESH, asked)


def matches(rule: Rule, asked: Request, action: Action = Action.ALLOW) -> bool:
    """Whether an ALLOW policy with the rule lets the request by, or one of another action stops it."""
    verdict = decide(asked, policy(rule, action=action)).verdict
    return verdict is (Verdict.ALLOWED if action is Action.ALLOW else Verdict.DENIED)


def test_no_policy() -> None:
    """Without policies everything is allowed."""
    assert decide(request()) == Decision(verdict=Verdict.ALLOWED, reason="no policy is for it")


def test_allow_closes_the_rest() -> None:
    """Once there is an ALLOW policy, what it does not match is denied, by no rule."""
    found = decide(request(method="POST"), policy(Rule(operations=(Operation(methods=("GET",)),))))
    assert (found.verdict, found.rule, found.reason) == (Verdict.DENIED, "", "there are ALLOW policies, and none of them matches")
    assert [(one.rule, one.unmet) for one in found.attempts] == [(0, "the method must be GET")]


def test_deny_comes_first() -> None:
    """A DENY rule decides whatever ALLOW says, and has the name that the access log has."""
    found = decide(request(), policy(Rule()), policy(Rule(operations=(Operation(ports=("1",)),)), Rule(), action=Action.DENY, name="d"))
    assert (found.verdict, found.rule) == (Verdict.DENIED, "ns[n]-policy[d]-rule[1]")
    assert found.reason == "rule 1 of AuthorizationPolicy/n/d denies it"


def test_the_first_by_name_decides() -> None:
    """Of several policies that match, the one whose name sorts first is named."""
    assert decide(request(), *(policy(Rule(), action=Action.DENY, name=name) for name in "cab")).rule == "ns[n]-policy[a]-rule[0]"


def test_a_policy_without_rules() -> None:
    """ALLOW without rules denies everything, DENY without rules nothing."""
    assert decide(request(), policy()).verdict is Verdict.DENIED
    assert decide(request(), policy(action=Action.DENY)).verdict is Verdict.ALLOWED


def test_audit_only_marks() -> None:
    """An AUDIT policy changes nothing, and its matching rules are listed."""
    found = decide(request(), policy(Rule(), action=Action.AUDIT))
    assert (found.verdict, found.audits) == (Verdict.ALLOWED, ("ns[n]-policy[p]-rule[0]",))


def test_dry_run_only_tells() -> None:
    """A policy in dry run changes nothing; what it would have done is said if it is something else."""
    found = decide(request(), policy(Rule(), action=Action.DENY, dry_run=True))
    assert (found.verdict, found.dry_run) == (Verdict.ALLOWED, "denied: rule 0 of AuthorizationPolicy/n/p denies it")
    assert decide(request(), policy(Rule(), dry_run=True)).dry_run == ""


def test_custom() -> None:
    """What a CUSTOM rule matches is asked about first, and the other policies hold as well."""
    asking = policy(Rule(), action=Action.CUSTOM, name="c", provider="x", authorizer=Authorizer(name="x", host="h", port=1))
    found = decide(request(), asking, policy(Rule(), action=Action.DENY))
    assert (found.verdict, found.then, found.rule) == (Verdict.ASKED, Verdict.DENIED, "istio-ext-authz-ns[n]-policy[c]-rule[0]")
    unreachable = decide(request(), policy(Rule(), action=Action.CUSTOM, name="c", provider="x"))
    assert (unreachable.verdict, unreachable.rule) == (Verdict.DENIED, "istio-ext-authz-ns[n]-policy[c]-rule[0]-deny-due-to-bad-CUSTOM-action")
    assert decide(Request(port=1), asking).verdict is Verdict.ALLOWED


@pytest.mark.parametrize(
    ("source", "principal", "expected"),
    [
        (Source(principals=("td/ns/shop/sa/web",)), CALLER, True),
        (Source(principals=("td/ns/shop/sa/web",)), "old/ns/shop/sa/web", True),
        (Source(principals=("cluster.local/ns/shop/sa/web",)), CALLER, True),
        (Source(principals=("other/ns/shop/sa/web",)), CALLER, False),
        (Source(principals=("*",)), CALLER, True),
        (Source(principals=("*",)), "", False),
        (Source(not_principals=("*",)), "", True),
        (Source(principals=("*/sa/web",)), CALLER, True),
        (Source(principals=("td/ns/shop/*",)), CALLER, True),
        (Source(namespaces=("shop",)), CALLER, True),
        (Source(namespaces=("sh*",)), CALLER, True),
        (Source(namespaces=("*op",)), CALLER, True),
        (Source(namespaces=("sho",)), CALLER, False),
        (Source(not_namespaces=("shop",)), CALLER, False),
        (Source(service_accounts=("shop/web",)), CALLER, True),
        (Source(service_accounts=("shop/we",)), CALLER, False),
        (Source(not_service_accounts=("shop/web",)), CALLER, False),
    ],
)
def test_callers(source: Source, principal: str, expected: bool) -> None:
    """Who is meant by a source, with and without asterisks, and under former names of the trust domain."""
    assert matches(Rule(sources=(source,)), request(principal=principal)) is expected


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (Operation(paths=("/a/b",)), True),
        (Operation(paths=("/a/*",)), True),
        (Operation(paths=("*/b",)), True),
        (Operation(paths=("/a/{*}",)), True),
        (Operation(paths=("/{**}/b",)), True),
        (Operation(paths=("/{*}",)), False),
        (Operation(not_paths=("/a*",)), False),
        (Operation(hosts=("SHOP.example.com",)), True),
        (Operation(hosts=("*.EXAMPLE.com",)), True),
        (Operation(hosts=("shop",)), False),
        (Operation(methods=("GET",)), True),
        (Operation(methods=("get",)), False),
        (Operation(ports=("8080",)), True),
        (Operation(not_ports=("8080",)), False),
    ],
)
def test_operations(operation: Operation, expected: bool) -> None:
    """What is meant by an operation; only hosts do not care for case."""
    assert matches(Rule(operations=(operation,)), request(path="/a/b?q=1", host="shop.example.com")) is expected


CLAIMS = {"iss": "https://i", "sub": "s", "groups": ["a", "b"], "org": {"unit": "x"}, "scope": "read write", "n": 3, "aud": "shop", "azp": "app"}


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("request.auth.claims[groups]", "b", True),
        ("request.auth.claims[org][unit]", "x", True),
        ("request.auth.claims[org]", "x", False),
        ("request.auth.claims[scope]", "write", True),
        ("request.auth.claims[n]", "3", False),
        ("request.auth.audiences", "shop", True),
        ("request.auth.presenter", "app", True),
        ("request.auth.principal", "https://i/s", True),
        ("request.auth.principal", "https://i/*", True),
        ("request.auth.principal", "*/s", True),
        ("request.auth.principal", "https:/*", False),
        ("request.headers[X-User]", "ann", True),
        ("request.headers[x-user]", "a*", True),
        ("request.headers[x-none]", "*", False),
        ("source.ip", "10.0.0.0/24", True),
        ("remote.ip", "192.0.2.7", True),
        ("source.namespace", "shop", True),
        ("source.serviceAccount", "shop/web", True),
        ("source.principal", "cluster.local/ns/shop/sa/web", True),
        ("destination.ip", "10.0.0.9", True),
        ("destination.port", "8080", True),
        ("connection.sni", "outbound*", True),
        ("experimental.envoy.filters.a[b]", "c", False),
    ],
)
def test_conditions(key: str, value: str, expected: bool) -> None:
    """Every key of a condition, as a value that must be and as one that must not."""
    asked = request(
        headers={"x-user": "ann"}, tokens=(Token(claims=CLAIMS),), remote_ip="192.0.2.7", destination_ip="10.0.0.9", server_name="outbound_.80_._.w"
    )
    rules = (JwtRule(issuer="https://i", jwks='{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'),)
    for condition, wanted in ((Condition(key=key, values=(value,)), expected), (Condition(key=key, not_values=(value,)), not expected)):
        assert (decide(asked, policy(Rule(conditions=(condition,))), rules=rules).verdict is Verdict.ALLOWED) is wanted


def test_connections_have_no_http() -> None:
    """On TCP a rule of ALLOW with HTTP fields never matches; DENY takes such a rule without them."""
    rule = Rule(operations=(Operation(methods=("GET",), ports=("8080",)),))
    connection = Request(port=8080)
    assert decide(connection, policy(rule)).attempts[0].unmet == "the method is known of HTTP requests only"
    assert not matches(rule, connection)
    assert matches(rule, connection, Action.DENY)
    assert not matches(rule, Request(port=81), Action.DENY)


@pytest.mark.parametrize(
    "rule",
    [
        Rule(sources=(Source(ip_blocks=("nonsense",)),)),
        Rule(operations=(Operation(paths=("/{**}/{**}",)),)),
        Rule(conditions=(Condition(key="request.nothing", values=("x",)),)),
    ],
)
def test_what_cannot_be_read(rule: Rule) -> None:
    """A malformed value takes its rule out of ALLOW and leaves the rest of it in DENY."""
    assert not matches(rule, request())
    assert matches(rule, request(), Action.DENY)


@pytest.mark.parametrize(
    ("path", "mode", "seen"),
    [
        ("/a/../b", "NONE", "/a/../b"),
        ("/a/../b", "BASE", "/b"),
        ("/a//b", "BASE", "/a//b"),
        ("/%61%2E%7e%20/%5A", "BASE", "/a.~%20/Z"),
        ("/a//b", "MERGE_SLASHES", "/a/b"),
        ("/a%2Fb", "MERGE_SLASHES", "/a%2Fb"),
        ("/a%2f%2Fb", "DECODE_AND_MERGE_SLASHES", "/a/b"),
    ],
)
def test_paths_are_normalized(path: str, mode: str, seen: str) -> None:
    """Policies see the path as the mesh's setting has it."""
    mesh = MeshSettings(path_normalization=mode)
    exact = policy(Rule(operations=(Operation(paths=(seen,)),)))
    assert evaluation.decide([exact], (), mesh, request(path=path)).verdict is Verdict.ALLOWED
