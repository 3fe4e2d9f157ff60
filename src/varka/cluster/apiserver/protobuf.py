"""Request bodies of kubectl's flag commands (`create configmap`, `autoscale`, `create token`, `drain` …), which come as Kubernetes protobuf.

A body is the four bytes `k8s\\0` and a `runtime.Unknown`, which names kind and version and wraps the object's message.
`protobuf_schema.json` holds for every message its fields as number → [JSON name, type, kept when zero]: the numbers and
names that kubectl 1.37's own Go types are tagged with (`scripts/protobuf_schema.py` collects them). A type is a scalar's
word, a message's name, `[]` or `{}` before either for a list or a map from strings; a field without a JSON name lies
inline in the message around it.
"""

from __future__ import annotations

import base64
import functools
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any

from varka.client.api import Object

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_ZERO: dict[str, Any] = {"string": "", "bytes": "", "int": 0, "uint": 0, "bool": False, "double": 0.0}

Field = tuple[int, int, Any]
"""Number, wire type, value: an int for the numeric wire types, bytes otherwise."""


@functools.cache
def _schema() -> tuple[dict[str, str], dict[str, dict[int, list[Any]]]]:
    table = json.loads(resources.files(__package__).joinpath("protobuf_schema.json").read_bytes())
    return table["kinds"], {name: {int(number): field for number, field in fields.items()} for name, fields in table["messages"].items()}


def decode(body: bytes) -> Object:
    """The object's JSON, with `apiVersion` and `kind`; ValueError when the body is malformed or of a kind without a schema."""
    if not body.startswith(MAGIC):
        raise ValueError("the body does not begin with the protobuf marker of Kubernetes")
    api_version = kind = ""
    raw, content_type = b"", ""
    for number, value in _pieces(memoryview(body)[len(MAGIC) :]):
        if number == 1:
            names = {inner: bytes(text).decode() for inner, text in _pieces(value)}
            api_version, kind = names.get(1, ""), names.get(2, "")
        elif number == 2:
            raw = bytes(value)
        elif number == 4:
            content_type = bytes(value).decode()
    if content_type and content_type != CONTENT_TYPE:
        decoded = json.loads(raw)
        if not isinstance(decoded, dict):
            raise ValueError("the wrapped body is no object")
        return decoded
    message = _message_of(api_version, kind)
    if not message:
        raise ValueError(f"no protobuf schema for kind {kind} of {api_version}")
    return {"apiVersion": api_version, "kind": kind, **_message(message, memoryview(raw))}


def _message_of(api_version: str, kind: str) -> str:
    kinds, _ = _schema()
    return kinds.get(f"{api_version} {kind}") or kinds.get(f"meta.k8s.io/v1 {kind}", "")


def _message(name: str, data: memoryview) -> Object:
    """A message as JSON, leaving out what Go's `omitempty` would and empty structs that are not pointers."""
    fields = _schema()[1][name]
    found: dict[int, Any] = {}
    for number, wire, value in _fields(data):
        field = fields.get(number)
        if field is None:
            continue
        declared = field[1]
        if declared.startswith("[]"):
            found.setdefault(number, []).extend(_elements(declared[2:], wire, value))
        elif declared.startswith("{}"):
            if wire != _BYTES:
                raise ValueError(f"the map {field[0]} has wire type {wire}")
            key, item = _entry(declared[2:], value)
            found.setdefault(number, {})[key] = item
        else:
            found[number] = _value(declared, wire, value)
    result: Object = {}
    for number in sorted(found):
        json_name, declared, *keep = fields[number]
        value = found[number]
        if not json_name:
            result.update(value)
        elif keep or not (value is None or value == {} or value == _ZERO.get(declared) or (declared == "intorstring" and value == 0)):
            result[json_name] = value
    return result


def _elements(declared: str, wire: int, value: Any) -> list[Any]:
    if wire == _BYTES and declared in ("int", "uint", "bool"):
        return [_value(declared, _VARINT, number) for number in _packed(value)]
    return [_value(declared, wire, value)]


def _packed(data: memoryview) -> Iterator[int]:
    at = 0
    while at < len(data):
        number, at = _varint(data, at)
        yield number


def _entry(declared: str, data: memoryview) -> tuple[str, Any]:
    key, item = "", None
    for number, wire, value in _fields(data):
        if number == 1:
            key = _value("string", wire, value)
        elif number == 2:
            item = _value(declared, wire, value)
    if item is None:
        item = [] if declared == "strings" else _ZERO.get(declared, {})
    return key, item


def _value(declared: str, wire: int, value: Any) -> Any:
    expected = _FIXED64 if declared == "double" else _VARINT if declared in ("int", "uint", "bool") else _BYTES
    if wire != expected:
        raise ValueError(f"a {declared} has wire type {wire}")
    match declared:
        case "string":
            return bytes(value).decode()
        case "bytes":
            return base64.b64encode(value).decode()
        case "int":
            return _signed(value)
        case "uint":
            return value
        case "bool":
            return bool(value)
        case "double":
            return struct.unpack("<d", value.to_bytes(8, "little"))[0]
        case "time" | "microtime":
            return _time(value, micro=declared == "microtime")
        case "quantity":
            return next((bytes(text).decode() for number, text in _pieces(value) if number == 1), "0")
        case "intorstring":
            return _int_or_string(value)
        case "duration":
            return f"{_numbers(value).get(1, 0) / 1e9:g}s"
        case "raw" | "fields":
            text = next((bytes(raw) for number, raw in _pieces(value) if number == 1), b"")
            return json.loads(text) if text else None
        case "strings":
            return [bytes(text).decode() for number, text in _pieces(value) if number == 1]
        case _:
            return _message(declared, value)


def _time(data: memoryview, *, micro: bool) -> str | None:
    parts = _numbers(data)
    if not parts.get(1) and not parts.get(2):
        return None
    try:
        moment = datetime.fromtimestamp(0, UTC) + timedelta(seconds=parts.get(1, 0), microseconds=parts.get(2, 0) // 1000)
    except OverflowError as error:
        raise ValueError("a time is out of range") from error
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if micro else "%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(data: memoryview) -> int | str:
    kind, number, text = 0, 0, ""
    for field, wire, value in _fields(data):
        if field == 1:
            kind = _value("int", wire, value)
        elif field == 2:
            number = _value("int", wire, value)
        elif field == 3:
            text = _value("string", wire, value)
    return text if kind == 1 else number


def _numbers(data: memoryview) -> dict[int, int]:
    """The fields of a message that has only numbers."""
    return {number: _value("int", wire, value) for number, wire, value in _fields(data)}


def _pieces(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """The fields of a message that has only texts, bytes and messages."""
    for number, wire, value in _fields(data):
        if wire != _BYTES:
            raise ValueError(f"field {number} has wire type {wire}")
        yield number, value


def _signed(value: int) -> int:
    return value - (1 << 64) if value >= 1 << 63 else value


def _fields(data: memoryview) -> Iterator[Field]:
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire == _BYTES:
            length, at = _varint(data, at)
        elif wire in (_FIXED64, _FIXED32):
            length = 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire} of field {number} is not known")
        if number == 0 or at + length > end:
            raise ValueError("the message is cut short")
        piece = data[at : at + length]
        at += length
        yield number, wire, piece if wire == _BYTES else int.from_bytes(piece, "little")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    result = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        at += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise ValueError("a number is cut short")
