"""Spans from Zipkin's JSON of version 2, which Envoy's Zipkin tracer sends.

Source: Zipkin's API v2, `POST /api/v2/spans`. Times there are microseconds; the kind is a word, the service that of the
local endpoint. A span that is `shared` has the id of its client's span; both are kept, told apart by their kind.
"""

from __future__ import annotations

import msgspec

from varka.telemetry.traces import spans
from varka.telemetry.traces.spans import Attributes, Event, Span, Value

_MICRO = 1000
_LATEST = 2**63 - 1
_KINDS = {"SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}


class _Endpoint(msgspec.Struct, rename="camel"):
    service_name: str | None = None
    ipv4: str | None = None
    ipv6: str | None = None
    port: int | None = None


class _Annotation(msgspec.Struct):
    timestamp: int = 0
    value: str = ""


class _Span(msgspec.Struct, rename="camel"):
    trace_id: str
    id: str
    parent_id: str | None = None
    name: str | None = None
    kind: str | None = None
    timestamp: int | None = None
    duration: int | None = None
    local_endpoint: _Endpoint | None = None
    remote_endpoint: _Endpoint | None = None
    annotations: list[_Annotation] = msgspec.field(default_factory=list)
    tags: dict[str, str] = msgspec.field(default_factory=dict)


_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_one = msgspec.json.Decoder(_Span)


def from_json(body: bytes) -> tuple[list[Span], int]:
    """The spans of a list and how many were left out; ValueError when it is no list."""
    try:
        listed = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a list of Zipkin spans: {error}") from error
    found: list[Span] = []
    refused = 0
    for raw in listed:
        try:
            found.append(_span(_one.decode(raw)))
        except (msgspec.DecodeError, ValueError):
            refused += 1
    return found, refused


def _span(raw: _Span) -> Span:
    local = raw.local_endpoint or _Endpoint()
    return Span(
        trace_id=spans.trace_id(raw.trace_id),
        span_id=spans.span_id(raw.id),
        parent=spans.span_id(raw.parent_id) if raw.parent_id else "",
        service=spans.cut(local.service_name or "unknown"),
        name=spans.cut(raw.name or ""),
        kind=_KINDS.get(raw.kind or "", 0),
        start=_nanoseconds(raw.timestamp),
        duration=_nanoseconds(raw.duration),
        error="error" in raw.tags and raw.tags["error"] != "false",
        attributes=_attributes(raw),
        resource=tuple(_address("", local)),
        events=tuple(Event(time=_nanoseconds(one.timestamp), name=spans.cut(one.value)) for one in raw.annotations[: spans.MAX_EVENTS]),
    )


def _nanoseconds(microseconds: int | None) -> int:
    return min(max(0, microseconds or 0) * _MICRO, _LATEST)


def _attributes(raw: _Span) -> Attributes:
    pairs: list[tuple[str, Value]] = []
    pairs += [(key, spans.cut(value)) for key, value in raw.tags.items()][: spans.MAX_ATTRIBUTES]
    if raw.remote_endpoint is not None:
        pairs += _address("peer.", raw.remote_endpoint)
    return tuple(pairs)


def _address(prefix: str, endpoint: _Endpoint) -> list[tuple[str, Value]]:
    pairs: list[tuple[str, Value]] = []
    if prefix and endpoint.service_name:
        pairs.append((f"{prefix}service", endpoint.service_name))
    if endpoint.ipv4 or endpoint.ipv6:
        pairs.append((f"{prefix}ip" if not prefix else f"{prefix}address", endpoint.ipv4 or endpoint.ipv6 or ""))
    if prefix and endpoint.port:
        pairs.append((f"{prefix}port", endpoint.port))
    return pairs
