from __future__ import annotations

from typing import Any

from varka.resources import crds


def _spec(name: str) -> dict[str, Any]:
    made = {item["metadata"]["name"]: item for item in crds.definitions()}
    version = made[name]["spec"]["versions"][0]
    found: dict[str, Any] = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return found


def test_fourteen_definitions() -> None:
    """There is one definition a kind, each with exactly one stored version."""
    made = crds.definitions()
    assert len(made) == 14
    assert all(sum(version["storage"] for version in item["spec"]["versions"]) == 1 for item in made)


def test_names_and_columns() -> None:
    """A definition carries short names, categories and printer columns."""
    made = next(item for item in crds.definitions() if item["metadata"]["name"] == "virtualservices.networking.istio.io")
    assert made["spec"]["names"]["shortNames"] == ["vs"]
    assert made["spec"]["names"]["categories"] == ["istio-io", "networking-istio-io"]
    assert [column["name"] for column in made["spec"]["versions"][0]["additionalPrinterColumns"]] == ["Gateways", "Hosts", "Age"]


def test_schema_of_a_choice() -> None:
    """Fields that exclude each other become a oneOf in which none is allowed too."""
    match = _spec("virtualservices.networking.istio.io")["properties"]["http"]["items"]["properties"]["match"]["items"]
    assert match["properties"]["uri"]["oneOf"] == [
        {"not": {"anyOf": [{"required": ["exact"]}, {"required": ["prefix"]}, {"required": ["regex"]}]}},
        {"required": ["exact"]},
        {"required": ["prefix"]},
        {"required": ["regex"]},
    ]


def test_schema_of_limits_and_rules() -> None:
    """Enums, required fields and CEL rules are in the schema."""
    peer = _spec("peerauthentications.security.istio.io")
    assert peer["properties"]["mtls"]["properties"]["mode"] == {"type": "string", "enum": ["UNSET", "DISABLE", "PERMISSIVE", "STRICT"]}
    assert [rule["message"] for rule in peer["x-kubernetes-validations"]] == ["portLevelMtls requires selector"]
    assert _spec("destinationrules.networking.istio.io")["required"] == ["host"]


def test_definitions_share_nothing() -> None:
    """Changing what one call gave does not change the next."""
    crds.definitions()[0]["spec"]["versions"][0]["schema"].clear()
    assert crds.definitions()[0]["spec"]["versions"][0]["schema"]
