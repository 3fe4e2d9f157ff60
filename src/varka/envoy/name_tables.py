"""The wire form of Istio's `istio.networking.nds.v1.NameTable`, by which a control plane tells an agent the names of the mesh.

No package ships the messages, so they are described here (field numbers from Istio's `nds.proto`) and built when this
module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from varka.base.wire import WireResource
from varka.model.name_table import Name

PACKAGE = "istio.networking.nds.v1"
TYPE_URL = f"type.googleapis.com/{PACKAGE}.NameTable"
NAME = "nametable"
_FIELD = descriptor_pb2.FieldDescriptorProto


def _describe() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="varka/envoy/name_tables.proto", package=PACKAGE, syntax="proto3")
    table = file.message_type.add(name="NameTable")
    info = table.nested_type.add(name="NameInfo")
    for number, (name, label) in enumerate(
        (("ips", _FIELD.LABEL_REPEATED), *((name, _FIELD.LABEL_OPTIONAL) for name in ("registry", "shortname", "namespace")))
    ):
        info.field.add(name=name, number=number + 1, type=_FIELD.TYPE_STRING, label=label)
    entry = table.nested_type.add(name="TableEntry")
    entry.options.map_entry = True
    entry.field.add(name="key", number=1, type=_FIELD.TYPE_STRING, label=_FIELD.LABEL_OPTIONAL)
    entry.field.add(name="value", number=2, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_OPTIONAL, type_name=f".{PACKAGE}.NameTable.NameInfo")
    table.field.add(name="table", number=1, type=_FIELD.TYPE_MESSAGE, label=_FIELD.LABEL_REPEATED, type_name=f".{PACKAGE}.NameTable.TableEntry")
    return file


_POOL = descriptor_pool.Default()
_POOL.AddSerializedFile(_describe().SerializeToString())
NameTable: Any = message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"{PACKAGE}.NameTable"))


def resource(names: Mapping[str, Name]) -> WireResource:
    """The one resource of its type."""
    message = NameTable()
    for host, name in names.items():
        info = message.table[host]
        info.ips.extend(name.addresses)
        info.registry, info.shortname, info.namespace = name.registry, name.short, name.namespace
    return WireResource(name=NAME, type_url=TYPE_URL, body=message.SerializeToString(deterministic=True))


def parse(body: bytes) -> dict[str, Name]:
    """The names in a resource; ValueError when it is none."""
    try:
        message = NameTable.FromString(body)
    except Exception as error:
        raise ValueError(f"no name table: {error}") from error
    return {
        host: Name(addresses=tuple(info.ips), registry=info.registry, short=info.shortname, namespace=info.namespace)
        for host, info in sorted(message.table.items())
    }
