"""One message merged into another, as EnvoyFilters mean it.

Fields that the patch sets win; lists grow at the end, maps key by key, messages go field by field. Durations are
replaced as a whole. Typed configuration of the same type is merged inside, of another type it takes the place.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import any_pb2

from varka.envoy import messages
from varka.envoy.patching import values

_WHOLE = frozenset(
    {
        "google.protobuf.Duration",
        "google.protobuf.Timestamp",
        "google.protobuf.BoolValue",
        "google.protobuf.UInt32Value",
        "google.protobuf.UInt64Value",
        "google.protobuf.DoubleValue",
        "google.protobuf.StringValue",
    }
)


class Conflict(ValueError):
    """The patch and what it is merged into do not go together."""


def merge(target: Any, patch: Any) -> None:
    """Merge `patch` into `target`, both of one type."""
    for field, value in patch.ListFields():
        if field.message_type is None:
            if field.is_repeated:
                getattr(target, field.name).extend(value)
            else:
                setattr(target, field.name, value)
        elif field.message_type.GetOptions().map_entry:
            _map(getattr(target, field.name), field, value)
        elif field.is_repeated:
            getattr(target, field.name).extend(value)
        else:
            _message(target, field, value)


def _map(target: Any, field: Any, value: Any) -> None:
    if field.message_type.fields_by_name["value"].message_type is None:
        target.update(value)
        return
    for key in value:
        if key in target and isinstance(value[key], any_pb2.Any):
            merge_typed(target[key], value[key])
        elif key in target:
            merge(target[key], value[key])
        else:
            target[key].CopyFrom(value[key])


def _message(target: Any, field: Any, value: Any) -> None:
    kept = getattr(target, field.name)
    if not target.HasField(field.name) or field.message_type.full_name in _WHOLE:
        kept.CopyFrom(value)
    elif isinstance(value, any_pb2.Any):
        merge_typed(kept, value)
    elif field.message_type.full_name == "envoy.config.core.v3.TransportSocket" and kept.name != value.name:
        kept.CopyFrom(value)
    else:
        merge(kept, value)


def merge_typed(target: Any, patch: Any) -> None:
    """Merge one Any into another."""
    if not target.type_url:
        target.CopyFrom(patch)
        return
    if target.type_url != patch.type_url:
        target_name, patch_name = (url.rpartition("/")[2] for url in (target.type_url, patch.type_url))
        raise Conflict(f"{patch_name} cannot be merged into {target_name}; use REPLACE")
    inner, change = values.unpacked(target), values.unpacked(patch)
    if inner is None or change is None:
        raise Conflict(f"{target.type_url} cannot be read")
    merge(inner, change)
    target.CopyFrom(messages.packed(inner))
