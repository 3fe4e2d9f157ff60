"""Strategic merge patch: a merge patch that knows which lists are merged, and by which key.

The directives are those of Kubernetes: `$patch` (delete, replace, merge), `$deleteFromPrimitiveList/<field>`,
`$setElementOrder/<field>`, `$retainKeys`.
"""

from __future__ import annotations

import copy
from typing import Any

from varka.cluster.apiserver import errors
from varka.cluster.apiserver.schema.nodes import Node

_DELETE_FROM = "$deleteFromPrimitiveList/"
_ORDER = "$setElementOrder/"
_MISSING = object()


def apply(node: Node, target: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """The object after the patch; the input is not changed. ApiError 400 for a directive that makes no sense."""
    directive = patch.get("$patch")
    if directive == "replace":
        return {key: copy.deepcopy(value) for key, value in patch.items() if key != "$patch"}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise errors.bad_request(f"unknown patch type: {directive}")
    result = dict(target)
    if "$retainKeys" in patch:
        keep = patch["$retainKeys"]
        result = {key: value for key, value in result.items() if key in keep}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None:
            result.pop(key, None)
            continue
        result[key] = _value(node.child(key), result.get(key, _MISSING), value)
    for key, value in patch.items():
        if key.startswith(_DELETE_FROM):
            name = key.removeprefix(_DELETE_FROM)
            result[name] = [item for item in result.get(name) or [] if item not in value]
        elif key.startswith(_ORDER):
            name = key.removeprefix(_ORDER)
            if isinstance(result.get(name), list):
                result[name] = _ordered(node.child(name), result[name], value)
    return result


def _value(node: Node, current: Any, patch: Any) -> Any:
    if isinstance(patch, dict):
        if "replace" in node.strategy:
            return _clean(patch)
        return apply(node, current if isinstance(current, dict) else {}, patch)
    if isinstance(patch, list):
        if "merge" not in node.strategy:
            return copy.deepcopy(patch)
        return _list(node, current if isinstance(current, list) else [], patch)
    return patch


def _clean(value: Any) -> Any:
    """A value without directives, as it goes into the object when there is nothing to merge with."""
    if isinstance(value, dict):
        return {key: _clean(item) for key, item in value.items() if item is not None and not key.startswith("$")}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _list(node: Node, current: list[Any], patch: list[Any]) -> list[Any]:
    if not node.merge_key:
        return [*current, *(item for position, item in enumerate(patch) if item not in current and item not in patch[:position])]
    key, inner = node.merge_key, node.element()
    if any(isinstance(item, dict) and item.get("$patch") == "replace" for item in patch):
        return [_clean(item) for item in patch if set(item) != {"$patch"}]
    result = list(current)
    for item in patch:
        if not isinstance(item, dict):
            raise errors.bad_request("expected a list of objects in a strategic merge patch")
        if item.get("$patch") == "delete":
            if key not in item:
                raise errors.bad_request(f"delete patch type with no merge key defined: {key}")
            result = [old for old in result if not (isinstance(old, dict) and old.get(key) == item[key])]
            continue
        if key not in item:
            raise errors.bad_request(f"map: {errors.show(item)} does not contain declared merge key: {key}")
        position = next((index for index, old in enumerate(result) if isinstance(old, dict) and old.get(key) == item[key]), None)
        if position is None:
            result.append(apply(inner, {}, item))
        else:
            result[position] = apply(inner, result[position], item)
    return result


def _ordered(node: Node, items: list[Any], order: list[Any]) -> list[Any]:
    """The items in the order that the patch names; those it does not name keep their place relative to their left neighbour."""
    key = node.merge_key

    def identity(item: Any) -> Any:
        return item.get(key) if key and isinstance(item, dict) else item

    wanted = [identity(item) for item in order]
    named = sorted((item for item in items if identity(item) in wanted), key=lambda item: wanted.index(identity(item)))
    result = list(named)
    for position, item in enumerate(items):
        if identity(item) in wanted:
            continue
        left = next((before for before in reversed(items[:position]) if before in result), None)
        result.insert(result.index(left) + 1 if left is not None else 0, item)
    return result
