"""Server-side tables: what `kubectl get` shows.

A client that asks for `as=Table` gets columns and cells instead of objects. Which columns a kind has is a `Layout`;
columns of priority 1 are for `-o wide`, and it is the client that leaves them out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from varka.client.api import Object
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.tables import core, custom, networking, pods, workloads
from varka.cluster.apiserver.tables.columns import Layout

LAYOUTS: dict[tuple[str, str], Layout] = {**core.LAYOUTS, **workloads.LAYOUTS, **networking.LAYOUTS}
"""By group and kind."""


def render(
    info: ResourceInfo, objects: Iterable[Object], include_object: str = "Metadata", *, now: datetime | None = None, metadata: Mapping[str, Any] | None = None
) -> Object:
    """A `meta.k8s.io/v1` Table with a row for each of `objects`.

    `include_object` is the query parameter `includeObject` (`None`, `Metadata` or `Object`); `metadata` is the list's
    (resourceVersion, continue, remainingItemCount). A watch event's table has the one changed object. Ages are as of
    `now`, by default the machine's time.
    """
    now = now or datetime.now(UTC)
    found = _layout(info)
    rows = []
    for obj in objects:
        row: Object = {"cells": found.row(obj, now)}
        if info.kind == "Pod" and not info.group:
            condition = pods.condition(obj)
            if condition is not None:
                row["conditions"] = [condition]
        if include_object == "Object":
            row["object"] = obj
        elif include_object != "None":
            row["object"] = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
        rows.append(row)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": dict(metadata or {}),
        "columnDefinitions": [column.definition() for column in found.columns],
        "rows": rows,
    }


def _layout(info: ResourceInfo) -> Layout:
    builtin = LAYOUTS.get((info.group, info.kind))
    if builtin is not None:
        return builtin
    return _custom(tuple(_frozen(column) for column in info.printer_columns))


def _frozen(column: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(column.items()))


@lru_cache(maxsize=512)
def _custom(definitions: tuple[tuple[tuple[str, Any], ...], ...]) -> Layout:
    return custom.layout([dict(definition) for definition in definitions])
