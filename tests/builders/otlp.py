"""OTLP messages for tests."""

from __future__ import annotations

from typing import Any

from varka.telemetry.traces.otlp_messages import ExportTraceServiceRequest

TRACE = "0af7651916cd43dd8448eb211c80319c"


def add_span(request: ExportTraceServiceRequest, service: str, name: str, span_id: str, **fields: Any) -> Any:
    """Add one span; `trace`, `parent`, `kind`, `start` and `end` (ns), `tags` and `error` may be given."""
    group = request.resource_spans.add()
    group.resource.attributes.add(key="service.name").value.string_value = service
    span = group.scope_spans.add().spans.add(
        trace_id=bytes.fromhex(fields.get("trace", TRACE)),
        span_id=bytes.fromhex(span_id),
        parent_span_id=bytes.fromhex(fields.get("parent", "")),
        name=name,
        kind=fields.get("kind", 2),
        start_time_unix_nano=fields.get("start", 1_700_000_000_000_000_000),
        end_time_unix_nano=fields.get("end", fields.get("start", 1_700_000_000_000_000_000) + 5_000_000),
    )
    for key, value in fields.get("tags", {}).items():
        pair = span.attributes.add(key=key)
        if isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int):
            pair.value.int_value = value
        else:
            pair.value.string_value = value
    if fields.get("error"):
        span.status.code = 2
        span.status.message = "broken"
    return span


def request(service: str = "productpage.default", name: str = "reviews:9080/*", span_id: str = "b7ad6b7169203331", **fields: Any) -> ExportTraceServiceRequest:
    """A request with one span."""
    made = ExportTraceServiceRequest()
    add_span(made, service, name, span_id, **fields)
    return made
