"""Label and field selectors."""

from __future__ import annotations

import pytest

from varka.client.api import ApiError
from varka.cluster.apiserver import selectors


def pod(labels: dict[str, str], **spec: object) -> dict[str, object]:
    """A pod with little in it."""
    return {"metadata": {"name": "p", "namespace": "n", "labels": labels}, "spec": spec, "status": {"phase": "Running"}}


@pytest.mark.parametrize(
    ("text", "labels", "expected"),
    [
        ("a=b", {"a": "b"}, True),
        ("a==b,c!=d", {"a": "b"}, True),
        ("a!=b", {"a": "b"}, False),
        ("a in (x, y)", {"a": "y"}, True),
        ("a notin (x,y)", {}, True),
        ("a notin (x,y)", {"a": "x"}, False),
        ("a", {}, False),
        ("!a", {}, True),
        ("n>3", {"n": "4"}, True),
        ("n<3", {"n": "z"}, False),
        ("example.com/a=b,c in (d)", {"example.com/a": "b", "c": "d"}, True),
    ],
)
def test_label_selector(text: str, labels: dict[str, str], expected: bool) -> None:
    """Every form of requirement means what kubectl's documentation says."""
    match = selectors.labels(text)
    assert match is not None
    assert match(pod(labels)) is expected


def test_empty_selects_everything() -> None:
    """No selector is no function at all, so that lists need not call one."""
    assert selectors.labels("  ") is None
    assert selectors.fields("pods", "") is None


@pytest.mark.parametrize("text", ["a=b=c", "a in x", "=b", "a,,b"])
def test_malformed_label_selector(text: str) -> None:
    """A malformed selector is a bad request."""
    with pytest.raises(ApiError) as caught:
        selectors.labels(text)
    assert caught.value.code == 400


def test_field_selector() -> None:
    """Selectable fields select; booleans that are absent are false."""
    match = selectors.fields("pods", "status.phase=Running,spec.nodeName!=x,metadata.name=p")
    assert match is not None
    assert match(pod({}))
    assert not match(pod({}, nodeName="x"))
    nodes = selectors.fields("nodes", "spec.unschedulable=false")
    assert nodes is not None
    assert nodes(pod({}))


def test_unknown_field() -> None:
    """A field that is not selectable is named in the refusal."""
    with pytest.raises(ApiError, match=r"field label not supported: spec\.foo"):
        selectors.fields("pods", "spec.foo=1")


def test_label_selector_object() -> None:
    """matchLabels and matchExpressions are joined by and."""
    match = selectors.from_label_selector(
        {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "Exists"}, {"key": "d", "operator": "DoesNotExist"}]}
    )
    assert match({"a": "b", "c": ""})
    assert not match({"a": "b", "c": "", "d": "x"})
