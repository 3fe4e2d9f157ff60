from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from tests.builders.meshobjects import Object, istio, service

from varka import resources
from varka.model import inputs, mesh_settings, snapshot
from varka.model.policies import policy_references
from varka.model.policies.signing_keys import FetchMode, KeySource, KnownKeys


def found(*objects: Object, keys: KnownKeys | None = None, **mesh: Any) -> list[str]:
    """The texts of the conditions."""
    made = inputs.of(map(resources.parse, objects), mesh_settings.of(mesh)[0])
    made = replace(made, signing_keys=keys or made.signing_keys)
    return [condition.text for _, condition in policy_references.find(snapshot.build(made))]


def custom(provider: str) -> Object:
    """A policy that asks a provider."""
    return istio("AuthorizationPolicy", "a", {"action": "CUSTOM", "provider": {"name": provider}, "rules": [{}]})


def test_authorizers_that_are_not_there() -> None:
    """An unknown authorizer, one with a mistake and one without a service are told apart; a good one is not spoken of."""
    providers = [
        {"name": "bad", "envoyExtAuthzGrpc": {"service": "ext", "port": 0}},
        {"name": "lost", "envoyExtAuthzGrpc": {"service": "lost.example.com", "port": 80}},
        {"name": "good", "envoyExtAuthzGrpc": {"service": "ext.default.svc.cluster.local", "port": 80}},
    ]
    seen = {name: found(service("ext"), custom(name), extensionProviders=providers) for name in ("other", "bad", "lost", "good")}
    end = "; requests that the policy matches are refused"
    assert seen == {
        "other": [f"spec.provider: no external authorizer 'other' in extensionProviders of the mesh configuration, which has bad, good, lost{end}"],
        "bad": [f"spec.provider: the external authorizer 'bad' is not usable: port must be a number from 1 to 65535{end}"],
        "lost": [f"spec.provider: referenced host not found: lost.example.com:80 of the external authorizer 'lost'{end}"],
        "good": [],
    }


def test_keys_that_nobody_has() -> None:
    """A rule whose keys could not be fetched yet is told, unless the keys stand in it or the proxies fetch them."""
    rules = [{"issuer": "a", "jwks": '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}'}, {"issuer": "b", "jwksUri": "http://b/keys"}]
    policy = istio("RequestAuthentication", "r", {"jwtRules": rules})
    text = "the keys of issuer 'b' are not fetched from http://b/keys; requests with its tokens are refused until they are"
    assert found(policy) == [f"spec.jwtRules[1]: {text}"]
    assert found(policy, keys=KnownKeys(keys={KeySource(url="http://b/keys"): "{}"})) == []
    assert found(policy, keys=KnownKeys(mode=FetchMode.ENVOY)) == []


def test_keys_that_are_none() -> None:
    """A key set without a key that Envoy could use is told."""
    policy = istio("RequestAuthentication", "r", {"jwtRules": [{"issuer": "a", "jwks": "{}"}]})
    assert found(policy) == ["spec.jwtRules[0].jwks: no key with which tokens of issuer 'a' could be checked; requests with its tokens are refused"]
