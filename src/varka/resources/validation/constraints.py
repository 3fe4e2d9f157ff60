"""What the schema asks for, checked on the typed spec, so that a file gets the verdict that an API server would give.

Required fields, fields that exclude each other, enums that are given as plain text, durations, ranges and patterns.
"""

from __future__ import annotations

import re
from typing import Any

from varka.base import durations
from varka.resources import shapes
from varka.resources.schema import Schema, Spec
from varka.resources.validation.findings import Findings

_DURATION = "duration(self) >= duration('1ms')"


def check(spec: Spec, path: str, found: Findings) -> None:
    """Walk a spec along its shape."""
    record = shapes.record(type(spec))
    present: set[str] = set()
    for name, field in record.fields.items():
        value = getattr(spec, field.attribute)
        where = f"{path}.{name}"
        if value is None or value == "" or value == () or value == {}:
            if field.required:
                found.error(where, "is required")
            continue
        present.add(name)
        _value(value, field.shape, where, found)
    for group in record.type.schema_one_of:
        both = sorted(present.intersection(group))
        if len(both) > 1:
            found.error(path, f"only one of {', '.join(both)} can be set")


def _value(value: Any, shape: shapes.Shape, path: str, found: Findings) -> None:
    for schema in shape.schemas:
        _keywords(value, schema, path, found)
    node = shape.node
    if isinstance(node, shapes.Record):
        check(value, path, found)
    elif isinstance(node, shapes.Many):
        for index, item in enumerate(value):
            _value(item, node.item, f"{path}[{index}]", found)
    elif isinstance(node, shapes.Keyed):
        for key, item in value.items():
            _value(item, node.item, f"{path}[{key}]", found)


def _keywords(value: Any, schema: Schema, path: str, found: Findings) -> None:
    if any(rule == _DURATION for rule, _ in schema.rules):
        _duration(value, path, found)
    limits = schema.keywords
    if isinstance(value, str):
        if len(value) > limits.get("maxLength", len(value)) or len(value) < limits.get("minLength", 0):
            found.error(path, f"must have {limits.get('minLength', 0)} to {limits.get('maxLength', 'any number of')} characters")
        elif "pattern" in limits and not re.search(limits["pattern"], value):
            found.error(path, f"{value!r} does not match {limits['pattern']}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        name = path.rpartition(".")[2]
        if value < limits.get("minimum", value):
            found.error(path, f"{name} must be greater than or equal to {limits['minimum']}, not {value}")
        elif value > limits.get("maximum", value):
            found.error(path, f"{name} must be less than or equal to {limits['maximum']}, not {value}")
    elif isinstance(value, tuple) and len(value) > limits.get("maxItems", len(value)):
        found.error(path, f"must have at most {limits['maxItems']} items")
    elif isinstance(value, dict) and len(value) > limits.get("maxProperties", len(value)):
        found.error(path, f"must have at most {limits['maxProperties']} entries")


def _duration(value: str, path: str, found: Findings) -> None:
    try:
        length = durations.seconds(value)
    except ValueError as problem:
        found.error(path, str(problem))
        return
    if length < 0.001:
        found.error(path, "must be a valid duration greater than 1ms")
    elif durations.has_fraction(value, 0.001):
        found.error(path, "only durations to ms precision are supported; write whole milliseconds")
