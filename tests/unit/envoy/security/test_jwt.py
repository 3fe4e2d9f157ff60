from __future__ import annotations

import json

import pytest
from tests.builders.meshobjects import istio

from varka import resources
from varka.envoy.security import jwt
from varka.model.policies import authorization
from varka.resources.security import JwtRule


def _rule(**given: object) -> JwtRule:
    parsed = resources.parse(istio("RequestAuthentication", "r", {"jwtRules": [{"issuer": "i", **given}]}))
    assert parsed.spec is not None
    return parsed.spec.jwt_rules[0]  # type: ignore[no-any-return]


@pytest.mark.parametrize("text", ["x", "[]", "{}", '{"keys": 1}', ""])
def test_no_key_set_matches_no_token(text: str) -> None:
    """Keys that cannot be read are replaced by one that nobody has: Envoy would refuse the whole listener for them."""
    provider = jwt._provider(authorization.jwt_rule(_rule(jwks=text)))
    (key,) = json.loads(provider.local_jwks.inline_string)["keys"]
    assert key["kid"] == "could-not-fetch:i"
