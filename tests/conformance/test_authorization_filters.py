from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from msgspec.structs import replace

from varka.envoy.security import rbac
from varka.model import mesh_settings
from varka.model.security import Action, AuthorizationPolicy, Condition, Operation, Rule, Source

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
        provider=spec.get("provider", {}).get("name", ""),
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
    given = {"trustDomain": case.get("trust_domain", "cluster.local"), "trustDomainAliases": case.get("trust_domain_aliases", [])}
    mesh, problems = mesh_settings.of({**given, **case.get("mesh_config", {})})
    assert problems == ()
    known = {one.name: one for one in mesh.authorizers}
    policies = [replace(item, authorizer=known.get(item.provider)) for item in map(policy, case["policies"])]
    build = rbac.http_filters if case["filter_kind"] == "http" else rbac.network_filters
    built = [json_format.MessageToDict(item) for item in build(policies, mesh)]
    expected = case["expected_filters"]
    assert [item["name"] for item in built] == [item["name"] for item in expected]
    for ours, theirs in zip(built, expected, strict=True):
        assert unordered(ours["typedConfig"]) == unordered(theirs["typedConfig"])
