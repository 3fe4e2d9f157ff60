from __future__ import annotations

import pytest
from tests.builders.findings import found
from tests.builders.meshobjects import istio

ANALYZER = "envoyfilter.EnvoyPatchAnalyzer"


def _filter(name: str, applied: str, operation: str, version: str = "", **spec: object) -> dict[str, object]:
    patch = {"applyTo": applied, "match": {"proxy": {"proxyVersion": version}} if version else {}, "patch": {"operation": operation, "value": {"name": "x"}}}
    return istio("EnvoyFilter", name, {"configPatches": [patch], **spec})


@pytest.mark.parametrize(
    ("applied", "operation", "codes"),
    [
        ("HTTP_FILTER", "INSERT_FIRST", []),
        ("HTTP_FILTER", "ADD", []),
        ("HTTP_ROUTE", "ADD", ["IST0153"]),
        ("ROUTE_CONFIGURATION", "REMOVE", ["IST0154"]),
        ("CLUSTER", "REPLACE", ["IST0152"]),
        ("HTTP_FILTER", "REPLACE", ["IST0151"]),
        ("HTTP_FILTER", "INSERT_BEFORE", ["IST0151"]),
        ("CLUSTER", "MERGE", ["IST0151"]),
    ],
)
def test_operations(applied: str, operation: str, codes: list[str]) -> None:
    """Some operations do not fit, some depend on what is there."""
    assert [text.split()[0] for text in found(ANALYZER, _filter("a", applied, operation))] == codes


def test_priority_settles_the_order() -> None:
    """With a priority a relative operation knows where it is."""
    assert found(ANALYZER, _filter("a", "HTTP_FILTER", "INSERT_AFTER", priority=10)) == []


def test_versions_of_proxies() -> None:
    """A relative operation on a filter that another EnvoyFilter has for one version only may miss it in an upgrade."""
    assert found(ANALYZER, _filter("a", "HTTP_FILTER", "ADD", "^1"), _filter("b", "HTTP_FILTER", "INSERT_AFTER")) == ["IST0155 EnvoyFilter default/b"]
