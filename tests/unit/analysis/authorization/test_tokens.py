from __future__ import annotations

from typing import Any

import pytest

from varka.analysis.authorization import tokens
from varka.analysis.authorization.requests import Token
from varka.model.security import JwtRule

KEYS = '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'


def rule(issuer: str = "i", **fields: Any) -> JwtRule:
    """A rule whose keys are known."""
    return JwtRule(issuer=issuer, jwks=KEYS, **fields)


def test_no_token_passes() -> None:
    """A request without a token passes, and has no claims."""
    assert tokens.authenticate([rule()], []) == tokens.Authentication()


def test_any_rule_will_do() -> None:
    """A token is accepted by the rule of its issuer."""
    found = tokens.authenticate([rule("a"), rule("b")], [Token(claims={"iss": "b", "scope": "x y"})])
    assert (found.claims, found.refusal) == ({"iss": "b", "scope": ["x", "y"]}, "")


@pytest.mark.parametrize(
    ("rules", "token", "refusal"),
    [
        ([rule()], Token(claims={"iss": "x"}), "no RequestAuthentication accepts tokens of the issuer 'x'"),
        ([rule()], Token(claims={"iss": "i"}, valid=False), "the token of i is not valid: its signature or its time is wrong"),
        ([JwtRule(issuer="i")], Token(claims={"iss": "i"}), "the keys of i are not known, so that no token of it is accepted"),
        ([rule(audiences=("a", "b"))], Token(claims={"iss": "i", "aud": ["c"]}), "the token is for ['c'] and not for a, b"),
    ],
)
def test_refusals(rules: list[JwtRule], token: Token, refusal: str) -> None:
    """A token that no rule accepts is worse than none, and the reason is said."""
    assert tokens.authenticate(rules, [token]).refusal == refusal


def test_audiences_without_scheme() -> None:
    """Scheme and last slash of an audience do not count."""
    assert tokens.authenticate([rule(audiences=("https://shop/",))], [Token(claims={"iss": "i", "aud": "http://shop"})]).refusal == ""


def test_places() -> None:
    """A token counts only where its issuer's rule looks; without places of its own that is the Authorization header and `access_token`."""
    elsewhere = Token(claims={"iss": "x"}, place="header x-token")
    assert tokens.authenticate([rule()], [elsewhere]).refusal == ""
    assert tokens.authenticate([rule(from_headers=(("X-Token", ""),))], [elsewhere]).refusal != ""
    assert tokens.authenticate([rule(from_cookies=("c",))], [Token(claims={"iss": "x"})]).refusal == ""
    assert tokens.authenticate([rule()], [Token(claims={"iss": "i"}, place="param access_token")]).claims == {"iss": "i"}


def test_no_rules() -> None:
    """Where nothing checks tokens, they are worth nothing and harm nobody."""
    assert tokens.authenticate([], [Token(claims={"iss": "i"})]) == tokens.Authentication()


@pytest.mark.parametrize(("order", "forbidden"), [("ab", True), ("b", True), ("bc", True), ("cb", False), ("acb", True)])
def test_which_refusal_counts(order: str, forbidden: bool) -> None:
    """Envoy's answer to a token that several rules refuse for different reasons: for another audience it is 403, else 401."""
    known = {"a": rule("a"), "b": rule(audiences=("x",)), "c": rule()}
    found = tokens.authenticate([known[name] for name in order], [Token(claims={"iss": "i"}, valid=False)])
    assert (bool(found.refusal), found.forbidden) == (True, forbidden)
