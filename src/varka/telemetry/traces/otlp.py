"""Spans from OTLP, in protobuf or JSON. A span that makes no sense is left out and counted; the others are kept.

Source: the OpenTelemetry protocol 1.x, `opentelemetry/proto/trace/v1/trace.proto` and the OTLP/JSON rules (ids in hex).
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from varka.telemetry.traces import spans
from varka.telemetry.traces.otlp_messages import ExportTraceServiceRequest
from varka.telemetry.traces.spans import Attributes, Event, Link, Span, Value

_ERROR = 2
_LATEST = 2**63 - 1
_ID_FIELDS = {"traceId", "spanId", "parentSpanId", "trace_id", "span_id", "parent_span_id"}


def from_protobuf(body: bytes) -> tuple[list[Span], int]:
    """The spans of an ExportTraceServiceRequest and how many were left out; ValueError when it cannot be read."""
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError as error:
        raise ValueError(f"not an OTLP trace request: {error}") from error
    return _spans(request)


def from_json(body: bytes) -> tuple[list[Span], int]:
    """The same from OTLP's JSON form."""
    try:
        raw = json.loads(body)
        request = json_format.ParseDict(_ids_as_base64(raw), ExportTraceServiceRequest(), ignore_unknown_fields=True)
    except (ValueError, TypeError, RecursionError, json_format.ParseError) as error:
        raise ValueError(f"not an OTLP trace request in JSON: {error}") from error
    return _spans(request)


def _ids_as_base64(value: Any) -> Any:
    """OTLP/JSON writes ids in hex where protobuf's own JSON mapping has base64."""
    if isinstance(value, dict):
        return {key: _base64(item) if key in _ID_FIELDS else _ids_as_base64(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_ids_as_base64(item) for item in value]
    return value


def _base64(text: Any) -> str:
    try:
        return base64.b64encode(bytes.fromhex(text)).decode()
    except (TypeError, binascii.Error) as error:
        raise ValueError(f"{str(text)[:40]!r} is no id in hex") from error


def _spans(request: Any) -> tuple[list[Span], int]:
    found: list[Span] = []
    refused = 0
    for group in request.resource_spans:
        resource = _attributes(group.resource.attributes)
        service = next((str(value) for key, value in resource if key == "service.name"), "") or "unknown"
        resource = tuple(pair for pair in resource if pair[0] != "service.name")
        for scoped in group.scope_spans:
            for raw in scoped.spans:
                try:
                    found.append(_span(raw, service, resource, scoped.scope.name))
                except ValueError:
                    refused += 1
    return found, refused


def _span(raw: Any, service: str, resource: Attributes, scope: str) -> Span:
    return Span(
        trace_id=spans.trace_id(raw.trace_id.hex()),
        span_id=spans.span_id(raw.span_id.hex()),
        parent=raw.parent_span_id.hex() if any(raw.parent_span_id) else "",
        service=spans.cut(service),
        name=spans.cut(raw.name),
        kind=raw.kind if 0 <= raw.kind < len(spans.KINDS) else 0,
        start=_time(raw.start_time_unix_nano),
        duration=_time(max(0, raw.end_time_unix_nano - raw.start_time_unix_nano)),
        error=raw.status.code == _ERROR,
        status_message=spans.cut(raw.status.message),
        scope=scope,
        trace_state=raw.trace_state,
        attributes=_attributes(raw.attributes),
        resource=resource,
        events=tuple(
            Event(time=_time(one.time_unix_nano), name=spans.cut(one.name), attributes=_attributes(one.attributes)) for one in raw.events[: spans.MAX_EVENTS]
        ),
        links=tuple(_links(raw.links)),
    )


def _time(nanoseconds: int) -> int:
    """OTLP's times have 64 bits without a sign, the store's have one; what is beyond is the year 2262 anyway."""
    return min(nanoseconds, _LATEST)


def _links(links: Iterable[Any]) -> Iterable[Link]:
    for link in links:
        try:
            yield Link(trace_id=spans.trace_id(link.trace_id.hex()), span_id=spans.span_id(link.span_id.hex()))
        except ValueError:
            continue


def _attributes(pairs: Any) -> Attributes:
    return tuple((pair.key, _value(pair.value)) for pair in pairs[: spans.MAX_ATTRIBUTES])


def _value(value: Any) -> Value:
    """One attribute's value; lists, maps and bytes become their JSON text."""
    kind = value.WhichOneof("value")
    if kind == "string_value":
        return spans.cut(value.string_value)
    if kind in ("bool_value", "int_value", "double_value"):
        plain: Value = getattr(value, kind)
        return plain
    if kind is None:
        return ""
    return spans.cut(json.dumps(_plain(value), ensure_ascii=False, sort_keys=True))


def _plain(value: Any) -> Any:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [_plain(one) for one in value.array_value.values]
    if kind == "kvlist_value":
        return {pair.key: _plain(pair.value) for pair in value.kvlist_value.values}
    if kind == "bytes_value":
        return base64.b64encode(value.bytes_value).decode()
    return getattr(value, kind) if kind else None
