"""What a request's tokens are worth to a workload: the claims that policies may rely on, or a refusal.

Every rule looks for tokens at its own places. A request without any passes; one whose tokens no rule accepts does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from varka.analysis.authorization.requests import Token
from varka.model.policies import key_sets
from varka.model.security import JwtRule

DEFAULT_PLACES = ("header authorization", "param access_token")
SPACE_DELIMITED = ("permission", "scope")


class Authentication(Struct, frozen=True, kw_only=True):
    """The claims of the accepted token, if there is one; `refusal` says why the request must not pass."""

    claims: Mapping[str, Any] | None = None
    refusal: str = ""
    forbidden: bool = False
    """The refusal is for what the token is meant for: 403 and not 401."""
    foreign: bool = False
    """The refusal is for the token's issuer, which some other rule may know."""


def authenticate(rules: Iterable[JwtRule], tokens: Iterable[Token]) -> Authentication:
    """Try the rules in their order.

    Which refusal counts is Envoy's choice: it tries every rule, then all of them together, where the first refusal ends
    it; the last result counts, but that an issuer is foreign only where there is nothing else to say.
    """
    refusals: list[Authentication] = []
    for rule in rules:
        seen = [token for token in tokens if token.place in _places(rule)]
        problems = [_problem(rule, token) for token in seen]
        if seen and not any(problems):
            return Authentication(claims=_with_lists(seen[0].claims, rule))
        refusals += [problem for problem in problems if problem]
    counted = [*refusals, *refusals[:1]]
    return ([one for one in counted if not one.foreign] or counted or [Authentication()])[-1]


def _places(rule: JwtRule) -> tuple[str, ...]:
    headers = [f"header {name.lower()}" for name, _ in rule.from_headers]
    params = [f"param {name}" for name in rule.from_params]
    cookies = [f"cookie {name}" for name in rule.from_cookies]
    return (*headers, *params, *cookies) or DEFAULT_PLACES


def _problem(rule: JwtRule, token: Token) -> Authentication | None:
    issuer = token.claims.get("iss")
    if issuer != rule.issuer:
        return Authentication(refusal=f"no RequestAuthentication accepts tokens of the issuer {issuer!r}", foreign=True)
    if rule.audiences:
        found = token.claims.get("aud")
        audiences = found if isinstance(found, list) else [found]
        if not {_audience(one) for one in rule.audiences} & {_audience(one) for one in audiences if isinstance(one, str)}:
            return Authentication(refusal=f"the token is for {found!r} and not for {', '.join(rule.audiences)}", forbidden=True)
    if rule.fetch_from is None and not key_sets.usable(rule.jwks):
        return Authentication(refusal=f"the keys of {rule.issuer} are not known, so that no token of it is accepted")
    if not token.valid:
        return Authentication(refusal=f"the token of {rule.issuer} is not valid: its signature or its time is wrong")
    return None


def _audience(value: str) -> str:
    """Without scheme and last slash, which do not count."""
    for scheme in ("https://", "http://"):
        value = value.removeprefix(scheme)
    return value.removesuffix("/")


def _with_lists(claims: Mapping[str, Any], rule: JwtRule) -> dict[str, Any]:
    """Claims that hold words become lists of words."""
    worded = {*SPACE_DELIMITED, *rule.space_delimited_claims}
    return {name: value.split() if name in worded and isinstance(value, str) else value for name, value in claims.items()}
