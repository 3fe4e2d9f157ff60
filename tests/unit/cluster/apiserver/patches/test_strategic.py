"""Strategic merge patch with the schemas of Kubernetes."""

from __future__ import annotations

import pytest

from varka.client.api import ApiError
from varka.cluster.apiserver.patches import strategic
from varka.cluster.apiserver.schema import definitions

POD = definitions.node("io.k8s.api.core.v1.Pod")
SERVICE = definitions.node("io.k8s.api.core.v1.Service")
DEPLOYMENT = definitions.node("io.k8s.api.apps.v1.Deployment")


def containers(*items: dict[str, object]) -> dict[str, object]:
    """A pod with these containers."""
    return {"spec": {"containers": list(items)}}


def test_lists_are_merged_by_key() -> None:
    """Containers are told apart by name."""
    result = strategic.apply(POD, containers({"name": "a", "image": "1"}, {"name": "b", "image": "2"}), containers({"name": "b", "image": "3"}, {"name": "c"}))
    assert result == containers({"name": "a", "image": "1"}, {"name": "b", "image": "3"}, {"name": "c"})


def test_delete_directive() -> None:
    """An item with $patch delete goes."""
    result = strategic.apply(POD, containers({"name": "a"}, {"name": "b"}), containers({"name": "a", "$patch": "delete"}))
    assert result == containers({"name": "b"})


def test_replace_directive_in_list() -> None:
    """A $patch replace item replaces the whole list."""
    result = strategic.apply(POD, containers({"name": "a"}, {"name": "b"}), containers({"$patch": "replace"}, {"name": "c"}))
    assert result == containers({"name": "c"})


def test_replace_directive_in_map() -> None:
    """$patch replace in an object replaces it."""
    result = strategic.apply(POD, {"metadata": {"labels": {"a": "b"}}}, {"metadata": {"labels": {"$patch": "replace", "c": "d"}}})
    assert result == {"metadata": {"labels": {"c": "d"}}}


def test_element_order() -> None:
    """$setElementOrder orders the result; items that it does not name stay after their left neighbour."""
    patch = {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}], "containers": [{"name": "c"}]}}
    result = strategic.apply(POD, containers({"name": "a"}, {"name": "b"}), patch)
    assert [item["name"] for item in result["spec"]["containers"]] == ["c", "a", "b"]


def test_primitive_lists() -> None:
    """Finalizers are merged as a set, and $deleteFromPrimitiveList takes out."""
    result = strategic.apply(
        POD, {"metadata": {"finalizers": ["a", "b"]}}, {"metadata": {"finalizers": ["c", "a"], "$deleteFromPrimitiveList/finalizers": ["b"]}}
    )
    assert result == {"metadata": {"finalizers": ["a", "c"]}}


def test_retain_keys() -> None:
    """$retainKeys drops all other keys: a change of strategy type loses the old type's settings."""
    old = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    result = strategic.apply(DEPLOYMENT, old, {"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"}}})
    assert result == {"spec": {"strategy": {"type": "Recreate"}}}


def test_null_removes_and_other_lists_are_replaced() -> None:
    """Null removes a field; a list without merge strategy is replaced."""
    result = strategic.apply(
        POD,
        {"spec": {"nodeName": "n", "containers": [{"name": "a", "args": ["1"]}]}},
        {"spec": {"nodeName": None, "containers": [{"name": "a", "args": ["2"]}]}},
    )
    assert result == {"spec": {"containers": [{"name": "a", "args": ["2"]}]}}


def test_service_ports_by_port() -> None:
    """Service ports are merged by port number."""
    result = strategic.apply(SERVICE, {"spec": {"ports": [{"port": 80, "name": "a"}]}}, {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}})
    assert result == {"spec": {"ports": [{"port": 80, "name": "a", "targetPort": 8080}]}}


@pytest.mark.parametrize("patch", [{"spec": {"containers": [{"image": "x"}]}}, {"spec": {"$patch": "foo"}}, {"spec": {"containers": ["x"]}}])
def test_senseless_patch(patch: dict[str, object]) -> None:
    """A patch without merge key, or with an unknown directive, is a bad request."""
    with pytest.raises(ApiError) as caught:
        strategic.apply(POD, containers({"name": "a"}), patch)
    assert caught.value.code == 400
