"""One span, in the terms that OTLP and Jaeger share.

Times are nanoseconds since the epoch, as OTLP has them; identifiers are lower-case hex, traces of 32 and spans of 16
digits. Attribute values keep their type, because Jaeger's JSON tells it.
"""

from __future__ import annotations

from typing import NewType

import msgspec

TraceId = NewType("TraceId", str)
SpanId = NewType("SpanId", str)
Value = str | bool | int | float
Attributes = tuple[tuple[str, Value], ...]

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")
"""Names of OTLP's span kinds, by number."""

MAX_VALUE = 32 * 1024
"""Longest text of an attribute in characters; what is longer is cut and marked."""
MAX_ATTRIBUTES = 256
"""Most attributes of a span, an event or a resource; the rest are left away."""
MAX_EVENTS = 128
"""Most events of a span."""


class Event(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Something that happened during a span."""

    time: int
    name: str
    attributes: Attributes = ()


class Link(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Another span that this one follows from, without being its child."""

    trace_id: TraceId
    span_id: SpanId


class Span(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """One step of a trace. `parent` is empty for the first one; `resource` describes the process, without its name."""

    trace_id: TraceId
    span_id: SpanId
    parent: str = ""
    service: str = "unknown"
    name: str = ""
    kind: int = 0
    start: int
    duration: int
    error: bool = False
    status_message: str = ""
    scope: str = ""
    trace_state: str = ""
    attributes: Attributes = ()
    resource: Attributes = ()
    events: tuple[Event, ...] = ()
    links: tuple[Link, ...] = ()


def trace_id(text: str) -> TraceId:
    """A trace id of 32 hex digits from one of up to 32; ValueError when it is none or zero."""
    return TraceId(_hex(text, 32, "trace"))


def span_id(text: str) -> SpanId:
    """A span id of 16 hex digits from one of up to 16; ValueError when it is none or zero."""
    return SpanId(_hex(text, 16, "span"))


def cut(text: str) -> str:
    """A text short enough to keep."""
    return text if len(text) <= MAX_VALUE else text[:MAX_VALUE] + "… (cut)"


def _hex(text: str, digits: int, what: str) -> str:
    number = int(text, 16) if text and text.isascii() and text.isalnum() and len(text) <= digits else 0
    if not number:
        raise ValueError(f"{text[:40]!r} is no {what} id: expected up to {digits} hex digits, not all zero")
    return f"{number:0{digits}x}"
