from __future__ import annotations

import json

import pytest
from envoy.extensions.filters.http.jwt_authn.v3 import config_pb2
from tests.builders.meshobjects import istio, proxy, snapshot_of

from varka.envoy.security import jwt
from varka.model import views


@pytest.mark.parametrize("text", ["x", "[]", "{}", '{"keys": 1}', ""])
def test_no_key_set_matches_no_token(text: str) -> None:
    """Keys that cannot be read are replaced by one that nobody has: Envoy would refuse the whole listener for them."""
    made = snapshot_of(istio("RequestAuthentication", "r", {"jwtRules": [{"issuer": "i", "jwks": text}]}))
    (http_filter,) = jwt.filters(views.view(made, proxy("web")))
    found = config_pb2.JwtAuthentication()
    assert http_filter.typed_config.Unpack(found)
    (key,) = json.loads(found.providers["origins-0"].local_jwks.inline_string)["keys"]
    assert key["kid"] == "could-not-fetch:i"
