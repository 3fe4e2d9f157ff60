"""Field sets: which fields an object has and which manager set them, in the form of `metadata.managedFields`.

A field is a path of steps: `f:name` for a member, `k:{…}` for an item of a list told apart by keys, `v:…` for an item of a
set. A set of fields is a frozenset of paths; FieldsV1 is the same as a tree.
"""

from __future__ import annotations

import json
from typing import Any

from varka.cluster.apiserver.schema.nodes import ANY, Node

Path = tuple[str, ...]
FieldSet = frozenset[Path]
EMPTY: FieldSet = frozenset()

_NEVER = frozenset(
    [
        "f:apiVersion",
        "f:kind",
    ]
)
_NEVER_META = frozenset(
    f"f:{name}"
    for name in [
        "name",
        "namespace",
        "managedFields",
        "resourceVersion",
        "uid",
        "creationTimestamp",
        "selfLink",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ]
)


def key_step(node: Node, item: Any) -> str:
    """The step that leads to an item of a list by its keys."""
    keys = {key: item.get(key, node.key_defaults.get(key)) for key in sorted(node.list_keys) if isinstance(item, dict)}
    return "k:" + json.dumps({key: value for key, value in keys.items() if value is not None}, separators=(",", ":"), sort_keys=True)


def value_step(item: Any) -> str:
    """The step that leads to an item of a set."""
    return "v:" + json.dumps(item, separators=(",", ":"))


def leaves(node: Node, value: Any) -> dict[Path, Any]:
    """Every field of an object with its value; an item of a keyed list is a field of its own, with a value of None."""
    found: dict[Path, Any] = {}
    for key, item in value.items():
        step = f"f:{key}"
        if step in _NEVER:
            continue
        if key == "metadata" and isinstance(item, dict):
            inner = node.child(key)
            for name, part in item.items():
                if f"f:{name}" not in _NEVER_META:
                    _collect(inner.child(name), part, (step, f"f:{name}"), found)
            continue
        _collect(node.child(key), item, (step,), found)
    return found


def _collect(node: Node, value: Any, path: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value and node.map_type != "atomic":
        for key, item in value.items():
            _collect(node.child(key), item, (*path, f"f:{key}"), found)
    elif isinstance(value, list) and value and node.merges_by_key:
        inner = node.element()
        for item in value:
            where = (*path, key_step(node, item))
            found[where] = None
            if isinstance(item, dict):
                for key, part in item.items():
                    _collect(inner.child(key), part, (*where, f"f:{key}"), found)
    elif isinstance(value, list) and value and node.list_type == "set":
        for item in value:
            found[(*path, value_step(item))] = None
    else:
        found[path] = value


def to_tree(fields: FieldSet) -> dict[str, Any]:
    """FieldsV1 of a set."""
    tree: dict[str, Any] = {}
    for path in sorted(fields):
        branch = tree
        for step in path:
            branch = branch.setdefault(step, {})
        if path[-1].startswith("k:"):
            branch["."] = {}
    return tree


def from_tree(tree: dict[str, Any], prefix: Path = ()) -> FieldSet:
    """The set of a FieldsV1."""
    found: set[Path] = set()
    for step, branch in tree.items():
        if step == ".":
            found.add(prefix)
        elif branch:
            found |= from_tree(branch, (*prefix, step))
        else:
            found.add((*prefix, step))
    return frozenset(found)


def show(path: Path) -> str:
    """A path as conflict messages name it: `.spec.template.spec.containers[name="app"].image`."""
    text = ""
    for step in path:
        kind, rest = step[:2], step[2:]
        if kind == "f:":
            text += f".{rest}"
        elif kind == "k:":
            text += "[" + ",".join(f"{key}={json.dumps(value)}" for key, value in json.loads(rest).items()) + "]"
        else:
            text += f"[={rest}]"
    return text


def remove(node: Node, value: Any, path: Path) -> None:
    """Take one field out of an object, in place; containers that become empty stay."""
    current, schema = value, node
    for position, step in enumerate(path):
        last = position == len(path) - 1
        kind, rest = step[:2], step[2:]
        if kind == "f:":
            if not isinstance(current, dict) or rest not in current:
                return
            if last:
                del current[rest]
                return
            current, schema = current[rest], schema.child(rest)
        else:
            if not isinstance(current, list):
                return
            index = next((i for i, item in enumerate(current) if (key_step(schema, item) if kind == "k:" else value_step(item)) == step), None)
            if index is None:
                return
            if last:
                del current[index]
                return
            current, schema = current[index], schema.items or ANY
