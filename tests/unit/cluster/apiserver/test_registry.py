"""The registry of resources."""

from __future__ import annotations

from typing import Any

from varka.cluster.apiserver import registry
from varka.cluster.apiserver.kinds import builtin
from varka.cluster.apiserver.schema import definitions


def test_version_priority() -> None:
    """Stable versions come first, newer before older, unknown forms last."""
    versions = ["foo1", "v1alpha1", "v1", "v2beta1", "v10", "v2", "v1beta1"]
    assert sorted(versions, key=registry.version_priority) == ["v10", "v2", "v1", "v2beta1", "v1beta1", "v1alpha1", "foo1"]


def test_every_builtin_kind_has_a_schema() -> None:
    """No entry of the table names a definition that does not exist."""
    for info in builtin.infos():
        node = definitions.node(info.schema_ref)
        assert node.type == "object", info.schema_ref
        assert "metadata" in node.properties


def test_remove_forgets_all_versions() -> None:
    """A removed resource is served in no version."""
    infos = [registry.ResourceInfo(group="g.io", version=version, resource="things", kind="Thing") for version in ("v1", "v1beta1")]
    known = registry.Registry(infos)
    assert known.versions("g.io") == ["v1", "v1beta1"]
    known.remove("g.io", "things")
    assert known.find("g.io", "v1", "things") is None
    assert known.groups() == []


def test_a_short_name_means_the_kind_outside_k8s_io() -> None:
    """`kubectl get gateway` finds Istio's although the Gateway API is defined too."""
    custom: Any = object()
    groups = ("gateway.networking.k8s.io", "networking.istio.io", "a.example.com")
    known = registry.Registry([registry.ResourceInfo(group=group, version="v1", resource="gateways", kind="Gateway", crd=custom) for group in groups])
    assert known.groups() == ["a.example.com", "networking.istio.io", "gateway.networking.k8s.io"]
