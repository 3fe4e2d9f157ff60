"""JSON patch and merge patch."""

from __future__ import annotations

import pytest

from varka.client.api import ApiError
from varka.cluster.apiserver.patches import merge


def test_merge_patch() -> None:
    """Objects are merged, null removes, lists are replaced, and the input stays as it is."""
    target = {"a": {"b": 1, "c": 2}, "l": [1]}
    assert merge.merge_patch(target, {"a": {"b": None, "d": 3}, "l": [2, 3]}) == {"a": {"c": 2, "d": 3}, "l": [2, 3]}
    assert target == {"a": {"b": 1, "c": 2}, "l": [1]}


def test_json_patch() -> None:
    """Operations are applied in order to a copy."""
    target = {"a": {"b": 1}}
    patch = [{"op": "test", "path": "/a/b", "value": 1}, {"op": "add", "path": "/a/c~1d", "value": 2}, {"op": "remove", "path": "/a/b"}]
    assert merge.json_patch(target, patch) == {"a": {"c/d": 2}}
    assert target == {"a": {"b": 1}}


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        ([{"op": "test", "path": "/a", "value": 2}], 422),
        ([{"op": "remove", "path": "/zz"}], 422),
        ([{"op": "foo", "path": "/a"}], 400),
        ({"a": 1}, 400),
        ([1], 400),
        ([{"op": "replace", "path": "", "value": 1}], 422),
    ],
)
def test_json_patch_refused(patch: object, code: int) -> None:
    """A patch that fails is unprocessable, what is no patch is a bad request."""
    with pytest.raises(ApiError) as caught:
        merge.json_patch({"a": 1}, patch)
    assert caught.value.code == code
