"""The rows of custom resources: the name, and what their CRD's `additionalPrinterColumns` ask for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from varka.client.api import Object
from varka.cluster.apiserver.tables import columns, jsonpaths
from varka.cluster.apiserver.tables.columns import Cell, Column, Layout

GENERIC = columns.layout(lambda obj, now: [columns.name(obj), columns.age(obj, now)], "Name|Age")
"""For kinds of which nothing more is known."""


def layout(definitions: Sequence[Object]) -> Layout:
    """The layout that printer columns describe; without any it is name and age. A path that cannot be read gives empty cells."""
    if not definitions:
        return GENERIC
    named = Column(name="Name", format="name")
    found = tuple(
        Column(name=one["name"], type=one["type"], format=one.get("format", ""), description=one.get("description", ""), priority=one.get("priority", 0))
        for one in definitions
    )
    paths = [_steps(one.get("jsonPath", "")) for one in definitions]
    types = [one["type"] for one in definitions]

    def row(obj: Object, now: datetime) -> list[Cell]:
        cells: list[Cell] = [obj["metadata"].get("name", "")]
        for steps, kind in zip(paths, types, strict=True):
            values = jsonpaths.find(steps, obj) if steps is not None else []
            cells.append(_cell(kind, values, now) if values else None)
        return cells

    return Layout(columns=(named, *found), row=row)


def _steps(path: str) -> tuple[jsonpaths.Step, ...] | None:
    try:
        return jsonpaths.compiled(path)
    except ValueError:
        return None


def _cell(kind: str, values: list[Any], now: datetime) -> Cell:
    value = values[0]
    match kind:
        case "string":
            return " ".join(text(one) for one in values)
        case "date":
            return columns.since(value, now) if isinstance(value, str) else None
        case "integer" if isinstance(value, (int, float)) and not isinstance(value, bool):
            return int(value)
        case "number" if isinstance(value, (int, float)) and not isinstance(value, bool):
            return value
        case "boolean" if isinstance(value, bool):
            return value
    return None


def text(value: Any) -> str:
    """A value as JSON paths print it: strings as they are, lists and maps as JSON."""
    return value if isinstance(value, str) else msgspec.json.encode(value, order="sorted").decode()
