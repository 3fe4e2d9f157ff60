"""From a plain object to a typed spec, with every mistake found and none fatal.

The quick way is one call of msgspec. Only when that refuses, the object is walked along the shape of its class: nulls
and unknown fields are dropped, values of a wrong type are dropped too, and each loss leaves a condition with its path.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from varka.resources import conditions, shapes
from varka.resources.conditions import Condition
from varka.resources.schema import Spec

S = TypeVar("S", bound=Spec)
T = TypeVar("T")

_DROPPED = object()
_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,)}
_NAMES: dict[type, str] = {str: "string", int: "integer", float: "number", bool: "boolean", dict: "object", list: "array", type(None): "null"}


def spec(value: object, kind: type[S], path: str = "spec") -> tuple[S | None, tuple[Condition, ...]]:
    """The typed spec, None where there is an error; and what was wrong."""
    try:
        return msgspec.convert(value, kind), ()
    except msgspec.ValidationError:
        found: list[Condition] = []
        kept = _object(value, shapes.record(kind), path, found)
        if kept is _DROPPED or any(item.severity is conditions.Severity.ERROR for item in found):
            return None, tuple(found)
        return msgspec.convert(kept, kind), tuple(found)


def lenient(value: object, kind: type[T]) -> tuple[T | None, tuple[Condition, ...]]:
    """A slice of a Kubernetes object; nulls count as absent."""
    try:
        return msgspec.convert(value, kind), ()
    except msgspec.ValidationError:
        pass
    try:
        return msgspec.convert(_without_nulls(value), kind), ()
    except msgspec.ValidationError as refusal:
        message, _, where = str(refusal).partition(" - at ")
        return None, (conditions.error(where.strip("`$").lstrip("."), message[:1].lower() + message[1:], "WrongType"),)


def _without_nulls(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _value(value: object, shape: shapes.Shape, path: str, found: list[Condition]) -> object:
    node = shape.node
    if isinstance(node, shapes.Record):
        return _object(value, node, path, found)
    if isinstance(node, shapes.Many):
        if not isinstance(value, list | tuple):
            return _wrong(value, "array", path, found)
        return [kept for index, item in enumerate(value) if (kept := _value(item, node.item, f"{path}[{index}]", found)) is not _DROPPED]
    if isinstance(node, shapes.Keyed):
        if not isinstance(value, Mapping):
            return _wrong(value, "object", path, found)
        items = {str(key): _value(item, node.item, f"{path}[{key}]", found) for key, item in value.items()}
        return {key: kept for key, kept in items.items() if kept is not _DROPPED}
    if isinstance(node, shapes.Free):
        return value if isinstance(value, Mapping) else _wrong(value, "object", path, found)
    return _scalar(value, node, path, found)


def _object(value: object, record: shapes.Record, path: str, found: list[Condition]) -> object:
    if not isinstance(value, Mapping):
        return _wrong(value, "object", path, found)
    kept: dict[str, object] = {}
    for name, item in value.items():
        field = record.fields.get(name) if isinstance(name, str) else None
        if field is None:
            found.append(conditions.warning(f"{path}.{name}", _unknown(str(name), record), "UnknownField"))
        elif item is not None:
            result = _value(item, field.shape, f"{path}.{name}", found)
            if result is not _DROPPED:
                kept[str(name)] = result
    return kept


def _unknown(name: str, record: shapes.Record) -> str:
    near = difflib.get_close_matches(name, record.fields, n=1)
    return f"unknown field; did you mean {near[0]!r}" if near else "unknown field; it is left out"


def _scalar(value: object, node: shapes.Scalar, path: str, found: list[Condition]) -> object:
    if not isinstance(value, _TYPES[node.type]) or (isinstance(value, bool) and node.type != "boolean"):
        if node.type == "integer" and isinstance(value, float) and value.is_integer():
            return int(value)
        return _wrong(value, node.type, path, found)
    if node.values and value not in node.values:
        found.append(conditions.error(path, f"{value!r} is not allowed; use one of {', '.join(node.values)}", "UnsupportedValue"))
        return _DROPPED
    return value


def _wrong(value: object, wanted: str, path: str, found: list[Condition]) -> object:
    got = next((name for kind, name in _NAMES.items() if type(value) is kind), type(value).__name__)
    found.append(conditions.error(path, f"must be of type {wanted}, not {got}", "WrongType"))
    return _DROPPED
