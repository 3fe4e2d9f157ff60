"""Which namespaces a mesh with `discoverySelectors` looks at."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from varka import resources
from varka.model import inputs, snapshot
from varka.model.discovery import namespaces
from varka.model.view import MeshSettings


def namespace(name: str, **labels: str) -> dict[str, Any]:
    """A namespace with labels."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def service(space: str) -> dict[str, Any]:
    """A service `web` in a namespace."""
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": space}, "spec": {"ports": [{"port": 80, "name": "http"}]}}


def hosts(found: snapshot.Snapshot) -> list[str]:
    """The services that the mesh knows, by namespace."""
    return sorted(item.namespace for item in found.registry.services)


OBJECTS = [namespace("a", mesh="on"), namespace("b"), namespace("c", tier="x"), *(service(name) for name in ("a", "b", "c", "istio-system"))]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], ["a", "b", "c", "istio-system"]),
        ([{"matchLabels": {"mesh": "on"}}], ["a", "istio-system"]),
        ([{"matchLabels": {"mesh": "on"}}, {"matchExpressions": [{"key": "tier", "operator": "Exists"}]}], ["a", "c", "istio-system"]),
        ([{"matchExpressions": [{"key": "mesh", "operator": "NotIn", "values": ["on"]}]}], ["b", "c", "istio-system"]),
    ],
)
def test_what_is_looked_at(given: list[Any], expected: list[str]) -> None:
    """Services of namespaces that no selector fits are unknown; the root namespace is always known."""
    mesh = MeshSettings(discovery_selectors=namespaces.selectors(given))
    assert hosts(snapshot.build(inputs.of([resources.parse(item) for item in OBJECTS], mesh))) == expected


def test_a_change_elsewhere_changes_nothing() -> None:
    """A service in a namespace that is not looked at leaves the registry the same object."""
    mesh = MeshSettings(discovery_selectors=namespaces.selectors([{"matchLabels": {"mesh": "on"}}]))
    parsed = [resources.parse(item) for item in OBJECTS]
    first = snapshot.build(inputs.of(parsed, mesh))
    more = replace(first.inputs, services=(*first.inputs.services, resources.parse(service("b"))))
    assert snapshot.build(more, first).registry is first.registry


@pytest.mark.parametrize("given", [{}, [3], [{"matchLabels": []}], [{"labels": {}}], [{"matchExpressions": [{"key": "a", "operator": "Is"}]}]])
def test_malformed(given: Any) -> None:
    """What is no list of selectors is refused."""
    with pytest.raises(ValueError, match=r"must be a list|needs an operator"):
        namespaces.selectors(given)
