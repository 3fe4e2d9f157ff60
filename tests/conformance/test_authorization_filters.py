from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format

from varka.envoy.security import rbac
from varka.model.security import Action, AuthorizationPolicy, Condition, Operation, Rule, Source
from varka.model.view import MeshSettings

CASES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "authorization_filters.yaml"
pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not CASES.exists(), reason="the shared conformance cases are not on this machine")]


def cases() -> list[Any]:
    """All cases of the folder, none where it is absent."""
    return yaml.safe_load(CASES.read_text())["cases"] if CASES.exists() else []


def snake(name: str) -> str:
    """`notPaths` as `not_paths`."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def fields(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a source or an operation by the model's names."""
    return {snake(key): tuple(map(str, value)) for key, value in raw.items()}


def policy(raw: Mapping[str, Any]) -> AuthorizationPolicy:
    """The model's policy, straight from the manifest."""
    spec = raw.get("spec") or {}
    rules = tuple(
        Rule(
            sources=tuple(Source(**fields(item["source"])) for item in rule.get("from", ())),
            operations=tuple(Operation(**fields(item["operation"])) for item in rule.get("to", ())),
            conditions=tuple(
                Condition(key=item["key"], values=tuple(item.get("values", ())), not_values=tuple(item.get("notValues", ()))) for item in rule.get("when", ())
            ),
        )
        for rule in spec.get("rules") or ()
    )
    return AuthorizationPolicy(
        name=raw["metadata"]["name"],
        namespace=raw["metadata"]["namespace"],
        action=Action(spec.get("action", "ALLOW")),
        rules=rules,
        dry_run=raw["metadata"].get("annotations", {}).get("istio.io/dry-run") == "true",
    )


def unordered(value: Any) -> Any:
    """Without the order of lists whose order decides nothing, and without a choice among one."""
    if isinstance(value, dict):
        for choice, items in (("orRules", "rules"), ("orIds", "ids")):
            if list(value) == [choice] and len(value[choice][items]) == 1:
                return unordered(value[choice][items][0])
        return {key: unordered(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return sorted((unordered(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_filters_mean_the_same(case: Any) -> None:
    """The policies of the case become the filters that it expects."""
    if case.get("custom_builder"):
        pytest.skip("the action CUSTOM is not acted on yet")
    mesh = MeshSettings(trust_domain=case.get("trust_domain", "cluster.local"), trust_domain_aliases=tuple(case.get("trust_domain_aliases", ())))
    build = rbac.http_filters if case["filter_kind"] == "http" else rbac.network_filters
    built = [json_format.MessageToDict(item) for item in build(map(policy, case["policies"]), mesh)]
    expected = case["expected_filters"]
    assert [item["name"] for item in built] == [item["name"] for item in expected]
    for ours, theirs in zip(built, expected, strict=True):
        assert unordered(ours["typedConfig"]) == unordered(theirs["typedConfig"])
