from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from google.protobuf import json_format
from tests.builders.meshobjects import istio, proxy, service, snapshot_of

from varka import resources
from varka.envoy import messages
from varka.envoy.security import jwt
from varka.model import inputs, snapshot, views
from varka.model.policies import signing_keys
from varka.model.policies.signing_keys import FetchMode, KeySource, KnownKeys

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "authn"
pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not FOLDER.exists(), reason="the shared conformance cases are not on this machine")]
SERVED = "http://mock-jwks/oauth2/v3/certs"


def cases(name: str) -> list[Any]:
    """All cases of a file, none where it is absent."""
    return yaml.safe_load((FOLDER / name).read_text())["cases"] if FOLDER.exists() else []


def served(file: list[Any]) -> str:
    """The key set that the cases' server has: the one that a rule with its address expects."""
    for case in file:
        for name, provider in ((case.get("expected") or {}).get("typedConfig") or case.get("expected") or {}).get("providers", {}).items():
            text = provider.get("localJwks", {}).get("inlineString", "")
            if name == "origins-0" and "fakeKey1_1" in text:
                return str(text)
    raise AssertionError("no case expects fetched keys")


def built(policies: list[Any], mode: str, keys: str) -> Any:
    """The filter of a workload with these policies."""
    known = KnownKeys(mode=FetchMode(mode.lower()), keys={KeySource(url=SERVED): keys})
    issuer = service("jwt-token-issuer", {"name": "http", "port": 7443}, namespace="mesh")
    objects = [istio("RequestAuthentication", f"r{number}", policy["spec"]) for number, policy in enumerate(policies)]
    parsed = [resources.parse(obj) for obj in [issuer, *objects]]
    found = inputs.of(parsed)
    made = snapshot.build(type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"signing_keys": known}))
    rules = views.view(made, proxy("web")).jwt_rules
    return json_format.MessageToDict(HttpFilter(name=jwt.NAME, typed_config=messages.packed(jwt.configuration(rules)))) if rules else None


def without_unfetched(value: Any) -> Any:
    """With the expectation's words in place of a key set that has one key which no token was signed with."""
    for provider in value["providers"].values():
        text = provider.get("localJwks", {}).get("inlineString", "")
        if "could-not-fetch" in text:
            (key,) = json.loads(text)["keys"]
            assert key["kty"] == "RSA"
            provider["localJwks"]["inlineString"] = "<unfetched>"
        elif text.startswith("<any JWKS with an unusable random key"):
            provider["localJwks"]["inlineString"] = "<unfetched>"
    return value


@pytest.mark.parametrize("case", cases("jwt_filter.yaml"), ids=lambda case: case["name"])
def test_filters(case: Any) -> None:
    """The policies of the case become the filter that it expects."""
    assert built(case["in"], case["jwksFetchMode"], served(cases("jwt_filter.yaml"))) == case.get("expected")


@pytest.mark.parametrize("case", cases("jwt_config.yaml"), ids=lambda case: case["name"])
def test_configurations(case: Any) -> None:
    """The rules of the case, in their order, become the configuration that it expects."""
    if not case["in"]:
        assert jwt.filters(views.view(snapshot_of(), proxy("web"))) == []
        return
    keys = {SERVED: served(cases("jwt_config.yaml"))}
    rules = tuple(
        jwt.JwtRule(issuer=rule["issuer"], jwks_uri=rule.get("jwksUri", ""), jwks=rule.get("jwks") or keys.get(rule.get("jwksUri"), "")) for rule in case["in"]
    )
    found = json_format.MessageToDict(jwt.configuration(rules))
    assert without_unfetched(found) == without_unfetched(case["expected"])


def test_where_keys_are_looked_for() -> None:
    """Without an address of its own, a rule's keys are found by the issuer's OpenID configuration."""
    assert signing_keys.source(jwt.JwtRule(issuer="https://i/")) == KeySource(url="https://i/.well-known/openid-configuration", discovery=True)
