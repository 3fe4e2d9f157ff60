"""The messages of the OpenTelemetry protocol that carry spans.

Described here because `opentelemetry-proto` and `xds-protos` both install `opentelemetry/proto`, in versions that differ, and
which one is imported depends on the order of installation. Numbers from the protocol 1.x: `common/v1/common.proto`,
`resource/v1/resource.proto`, `trace/v1/trace.proto` and `collector/trace/v1/trace_service.proto`.
"""

from __future__ import annotations

from typing import Any

from varka.base.protobuf import Field, describe

_VALUE = "value"
_MESSAGES = describe(
    "varka.telemetry.otlp",
    {
        "AnyValue": {
            "string_value": Field(1, "string", oneof=_VALUE),
            "bool_value": Field(2, "bool", oneof=_VALUE),
            "int_value": Field(3, "int64", oneof=_VALUE),
            "double_value": Field(4, "double", oneof=_VALUE),
            "array_value": Field(5, "ArrayValue", oneof=_VALUE),
            "kvlist_value": Field(6, "KeyValueList", oneof=_VALUE),
            "bytes_value": Field(7, "bytes", oneof=_VALUE),
        },
        "ArrayValue": {"values": Field(1, "AnyValue", repeated=True)},
        "KeyValueList": {"values": Field(1, "KeyValue", repeated=True)},
        "KeyValue": {"key": Field(1, "string"), "value": Field(2, "AnyValue")},
        "Resource": {"attributes": Field(1, "KeyValue", repeated=True)},
        "InstrumentationScope": {"name": Field(1, "string")},
        "Status": {"message": Field(2, "string"), "code": Field(3, "int32")},
        "Event": {"time_unix_nano": Field(1, "fixed64"), "name": Field(2, "string"), "attributes": Field(3, "KeyValue", repeated=True)},
        "Link": {"trace_id": Field(1, "bytes"), "span_id": Field(2, "bytes")},
        "Span": {
            "trace_id": Field(1, "bytes"),
            "span_id": Field(2, "bytes"),
            "trace_state": Field(3, "string"),
            "parent_span_id": Field(4, "bytes"),
            "name": Field(5, "string"),
            "kind": Field(6, "int32"),
            "start_time_unix_nano": Field(7, "fixed64"),
            "end_time_unix_nano": Field(8, "fixed64"),
            "attributes": Field(9, "KeyValue", repeated=True),
            "events": Field(11, "Event", repeated=True),
            "links": Field(13, "Link", repeated=True),
            "status": Field(15, "Status"),
        },
        "ScopeSpans": {"scope": Field(1, "InstrumentationScope"), "spans": Field(2, "Span", repeated=True)},
        "ResourceSpans": {"resource": Field(1, "Resource"), "scope_spans": Field(2, "ScopeSpans", repeated=True)},
        "ExportTraceServiceRequest": {"resource_spans": Field(1, "ResourceSpans", repeated=True)},
        "ExportTracePartialSuccess": {"rejected_spans": Field(1, "int64"), "error_message": Field(2, "string")},
        "ExportTraceServiceResponse": {"partial_success": Field(1, "ExportTracePartialSuccess")},
    },
)
ExportTraceServiceRequest: Any = _MESSAGES["ExportTraceServiceRequest"]
ExportTraceServiceResponse: Any = _MESSAGES["ExportTraceServiceResponse"]
