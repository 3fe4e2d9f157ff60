"""What can be said of a patch before it meets a configuration."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from varka.envoy.patching import constraints, values
from varka.model.patches import Operation, Patch, Place

BESIDE = frozenset({Operation.INSERT_BEFORE, Operation.INSERT_AFTER, Operation.INSERT_FIRST})
_LISTS = frozenset({Place.LISTENER_FILTER, Place.NETWORK_FILTER, Place.HTTP_FILTER, Place.HTTP_ROUTE})
_MERGED_ONLY = frozenset({Place.ROUTE_CONFIGURATION, Place.BOOTSTRAP})


class Finding(Struct, frozen=True, kw_only=True):
    """`serious`: no such message exists, so the patch can do nothing. Otherwise the patch, or a part of it, is without effect."""

    message: str
    serious: bool = False


def check(patch: Patch) -> tuple[Finding, ...]:
    """Everything that is wrong with one patch by itself."""
    found = _operation(patch)
    if patch.operation is Operation.REMOVE:
        return found
    try:
        value = values.of(patch)
    except values.Unusable as problem:
        return (*found, Finding(message=str(problem), serious=True))
    if value.ignored:
        found = (*found, Finding(message=f"{value.ignored}; it is left out"))
    if patch.operation is Operation.MERGE:
        unset = sorted(_defaults(json.loads(patch.value), value.message, ""))
        found = (*found, *(Finding(message=f"a merge cannot set {path} back to its default; it is left out") for path in unset))
    elif reason := constraints.broken(value.message):
        found = (*found, Finding(message=f"Envoy would refuse it: {reason}; the patch is not sent"))
    return found


def _operation(patch: Patch) -> tuple[Finding, ...]:
    place, operation = patch.place, patch.operation
    if operation in BESIDE | {Operation.REPLACE} and place not in _LISTS and not (place is Place.VIRTUAL_HOST and operation is Operation.REPLACE):
        return (Finding(message=f"{operation} does nothing for {place}; use MERGE, ADD or REMOVE"),)
    if place in _MERGED_ONLY and operation is not Operation.MERGE:
        return (Finding(message=f"{operation} does nothing for {place}; use MERGE"),)
    if place is Place.EXTENSION_CONFIG and operation is not Operation.ADD:
        return (Finding(message=f"{operation} does nothing for {place}; use ADD"),)
    if patch.filter_class and (place is not Place.HTTP_FILTER or operation not in {Operation.ADD, Operation.INSERT_FIRST}):
        return (Finding(message="filterClass does nothing but for an HTTP_FILTER that is added"),)
    return ()


def _defaults(given: Any, message: Any, path: str) -> Iterator[str]:
    """Fields that are written out with the value that they have when nobody writes them: messages do not tell the two apart."""
    real = values.opened(message)
    if not isinstance(given, dict) or real is None or real.DESCRIPTOR.full_name.startswith("google.protobuf."):
        return
    inner = given.get("value", {}) if values.is_typed_struct(given) else given
    fields = {name: field for field in real.DESCRIPTOR.fields for name in (field.name, field.json_name)}
    for key, value in inner.items():
        field = fields.get(key)
        if field is None or field.is_repeated:
            continue
        if field.message_type is not None:
            if real.HasField(field.name):
                yield from _defaults(value, getattr(real, field.name), f"{path}{field.name}.")
        elif not field.has_presence and getattr(real, field.name) == field.default_value:
            yield f"{path}{field.name}"
