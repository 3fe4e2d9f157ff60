from __future__ import annotations

import pytest

from varka.resources import parse, validation
from varka.resources.conditions import Severity


def problems(http: object, host: str = "web") -> list[str]:
    """The errors of a VirtualService with one rule."""
    obj = {"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "v", "namespace": "d"}}
    found = validation.validate(parse({**obj, "spec": {"hosts": [host], "http": [http]}}))
    return [item.text for item in found if item.severity is Severity.ERROR]


ROUTE = {"route": [{"destination": {"host": "web"}}]}


@pytest.mark.parametrize(
    ("path", "rule"),
    [
        ("spec.http[0].match[0].uri.regex", {**ROUTE, "match": [{"uri": {"regex": "(?=a)"}}]}),
        ("spec.http[0].match[0].headers[x].regex", {**ROUTE, "match": [{"headers": {"x": {"regex": r"(a)\1"}}}]}),
        ("spec.http[0].rewrite.uriRegexRewrite.match", {**ROUTE, "rewrite": {"uriRegexRewrite": {"match": "(", "rewrite": "x"}}}),
        ("spec.http[0].corsPolicy.allowOrigins[0].regex", {**ROUTE, "corsPolicy": {"allowOrigins": [{"regex": "[a"}]}}),
    ],
)
def test_expressions_that_envoy_cannot_read(path: str, rule: object) -> None:
    """The field and the reason are named."""
    (found,) = problems(rule)
    assert found.startswith(f"{path}: ")
    assert "RE2" in found


def test_the_ascii_form_of_a_name_is_told() -> None:
    """Who writes an international name learns how DNS writes it."""
    (found,) = problems(ROUTE, host="*.bücher.example")
    assert found.endswith("write an international name in its ASCII form, *.xn--bcher-kva.example")
