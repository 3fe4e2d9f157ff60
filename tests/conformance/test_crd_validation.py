"""What the definitions of the custom resources accept and refuse, by the API server's own checks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from varka.cluster.apiserver.schema import validation
from varka.cluster.apiserver.schema.structural import CrdSchema
from varka.resources import crds

CASES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "crd_validation"
REFERENCE = Path(__file__).resolve().parents[3] / "shared" / "istio-1.28.2" / "reference" / "crd-all.gen.yaml"
SAMPLES = REFERENCE.parents[1] / "samples"
SCHEMAS = {
    (f"{made['spec']['group']}/{version['name']}", made["spec"]["names"]["kind"]): CrdSchema(version["schema"]["openAPIV3Schema"])
    for made in crds.definitions()
    for version in made["spec"]["versions"]
}
KEYWORDS = (
    *("type", "enum", "minimum", "maximum", "minLength", "maxLength", "pattern", "format", "nullable", "maxItems", "minItems", "maxProperties"),
    *("minProperties", "oneOf", "allOf", "x-kubernetes-preserve-unknown-fields", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", "default"),
)

pytestmark = [pytest.mark.conformance, pytest.mark.skipif(not CASES.is_dir(), reason="the conformance cases are not there")]


def _readable(text: str) -> str:
    """One case has an IPv6 address that PyYAML wants in quotes."""
    return text.replace("001:db8::]", '"001:db8::"]')


def _documents(path: Path) -> list[dict[str, Any]]:
    return [item for item in yaml.load_all(_readable(path.read_text()), Loader=yaml.CSafeLoader) if isinstance(item, dict)]


def _causes(obj: dict[str, Any]) -> list[str]:
    schema = SCHEMAS[obj["apiVersion"], obj["kind"]]
    return [str(cause) for cause in validation.validate(schema.root, obj)]


def _cases() -> list[Any]:
    return [
        pytest.param(item, id=f"{path.stem}: {(item.get('metadata') or {}).get('name')}")
        for path in sorted(CASES.glob("*.yaml"))
        for item in _documents(path)
        if item.get("kind")
    ]


@pytest.mark.parametrize("case", _cases())
def test_verdict_of_the_schema(case: dict[str, Any]) -> None:
    """A resource with an expected error is refused, one without is accepted."""
    obj = {key: value for key, value in case.items() if key != "_err"}
    assert bool(_causes(obj)) == ("_err" in case), _causes(obj)


def test_samples_are_accepted() -> None:
    """Every custom resource among the samples passes."""
    found = [item for path in sorted(SAMPLES.rglob("*.yaml")) for item in _documents(path) if (item.get("apiVersion"), item.get("kind")) in SCHEMAS]
    assert len(found) > 20
    assert {item["metadata"]["name"]: _causes(item) for item in found if _causes(item)} == {}


def _differences(ours: dict[str, Any], theirs: dict[str, Any], path: str) -> list[str]:
    found = [f"{path}: {word}" for word in KEYWORDS if ours.get(word) != theirs.get(word)]
    if set(ours.get("required", ())) != set(theirs.get("required", ())):
        found.append(f"{path}: required")
    mine, other = ours.get("properties", {}), theirs.get("properties", {})
    found += [f"{path}.{name}" for name in sorted(mine.keys() ^ other.keys())]
    for name in mine.keys() & other.keys():
        found += _differences(mine[name], other[name], f"{path}.{name}")
    for word in ("items", "additionalProperties"):
        if isinstance(ours.get(word), dict) and isinstance(theirs.get(word), dict):
            found += _differences(ours[word], theirs[word], f"{path}[]")
    return found


def test_every_field_of_the_api_is_there() -> None:
    """Names, versions, fields, types, enums and limits are those of the reference."""
    made = {item["metadata"]["name"]: item["spec"] for item in crds.definitions()}
    reference = {item["metadata"]["name"]: item["spec"] for item in _documents(REFERENCE)}
    assert made.keys() == reference.keys()
    for name, spec in reference.items():
        ours = made[name]
        assert ours["names"] == spec["names"]
        assert [(v["name"], v["served"], v["storage"]) for v in ours["versions"]] == [(v["name"], v["served"], v["storage"]) for v in spec["versions"]]
        assert ours["scope"] == spec["scope"]
        for one, other in zip(ours["versions"], spec["versions"], strict=True):
            mine, theirs = (item["schema"]["openAPIV3Schema"]["properties"]["spec"] for item in (one, other))
            assert _differences(mine, theirs, spec["names"]["kind"]) == []


@pytest.mark.parametrize(
    "kind", yaml.safe_load((REFERENCE.parent / "crds.yaml").read_text())["crds"] if REFERENCE.exists() else [], ids=lambda kind: kind["kind"]
)
def test_what_kubectl_shows(kind: dict[str, Any]) -> None:
    """Short names and printer columns are those of the reference in every version."""
    (made,) = (item["spec"] for item in crds.definitions() if item["metadata"]["name"] == kind["name"])
    assert (made["names"].get("shortNames", []), [version["name"] for version in made["versions"]]) == (kind["shortNames"], kind["versions"])
    assert [version["name"] for version in made["versions"] if version["storage"]] == [kind["storage"]]
    for version in made["versions"]:
        columns = [{key: column[key] for key in ("name", "jsonPath", "type")} for column in version.get("additionalPrinterColumns", [])]
        assert columns == [{key: column[key] for key in ("name", "jsonPath", "type")} for column in kind.get("printerColumns") or []]
        assert version["subresources"] == {"status": {}}
