"""Protobuf messages described in Python, for formats that no package ships or whose package cannot be installed with ours.

A description has the fields that are used; protobuf keeps or skips the others. Only numbers and types are on the wire, so the
package's name is ours to choose.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto


class Field(NamedTuple):
    """One field: its number on the wire, and a scalar's name as in .proto files or the name of a message."""

    number: int
    type: str
    repeated: bool = False
    mapped: bool = False
    """A map from strings to the type."""
    oneof: str = ""


def describe(package: str, messages: Mapping[str, Mapping[str, Field]], imports: tuple[str, ...] = ()) -> dict[str, Any]:
    """A class a message, by name. A type with a leading dot is a full name, from one of the files in `imports`."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package.replace('.', '/')}.proto", package=package, syntax="proto3", dependency=imports)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        oneofs = list(dict.fromkeys(field.oneof for field in fields.values() if field.oneof))
        for oneof in oneofs:
            message.oneof_decl.add(name=oneof)
        for key, field in fields.items():
            added = _add(message, key, field, package)
            if field.oneof:
                added.oneof_index = oneofs.index(field.oneof)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def _add(message: descriptor_pb2.DescriptorProto, name: str, field: Field, package: str) -> descriptor_pb2.FieldDescriptorProto:
    if field.mapped:
        entry = message.nested_type.add(name=f"{''.join(part.capitalize() for part in name.split('_'))}Entry")
        entry.options.map_entry = True
        _add(entry, "key", Field(1, "string"), package)
        _add(entry, "value", Field(2, field.type), package)
        return _add(message, name, Field(field.number, f".{package}.{message.name}.{entry.name}", repeated=True), package)
    added: descriptor_pb2.FieldDescriptorProto = message.field.add(
        name=name, number=field.number, label=_FIELD.LABEL_REPEATED if field.repeated else _FIELD.LABEL_OPTIONAL
    )
    if field.type.islower() and not field.type.startswith("."):
        added.type = _FIELD.Type.Value(f"TYPE_{field.type.upper()}")
    else:
        added.type = _FIELD.TYPE_MESSAGE
        added.type_name = field.type if field.type.startswith(".") else f".{package}.{field.type}"
    return added
