from __future__ import annotations

import json

import pytest
import yaml

from varka.analysis import catalog
from varka.analysis.messages import Message
from varka.base.errors import VarkaError
from varka.cli.istioctl.analyzing import findings
from varka.resources import Meta, Parsed


def _message(kind: str = "Pod", name: str = "a", namespace: str = "default", path: str = "") -> Message:
    parsed: Parsed[None] = Parsed(group="", version="v1", kind=kind, meta=Meta(name=name, namespace=namespace), spec=None)
    return catalog.UNKNOWN_ANNOTATION.about(parsed, "x", path=path)


def test_only_one_namespace() -> None:
    """Findings about other namespaces are left out, those about the namespace itself and about the cluster are not."""
    found = [_message(), _message(namespace="other"), _message("Namespace", "default", ""), _message("Namespace", "other", ""), _message("Node", "n", "")]
    assert [one.resource for one in findings.chosen(found, "default", [], {})] == ["Pod default/a", "Namespace default", "Node n"]
    assert findings.chosen(found, "", [], {}) == found


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("IST0108=Pod a.default", False),
        ("IST0108=Pod default/a", False),
        ("IST0108=Pod *.default", False),
        ("IST0108=*", False),
        ("IST0108=Pod a.other", True),
        ("IST0107=Pod a.default", True),
    ],
)
def test_suppression(text: str, kept: bool) -> None:
    """A code and a resource in either spelling, with wildcards."""
    assert bool(findings.chosen([_message()], "", [findings.rule(text)], {})) is kept


@pytest.mark.parametrize("text", ["IST0108", "=Pod a", "IST0108="])
def test_suppression_of_another_form(text: str) -> None:
    """Is refused with an example."""
    with pytest.raises(VarkaError, match="is not of the form CODE=RESOURCE"):
        findings.rule(text)


@pytest.mark.parametrize(("codes", "kept"), [("IST0108", False), ("IST0107, IST0108", False), ("*", False), ("IST0107", True)])
def test_annotation(codes: str, kept: bool) -> None:
    """A resource may name the codes that it does not want to hear of."""
    obj = {"kind": "Pod", "metadata": {"name": "a", "namespace": "default", "annotations": {"galley.istio.io/analyze-suppress": codes}}}
    assert bool(findings.chosen([_message()], "", [], findings.annotated([obj, {"kind": "Pod", "metadata": {"annotations": None}}]))) is kept


def test_text_with_place_and_color() -> None:
    """The place in a file stands behind the resource; the level is colored when asked for."""
    places = {("Pod", "default", "a"): lambda path: f"x.yaml:{len(path)}"}
    assert findings.shown([_message(path="ab")], "log", places) == "Warning [IST0108] (Pod default/a x.yaml:2) Unknown annotation: x\n"
    assert findings.shown([_message()], "log", {}, color=True) == "\033[33mWarning\033[0m [IST0108] (Pod default/a) Unknown annotation: x\n"


def test_machine_readable() -> None:
    """JSON and YAML hold the same fields; no findings are an empty list."""
    expected = {
        "code": "IST0108",
        "documentationUrl": "https://istio.io/v1.28/docs/reference/config/analysis/ist0108/",
        "level": "Warning",
        "message": "Unknown annotation: x",
        "origin": "Pod default/a",
        "reference": "x.yaml:3",
    }
    places = {("Pod", "default", "a"): lambda _: "x.yaml:3"}
    assert json.loads(findings.shown([_message()], "json", places)) == [expected]
    assert yaml.safe_load(findings.shown([_message()], "yaml", places)) == [expected]
    assert json.loads(findings.shown([], "json", {})) == []
