"""The protobuf wire format written by hand, for the few places where thousands of near-equal messages are built.

A message is the concatenation of its fields, and concatenated messages merge: what is the same everywhere is serialised
once, and what differs is put behind it. Field numbers come from the messages' own descriptors.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any


def varint(value: int) -> bytes:
    """An unsigned number, seven bits a byte, lowest first."""
    if value < 0x80:
        return bytes((value,))
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    result.append(value)
    return bytes(result)


def number(message: Any, field: str) -> int:
    """The number of a field of a message class."""
    result: int = message.DESCRIPTOR.fields_by_name[field].number
    return result


def tagged(field: int, payload: bytes) -> bytes:
    """A field whose value is a string, bytes or a message."""
    size = len(payload)
    return _HEADS[field] + (_SMALL[size] if size < 0x80 else varint(size)) + payload


_HEADS = tuple(varint(field << 3 | 2) for field in range(256))
_SMALL = tuple(varint(size) for size in range(0x80))


@lru_cache(maxsize=16384)
def _text_entry(key: str, value: str) -> bytes:
    return tagged(1, tagged(1, key.encode()) + tagged(2, tagged(3, value.encode())))


def text_struct(fields: Mapping[str, str]) -> bytes:
    """A `google.protobuf.Struct` of strings, keys in order."""
    return b"".join([_text_entry(key, fields[key]) for key in sorted(fields)])


def text_metadata(reader: str, fields: Mapping[str, str]) -> bytes:
    """An `envoy.config.core.v3.Metadata` with strings for one reader."""
    return tagged(1, tagged(1, reader.encode()) + tagged(2, text_struct(fields)))
