"""The wire form of Istio's `istio.networking.nds.v1.NameTable`, by which a control plane tells an agent the names of the mesh.

No package ships the messages, so they are described here (field numbers from Istio's `nds.proto`) and built when this
module is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varka.base.protobuf import Field, describe
from varka.base.wire import WireResource
from varka.model.name_table import Name

PACKAGE = "istio.networking.nds.v1"
TYPE_URL = f"type.googleapis.com/{PACKAGE}.NameTable"
NAME = "nametable"

NameTable: Any = describe(
    PACKAGE,
    {
        "NameInfo": {
            "ips": Field(1, "string", repeated=True),
            "registry": Field(2, "string"),
            "shortname": Field(3, "string"),
            "namespace": Field(4, "string"),
        },
        "NameTable": {"table": Field(1, "NameInfo", mapped=True)},
    },
)["NameTable"]


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
