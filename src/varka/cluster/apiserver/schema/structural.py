"""Schemas of custom resources: from a CRD version's `openAPIV3Schema` to nodes, and pruning and defaulting by them."""

from __future__ import annotations

import copy
from typing import Any

from varka.cluster.apiserver.schema import definitions
from varka.cluster.apiserver.schema.nodes import Node

_META_KEYS = ("apiVersion", "kind", "metadata")


class CrdSchema:
    """One version's schema. `root` describes the whole object; `text` is the schema as the CRD gives it.

    `scale` holds the paths of the scale subresource, `selectable` the fields that field selectors may name.
    """

    def __init__(self, text: dict[str, Any] | None, *, preserve: bool = False, scale: dict[str, str] | None = None, selectable: tuple[str, ...] = ()) -> None:
        self.scale = scale or {}
        self.selectable = selectable
        self.text = text or {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        self.root = compile_node(self.text)
        self.root.preserve = self.root.preserve or preserve
        self.root.properties = {
            **self.root.properties,
            "apiVersion": Node("string"),
            "kind": Node("string"),
            "metadata": definitions.node(definitions.OBJECT_META),
        }
        if self.root.type == "any":
            self.root.type, self.root.preserve = "object", True
        self.has_defaults = any_default(self.root)


def compile_node(schema: dict[str, Any]) -> Node:
    """The node of one OpenAPI v3 schema; limits and rules stay in `raw`."""
    kind = schema.get("type", "")
    result = Node("any", raw=schema, nullable=bool(schema.get("nullable")), format=schema.get("format", ""))
    result.preserve = bool(schema.get("x-kubernetes-preserve-unknown-fields"))
    result.embedded = bool(schema.get("x-kubernetes-embedded-resource"))
    if schema.get("x-kubernetes-int-or-string"):
        result.type = "int-or-string"
    elif kind == "array":
        result.type = "list"
        result.items = compile_node(schema["items"]) if isinstance(schema.get("items"), dict) else None
    elif kind == "object" and isinstance(schema.get("additionalProperties"), dict) and not schema.get("properties"):
        result.type, result.values = "map", compile_node(schema["additionalProperties"])
    elif kind == "object":
        result.type = "object"
        result.properties = {key: compile_node(value) for key, value in schema.get("properties", {}).items()}
        result.preserve = result.preserve or schema.get("additionalProperties") is True
    elif kind:
        result.type = kind
    else:
        result.preserve = True
    result.required = tuple(schema.get("required", ()))
    result.list_type = schema.get("x-kubernetes-list-type", "")
    result.list_keys = tuple(schema.get("x-kubernetes-list-map-keys", ()))
    result.map_type = schema.get("x-kubernetes-map-type", "")
    if "default" in schema:
        result.has_default, result.default = True, schema["default"]
    if result.merges_by_key and result.items is not None:
        members = result.items.properties
        result.key_defaults = {key: members[key].default for key in result.list_keys if key in members and members[key].has_default}
    below = [*result.properties.values(), *([result.values] if result.values else []), *([result.items] if result.items else [])]
    result.rules = bool(schema.get("x-kubernetes-validations")) or any(child.rules for child in below)
    return result


def any_default(node: Node) -> bool:
    """Whether a default is set anywhere below."""
    below = [*node.properties.values(), *([node.values] if node.values else []), *([node.items] if node.items else [])]
    return node.has_default or any(any_default(child) for child in below if child.raw)


def prune(node: Node, value: Any, path: str, unknown: list[str], *, top: bool = False) -> Any:
    """The value without the fields that the schema does not know, whose paths are added to `unknown`."""
    if isinstance(value, list):
        inner = node.element()
        if node.type != "list" or inner.type not in ("object", "map", "list"):
            return value
        return [prune(inner, item, f"{path}[{position}]", unknown) for position, item in enumerate(value)]
    if not isinstance(value, dict) or node.type in ("any", "int-or-string"):
        return value
    result: dict[str, Any] = {}
    for key, item in value.items():
        where = f"{path}.{key}" if path else key
        known = node.properties.get(key)
        if known is None and node.type == "map":
            known = node.values
        if (top and key in _META_KEYS) or (node.embedded and known is None and key in _META_KEYS):
            result[key] = item
        elif known is not None:
            result[key] = prune(known, item, where, unknown)
        elif node.preserve:
            result[key] = item
        else:
            unknown.append(where)
    return result


def default(node: Node, value: Any) -> Any:
    """Put defaults where fields are absent, in place; a null where null is not allowed and a default exists is absent, too."""
    if isinstance(value, dict):
        for key, inner in node.properties.items():
            if inner.has_default and (key not in value or (value[key] is None and not inner.nullable)):
                value[key] = copy.deepcopy(inner.default)
            if key in value and inner.type in ("object", "map", "list") and inner.raw:
                default(inner, value[key])
        if node.values is not None and node.values.type in ("object", "map", "list"):
            for key, item in value.items():
                if key not in node.properties:
                    default(node.values, item)
    elif isinstance(value, list) and node.items is not None and node.items.type in ("object", "map", "list"):
        for item in value:
            default(node.items, item)
    return value
