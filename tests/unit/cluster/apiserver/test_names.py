"""Names, labels and annotations."""

from __future__ import annotations

from typing import Any

import pytest

from varka.cluster.apiserver import names


def wrong(group: str, resource: str, **meta: Any) -> list[str]:
    """The fields that are wrong in an object's metadata."""
    return [cause.field for cause in names.metadata(group, resource, {"metadata": meta})]


@pytest.mark.parametrize(
    ("group", "resource", "name", "good"),
    [
        ("", "pods", "a.b-c", True),
        ("", "pods", "A", False),
        ("", "pods", "-a", False),
        ("", "pods", "a" * 253, True),
        ("", "pods", "a" * 254, False),
        ("", "namespaces", "a.b", False),
        ("", "namespaces", "a" * 64, False),
        ("", "services", "1a", False),
        ("", "services", "a1", True),
        ("rbac.authorization.k8s.io", "roles", "system:Node", True),
        ("rbac.authorization.k8s.io", "roles", "a/b", False),
        ("rbac.authorization.k8s.io", "roles", "..", False),
    ],
)
def test_object_names(group: str, resource: str, name: str, good: bool) -> None:
    """Each resource has its rule of names."""
    assert (wrong(group, resource, name=name) == []) is good


def test_name_is_required() -> None:
    """An object without a name says that it needs one."""
    causes = names.metadata("", "pods", {"metadata": {}})
    assert [(cause.field, cause.text) for cause in causes] == [("metadata.name", "Required value: name or generateName is required")]


@pytest.mark.parametrize(
    ("key", "value", "good"),
    [
        ("app", "x", True),
        ("example.com/app", "", True),
        ("app", "x y", False),
        ("app", "a" * 64, False),
        ("-app", "x", False),
        ("a/b/c", "x", False),
        ("/b", "x", False),
        ("a" * 64, "x", False),
    ],
)
def test_labels(key: str, value: str, good: bool) -> None:
    """Keys have an optional domain, values are short words."""
    assert (wrong("", "pods", name="a", labels={key: value}) == []) is good


def test_annotations_are_limited_together() -> None:
    """Annotations may have any value, but not over 256 KiB together."""
    assert wrong("", "pods", name="a", annotations={"a": "x y\n"}) == []
    assert wrong("", "pods", name="a", annotations={"a": "x" * 262145}) == ["metadata.annotations"]


def test_owner_references_are_complete() -> None:
    """An owner is named in full."""
    owner = {"apiVersion": "v1", "kind": "Pod", "name": "p"}
    assert wrong("", "pods", name="a", ownerReferences=[owner]) == ["metadata.ownerReferences[0].uid"]
