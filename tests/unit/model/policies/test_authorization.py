from __future__ import annotations

from typing import Any

import pytest
from tests.builders.meshobjects import Object, istio, proxy, service, snapshot_of

from varka import resources
from varka.model import inputs, snapshot, views
from varka.model.policies.signing_keys import FetchMode, KeySource, KnownKeys
from varka.model.view import ProxyView

GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "front"}


def names(*objects: Object, **labels: str) -> list[str]:
    """Names of the policies for a workload."""
    return [policy.name for policy in views.view(snapshot_of(*objects), proxy("web", **labels)).authorization]


@pytest.mark.parametrize("field", [{"targetRef": GATEWAY}, {"targetRefs": [{**GATEWAY, "name": "other"}, GATEWAY]}])
def test_policies_are_attached_to_gateways(field: dict[str, Any]) -> None:
    """A reference to a Gateway is for the proxies that carry its name, and for no others of the namespace."""
    policy = istio("AuthorizationPolicy", "p", {**field, "rules": [{}]})
    label = "gateway.networking.k8s.io/gateway-name"
    assert (names(policy, **{label: "front"}), names(policy, **{label: "back"}), names(policy)) == (["p"], [], [])


def test_references_stay_in_their_namespace() -> None:
    """A policy of the root namespace that is attached to a gateway is not for a gateway of that name elsewhere."""
    policy = istio("AuthorizationPolicy", "p", {"targetRefs": [GATEWAY], "rules": [{}]}, namespace="istio-system")
    assert names(policy, **{"gateway.networking.k8s.io/gateway-name": "front"}) == []


def test_references_to_services_are_for_waypoints() -> None:
    """A policy for a Service applies to no sidecar."""
    policy = istio("AuthorizationPolicy", "p", {"targetRefs": [{"kind": "Service", "name": "web"}], "rules": [{}]})
    assert names(service("web"), policy) == []


@pytest.mark.parametrize(("value", "dry"), [("true", True), ("True", True), ("1", True), ("false", False), ("maybe", False)])
def test_dry_run(value: str, dry: bool) -> None:
    """The annotation takes the words that Go's programs take."""
    policy = istio("AuthorizationPolicy", "p", {"rules": [{}]}, annotations={"istio.io/dry-run": value})
    (found,) = views.view(snapshot_of(policy), proxy("web")).authorization
    assert found.dry_run is dry


def with_keys(known: KnownKeys, *rules: Object) -> ProxyView:
    """The view of a workload with token rules, when these keys are known."""
    parsed = [resources.parse(one) for one in (service("keys"), istio("RequestAuthentication", "r", {"jwtRules": list(rules)}))]
    found = inputs.of(parsed)
    made = snapshot.build(type(found)(**{name: getattr(found, name) for name in found.__slots__} | {"signing_keys": known}))
    return views.view(made, proxy("web"))


def test_rules_are_in_order_of_issuers() -> None:
    """Whatever their order in resources, rules come by issuer, with the keys that are known."""
    known = KnownKeys(keys={KeySource(url="http://b/keys"): "fetched", KeySource(url="https://c/.well-known/openid-configuration", discovery=True): "found"})
    rules = [{"issuer": "https://c"}, {"issuer": "b", "jwksUri": "http://b/keys"}, {"issuer": "a", "jwks": "own"}, {"issuer": "d", "jwksUri": "http://d/keys"}]
    assert [(rule.issuer, rule.jwks) for rule in with_keys(known, *rules).jwt_rules] == [("a", "own"), ("b", "fetched"), ("d", ""), ("https://c", "found")]


@pytest.mark.parametrize(
    ("mode", "uri", "place"),
    [
        (FetchMode.ISTIOD, "http://keys.default:80/k", None),
        (FetchMode.HYBRID, "http://keys.default:80/k", ("keys.default.svc.cluster.local", 80)),
        (FetchMode.HYBRID, "http://keys.default.svc/k", ("keys.default.svc.cluster.local", 80)),
        (FetchMode.HYBRID, "http://keys.default:81/k", None),
        (FetchMode.HYBRID, "https://issuer.example.com/k", None),
        (FetchMode.ENVOY, "https://issuer.example.com/k", ("issuer.example.com", 443)),
        (FetchMode.ENVOY, "http://[nonsense/k", None),
    ],
)
def test_who_fetches(mode: FetchMode, uri: str, place: object) -> None:
    """The proxies fetch from services of the mesh if they may, and from everywhere if they must."""
    (rule,) = with_keys(KnownKeys(mode=mode), {"issuer": "a", "jwksUri": uri}).jwt_rules or (None,)
    assert rule is None or rule.fetch_from == place


def test_a_new_key_reaches_its_workloads_only() -> None:
    """Rules of a workload whose keys did not change are the same object in the next snapshot."""
    found = inputs.of([resources.parse(istio("RequestAuthentication", "r", {"jwtRules": [{"issuer": "a", "jwksUri": "http://a/keys"}]}))])
    values = {name: getattr(found, name) for name in found.__slots__}
    source, other = KeySource(url="http://a/keys"), KeySource(url="http://other")
    first = snapshot.build(type(found)(**values | {"signing_keys": KnownKeys(keys={source: "1"})}))
    second = snapshot.build(type(found)(**values | {"signing_keys": KnownKeys(keys={source: "1", other: "2"})}), first)
    third = snapshot.build(type(found)(**values | {"signing_keys": KnownKeys(keys={source: "2"})}), second)
    rules = [views.view(made, proxy("web")).jwt_rules for made in (first, second, third)]
    assert rules[0] is rules[1]
    assert rules[2][0].jwks == "2"
