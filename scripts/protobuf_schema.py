"""Writes `src/varka/cluster/apiserver/protobuf_schema.json`: which fields Kubernetes' protobuf messages have, and their JSON names.

    python scripts/protobuf_schema.py [--check] [KUBECTL]

The facts are in every kubectl: Go keeps its types, with each field's `protobuf` and `json` tags, in the program for reflection.
This reads them from the ELF file's type data (Go's `internal/abi`: Type, StructType, StructField, Name); run it again when the
kubectl that the project depends on changes.
"""

from __future__ import annotations

import argparse
import json
import re
import struct
import sys
from dataclasses import dataclass, field
from pathlib import Path

TARGET = Path(__file__).parent.parent / "src/varka/cluster/apiserver/protobuf_schema.json"
META = "k8s.io/apimachinery/pkg/apis/meta/v1"
API_VERSIONS = {
    f"k8s.io/api/{package}": f"{group}/{package.split('/')[1]}" if group else "v1"
    for package, group in {
        "core/v1": "",
        "admissionregistration/v1": "admissionregistration.k8s.io",
        "apps/v1": "apps",
        "authentication/v1": "authentication.k8s.io",
        "authorization/v1": "authorization.k8s.io",
        "autoscaling/v1": "autoscaling",
        "autoscaling/v2": "autoscaling",
        "batch/v1": "batch",
        "certificates/v1": "certificates.k8s.io",
        "coordination/v1": "coordination.k8s.io",
        "discovery/v1": "discovery.k8s.io",
        "events/v1": "events.k8s.io",
        "networking/v1": "networking.k8s.io",
        "policy/v1": "policy",
        "rbac/v1": "rbac.authorization.k8s.io",
        "scheduling/v1": "scheduling.k8s.io",
        "storage/v1": "storage.k8s.io",
    }.items()
}
"""The packages whose kinds are wanted, and the apiVersion that they have on the wire."""
NOT_SENT = re.compile(r"List$|^(Node|Pod|Service)\w*Options$|^(RangeAllocation|SerializedReference|PodStatusResult)$")
OPTIONS = ("CreateOptions", "DeleteOptions", "PatchOptions", "UpdateOptions")
SPECIAL = {
    (META, "Time"): "time",
    (META, "MicroTime"): "microtime",
    (META, "Duration"): "duration",
    (META, "FieldsV1"): "fields",
    ("k8s.io/apimachinery/pkg/api/resource", "Quantity"): "quantity",
    ("k8s.io/apimachinery/pkg/util/intstr", "IntOrString"): "intorstring",
    ("k8s.io/apimachinery/pkg/runtime", "RawExtension"): "raw",
}
BOOL, FLOAT64, MAP, POINTER, SLICE, STRING, STRUCT = 1, 14, 21, 22, 23, 24, 25
INTS, UINTS = range(2, 7), range(7, 12)
UINT8 = 8
EXTRA_AT = {STRUCT: 80, SLICE: 56, POINTER: 56}
"""Where the package's name stands, by kind, when a type has one."""


@dataclass(slots=True)
class GoType:
    """One type; `element` is an address, `fields` are (name, tag, address)."""

    kind: int
    name: str
    package: str = ""
    element: int = 0
    fields: list[tuple[str, str, int]] = field(default_factory=list)


