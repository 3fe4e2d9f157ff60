"""OTLP's JSON, as `/api/v3/traces` gives it. Ids are hex, 64-bit numbers are texts, times nanoseconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

from varka.telemetry.traces.reading import Trace
from varka.telemetry.traces.spans import Attributes, Span, Value

_ERROR = 2


def traces(found: Sequence[Trace]) -> dict[str, Any]:
    """Traces as one TracesData, spans grouped by process and instrumentation."""
    everything = sorted((span for trace in found for span in trace.spans), key=_process)
    return {"resourceSpans": [_resource_spans(service, resource, list(group)) for (service, resource, _), group in groupby(everything, key=_process)]}


def summaries(found: Iterable[Trace]) -> list[dict[str, Any]]:
    """What a list of traces shows of each: its first span, its extent, and how many spans every service has."""
    return [_summary(trace) for trace in found]


def _summary(trace: Trace) -> dict[str, Any]:
    start = min(span.start for span in trace.spans)
    end = max(span.start + span.duration for span in trace.spans)
    services = sorted({span.service for span in trace.spans})
    return {
        "traceId": trace.id,
        "rootServiceName": trace.root.service,
        "rootOperationName": trace.root.name,
        "startTimeUnixNano": str(start),
        "durationNano": str(end - start),
        "spanCount": len(trace.spans),
        "errorSpanCount": sum(span.error for span in trace.spans),
        "services": [
            {
                "name": service,
                "spanCount": sum(span.service == service for span in trace.spans),
                "errorSpanCount": sum(span.service == service and span.error for span in trace.spans),
            }
            for service in services
        ],
    }


def _process(span: Span) -> tuple[str, Attributes, str]:
    return span.service, tuple(sorted(span.resource, key=repr)), span.scope


def _resource_spans(service: str, resource: Attributes, group: list[Span]) -> dict[str, Any]:
    return {
        "resource": {"attributes": _attributes((("service.name", service), *resource))},
        "scopeSpans": [{"scope": {"name": group[0].scope} if group[0].scope else {}, "spans": [_span(span) for span in group]}],
    }


def _span(span: Span) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent,
        "traceState": span.trace_state,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": str(span.start),
        "endTimeUnixNano": str(span.start + span.duration),
        "attributes": _attributes(span.attributes),
        "events": [{"timeUnixNano": str(event.time), "name": event.name, "attributes": _attributes(event.attributes)} for event in span.events],
        "links": [{"traceId": link.trace_id, "spanId": link.span_id} for link in span.links],
        "status": ({"code": _ERROR, "message": span.status_message} if span.error else {}),
    }
    return {key: value for key, value in shown.items() if value not in ("", []) or key in ("name", "parentSpanId")}


def _attributes(pairs: Iterable[tuple[str, Value]]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in pairs]


def _value(value: Value) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": value}
