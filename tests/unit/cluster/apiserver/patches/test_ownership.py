"""managedFields and server-side apply."""

from __future__ import annotations

from typing import Any

import pytest

from varka.client.api import ApiError
from varka.cluster.apiserver.patches import fields, ownership
from varka.cluster.apiserver.patches.ownership import Writer
from varka.cluster.apiserver.schema import definitions

NODE = definitions.node("io.k8s.api.apps.v1.Deployment")
CONFIG_MAP = definitions.node("io.k8s.api.core.v1.ConfigMap")


def writer(name: str) -> Writer:
    """A field manager."""
    return Writer(manager=name, api_version="v1", subresource="", time="2026-01-01T00:00:00Z")


def config(**data: str) -> dict[str, Any]:
    """A ConfigMap with some data."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data}


def owned(obj: dict[str, Any], manager: str) -> set[str]:
    """The fields that a manager owns."""
    for entry in obj["metadata"].get("managedFields", []):
        if entry["manager"] == manager:
            return {fields.show(path) for path in fields.from_tree(entry["fieldsV1"])}
    return set()


def test_create_belongs_to_its_writer() -> None:
    """A new object's fields belong to who made it."""
    obj = config(x="1")
    ownership.track(CONFIG_MAP, None, obj, writer("me"))
    entry = obj["metadata"]["managedFields"][0]
    assert entry["fieldsV1"] == {"f:data": {"f:x": {}}}
    assert (entry["operation"], entry["fieldsType"]) == ("Update", "FieldsV1")


def test_update_takes_what_it_changes() -> None:
    """A changed field moves to the writer; one that is unchanged stays."""
    old = config(x="1", y="1")
    ownership.track(CONFIG_MAP, None, old, writer("me"))
    new = config(x="2", y="1")
    ownership.track(CONFIG_MAP, old, new, writer("you"))
    assert owned(new, "me") == {".data.y"}
    assert owned(new, "you") == {".data.x"}


def test_removed_field_belongs_to_nobody() -> None:
    """A removed field leaves every set, and an empty set leaves no entry."""
    old = config(x="1")
    ownership.track(CONFIG_MAP, None, old, writer("me"))
    new = config()
    ownership.track(CONFIG_MAP, old, new, writer("you"))
    assert owned(new, "me") == set()


def test_apply_conflicts_with_another_value() -> None:
    """Applying another value to somebody's field is refused with the field's name."""
    live = config(x="1")
    ownership.track(CONFIG_MAP, None, live, writer("me"))
    with pytest.raises(ApiError) as caught:
        ownership.apply(CONFIG_MAP, live, config(x="2"), writer("you"), False)
    assert caught.value.code == 409
    assert caught.value.message == 'Apply failed with 1 conflict: conflict with "me" using v1 at 2026-01-01T00:00:00Z: .data.x'
    assert caught.value.details["causes"][0]["reason"] == "FieldManagerConflict"


def test_apply_of_the_same_value_shares() -> None:
    """Two managers that want the same value own it together."""
    live = ownership.apply(CONFIG_MAP, None, config(x="1"), writer("me"), False)
    both = ownership.apply(CONFIG_MAP, live, config(x="1"), writer("you"), False)
    assert owned(both, "me") == owned(both, "you") == {".data.x"}


def test_forced_apply_takes_over() -> None:
    """A forced apply sets the value and takes the field away."""
    live = ownership.apply(CONFIG_MAP, None, config(x="1"), writer("me"), False)
    forced = ownership.apply(CONFIG_MAP, live, config(x="2"), writer("you"), True)
    assert forced["data"] == {"x": "2"}
    assert owned(forced, "me") == set()
    assert owned(forced, "you") == {".data.x"}


def test_apply_removes_what_it_no_longer_wants() -> None:
    """A field that was applied before and is not any more goes, unless another manager has it."""
    live = ownership.apply(CONFIG_MAP, None, config(x="1", y="1"), writer("me"), False)
    live = ownership.apply(CONFIG_MAP, live, config(y="1"), writer("you"), False)
    result = ownership.apply(CONFIG_MAP, live, config(), writer("me"), False)
    assert result["data"] == {"y": "1"}


def test_apply_merges_containers_by_name() -> None:
    """Lists with keys are merged, and an item that is no longer applied goes."""

    def deployment(*names: str) -> dict[str, Any]:
        return {"metadata": {"name": "d"}, "spec": {"template": {"spec": {"containers": [{"name": name, "image": "i"} for name in names]}}}}

    live = ownership.apply(NODE, None, deployment("a"), writer("me"), False)
    live = ownership.apply(NODE, live, deployment("b"), writer("you"), False)
    assert [item["name"] for item in live["spec"]["template"]["spec"]["containers"]] == ["a", "b"]
    assert '.spec.template.spec.containers[name="b"].image' in owned(live, "you")
    live = ownership.apply(NODE, live, deployment("c"), writer("me"), False)
    assert [item["name"] for item in live["spec"]["template"]["spec"]["containers"]] == ["b", "c"]


def test_repeated_apply_changes_nothing() -> None:
    """The same apply again gives an equal object, time included."""
    live = ownership.apply(CONFIG_MAP, None, config(x="1"), writer("me"), False)
    later = Writer(manager="me", api_version="v1", subresource="", time="2027-01-01T00:00:00Z")
    assert ownership.apply(CONFIG_MAP, live, config(x="1"), later, False) == {**live, "apiVersion": "v1", "kind": "ConfigMap"}


def test_tree_and_set_are_the_same() -> None:
    """FieldsV1 read and written again is what it was."""
    tree = {"f:spec": {"f:containers": {'k:{"name":"a"}': {".": {}, "f:image": {}}}, "f:x": {}}}
    assert fields.to_tree(fields.from_tree(tree)) == tree