class Binary:
    """A Go program's sections and types."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._sections: list[tuple[int, int, int, str]] = []
        self.types: dict[int, GoType] = {}
        (table,) = struct.unpack_from("<Q", data, 40)
        size, count, names_at = struct.unpack_from("<HHH", data, 58)
        headers = [struct.unpack_from("<IIQQQQ", data, table + size * number) for number in range(count)]
        names = headers[names_at][4]
        for name, kind, _, address, offset, length in headers:
            if address and kind != 8:
                self._sections.append((address, offset, length, data[names + name : data.index(b"\0", names + name)].decode()))
        self._base = next(address for address, _, _, name in self._sections if name == ".rodata")

    def read_all(self) -> None:
        """Follow every type that the program lists."""
        _, offset, length, _ = next(section for section in self._sections if section[3] == ".typelink")
        for relative in struct.unpack_from(f"<{length // 4}i", self._data, offset):
            self.read(self._base + relative)

    def read(self, address: int) -> GoType:
        """The type at an address, and all that it is made of."""
        found = self.types.get(address)
        if found is not None:
            return found
        at = self._offset(address)
        flags, kind = self._data[at + 20], self._data[at + 23] & 31
        (name,) = struct.unpack_from("<i", self._data, at + 40)
        text = self._name(self._base + name)[0]
        made = self.types[address] = GoType(kind=kind, name=text.removeprefix("*") if flags & 2 else text)
        extra = EXTRA_AT.get(kind, 48 if kind < 17 or kind == STRING else 0)
        if flags & 1 and extra:
            made.package = self._name(self._base + struct.unpack_from("<i", self._data, at + extra)[0])[0]
        if kind == STRUCT:
            first, count = struct.unpack_from("<QQ", self._data, at + 56)
            for number in range(count):
                label, inner, _ = struct.unpack_from("<QQQ", self._data, self._offset(first + 24 * number))
                made.fields.append((*self._name(label), inner))
                self.read(inner)
        elif kind in (POINTER, SLICE, MAP):
            (made.element,) = struct.unpack_from("<Q", self._data, at + (56 if kind == MAP else 48))
            self.read(made.element)
        return made

    def _offset(self, address: int) -> int:
        for start, offset, length, _ in self._sections:
            if start <= address < start + length:
                return address - start + offset
        raise ValueError(f"the address {address:#x} is in no section")

    def _name(self, address: int) -> tuple[str, str]:
        at = self._offset(address)
        tagged = self._data[at] & 2
        text, at = self._text(at + 1)
        return text, self._text(at)[0] if tagged else ""

    def _text(self, at: int) -> tuple[str, int]:
        length = shift = 0
        while True:
            byte = self._data[at]
            at += 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return self._data[at : at + length].decode(errors="replace"), at + length


class Schema:
    """Messages in the form of the table, collected from the kinds down."""

    def __init__(self, binary: Binary) -> None:
        self._binary = binary
        self.messages: dict[str, dict[str, list[object]]] = {}

    def reference(self, address: int) -> str:
        """How the table writes a type."""
        found = self._binary.types[address]
        name = found.name.rpartition(".")[2]
        if (found.package, name) in SPECIAL:
            return SPECIAL[found.package, name]
        if found.kind == POINTER:
            return self.reference(found.element)
        if found.kind == SLICE:
            return "bytes" if self._binary.types[found.element].kind == UINT8 else "[]" + self.reference(found.element)
        if found.kind == MAP:
            inner = self.reference(found.element)
            return "{}strings" if inner == "[]string" else "{}" + inner
        if found.kind == STRUCT:
            full = f"{re.sub(r'^k8s.io/(api|apimachinery/pkg/apis|apimachinery/pkg)/', '', found.package)}.{name}"
            if full not in self.messages:
                self.messages[full] = {}
                self.messages[full] = self._fields(found)
            return full
        scalars = {BOOL: "bool", FLOAT64: "double", STRING: "string", **dict.fromkeys(INTS, "int"), **dict.fromkeys(UINTS, "uint")}
        return scalars[found.kind]

    def _fields(self, message: GoType) -> dict[str, list[object]]:
        fields: dict[int, list[object]] = {}
        for _, tag, address in message.fields:
            number = re.search(r'protobuf:"\w+,(\d+),', tag)
            names = re.search(r'json:"([^"]*)"', tag)
            if number is None or names is None:
                continue
            json_name, *options = names[1].split(",")
            kind = self._binary.types[address].kind
            kept = kind == POINTER or ("omitempty" not in options and (kind < 17 or kind == STRING))
            fields[int(number[1])] = [json_name, self.reference(address), *([1] if kept else [])]
        return {str(number): fields[number] for number in sorted(fields)}


def build(kubectl: Path) -> str:
    """The table's text."""
    sys.setrecursionlimit(100_000)
    binary = Binary(kubectl.read_bytes())
    binary.read_all()
    schema = Schema(binary)
    kinds: dict[str, str] = {}
    for address, found in list(binary.types.items()):
        name = found.name.rpartition(".")[2]
        if found.kind != STRUCT or not found.fields or found.fields[0][0] != "TypeMeta":
            continue
        if found.package in API_VERSIONS and not NOT_SENT.search(name):
            kinds[f"{API_VERSIONS[found.package]} {name}"] = schema.reference(address)
        elif found.package == META and name in OPTIONS:
            kinds[f"meta.k8s.io/v1 {name}"] = schema.reference(address)
    return _text("kinds", dict(sorted(kinds.items())), "{") + ",\n" + _text("messages", dict(sorted(schema.messages.items())), " ") + "\n}\n"


def _text(title: str, entries: dict[str, object] | dict[str, str] | dict[str, dict[str, list[object]]], begin: str) -> str:
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}" for name, value in entries.items())
    return f'{begin}"{title}": {{\n{lines}\n }}'


def main() -> int:
    """Write the table, or with --check say whether it is current."""
    parser = argparse.ArgumentParser(description="write the table of Kubernetes' protobuf fields")
    parser.add_argument("--check", action="store_true", help="only say whether the table is current")
    parser.add_argument("kubectl", nargs="?", type=Path, default=Path(sys.executable).parent / "kubectl")
    wanted = parser.parse_args()
    text = build(wanted.kubectl)
    if wanted.check:
        current = TARGET.read_text() == text
        print("the table is current" if current else "the table is not current; run scripts/protobuf_schema.py")
        return 0 if current else 1
    TARGET.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
