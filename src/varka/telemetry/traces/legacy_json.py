"""Jaeger's JSON, as `/api/traces` has given it since its first version. Times are microseconds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from varka.telemetry.traces import spans
from varka.telemetry.traces.reading import MAX_SPANS, Dependency, Trace
from varka.telemetry.traces.spans import Attributes, Span, Value


def answer(data: Any, *, total: int = 0, limit: int = 0, errors: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """The envelope that every answer has."""
    return {"data": data, "total": total, "limit": limit, "offset": 0, "errors": errors}


def trace(found: Trace) -> dict[str, Any]:
    """One trace with its spans and the processes that they name."""
    processes: dict[tuple[str, Attributes], str] = {}
    for span in found.spans:
        processes.setdefault((span.service, span.resource), f"p{len(processes) + 1}")
    warnings = [f"only the first {MAX_SPANS} spans are shown"] if found.truncated else None
    return {
        "traceID": found.id,
        "spans": [_span(span, processes[span.service, span.resource]) for span in found.spans],
        "processes": {name: {"serviceName": service, "tags": _tags(resource)} for (service, resource), name in processes.items()},
        "warnings": warnings,
    }


def dependencies(found: Iterable[Dependency]) -> list[dict[str, Any]]:
    """Edges between services."""
    return [{"parent": one.parent, "child": one.child, "callCount": one.calls} for one in found]


def _span(span: Span, process: str) -> dict[str, Any]:
    references = [{"refType": "CHILD_OF", "traceID": span.trace_id, "spanID": span.parent}] if span.parent else []
    references += [{"refType": "FOLLOWS_FROM", "traceID": link.trace_id, "spanID": link.span_id} for link in span.links]
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "flags": 1,
        "operationName": span.name,
        "references": references,
        "startTime": span.start // 1000,
        "duration": span.duration // 1000,
        "tags": _tags((*span.attributes, *_own(span))),
        "logs": [{"timestamp": event.time // 1000, "fields": _tags((("event", event.name), *event.attributes))} for event in span.events],
        "processID": process,
        "warnings": None,
    }


def _own(span: Span) -> list[tuple[str, Value]]:
    """What OTLP has fields for and Jaeger has tags; a tag that the sender set itself is left as it is."""
    given = {key for key, _ in span.attributes}
    own: list[tuple[str, Value]] = []
    if span.kind:
        own.append(("span.kind", spans.KINDS[span.kind]))
    if span.error:
        own += [("error", True), ("otel.status_code", "ERROR")]
    if span.status_message:
        own.append(("otel.status_description", span.status_message))
    if span.scope:
        own.append(("otel.scope.name", span.scope))
    if span.trace_state:
        own.append(("w3c.tracestate", span.trace_state))
    return [(key, value) for key, value in own if key not in given]


def _tags(attributes: Iterable[tuple[str, Value]]) -> list[dict[str, Any]]:
    return [{"key": key, "type": _type(value), "value": value} for key, value in attributes]


def _type(value: Value) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64"
    return "float64" if isinstance(value, float) else "string"
