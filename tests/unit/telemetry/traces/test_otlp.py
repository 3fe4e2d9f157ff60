from __future__ import annotations

import json

import pytest
from tests.builders import otlp as build

from varka.telemetry.traces import otlp, spans


def test_a_span_keeps_its_ids_times_kind_and_typed_attributes() -> None:
    """What OTLP says of a span is what is kept."""
    found, refused = otlp.from_protobuf(build.request(parent="00f067aa0ba902b7", tags={"http.status_code": 200, "peer": "a", "ok": True}).SerializeToString())
    assert refused == 0
    (span,) = found
    assert (span.trace_id, span.span_id, span.parent) == (build.TRACE, "b7ad6b7169203331", "00f067aa0ba902b7")
    assert (span.service, span.name, span.kind, span.duration) == ("productpage.default", "reviews:9080/*", 2, 5_000_000)
    assert span.attributes == (("http.status_code", 200), ("peer", "a"), ("ok", True))
    assert span.resource == ()


def test_an_error_status_marks_the_span() -> None:
    """Status code 2 is an error and keeps its message."""
    (span,), _ = otlp.from_protobuf(build.request(error=True).SerializeToString())
    assert span.error
    assert span.status_message == "broken"


@pytest.mark.parametrize("body", [b"\xff\xff\xff", build.request().SerializeToString()[:-7]])
def test_a_truncated_or_foreign_body_is_refused(body: bytes) -> None:
    """What is no message is a ValueError, which the receivers answer with 400."""
    with pytest.raises(ValueError, match="not an OTLP trace request"):
        otlp.from_protobuf(body)


def test_a_span_without_ids_is_left_out_and_counted() -> None:
    """One bad span does not cost its neighbours."""
    made = build.request()
    build.add_span(made, "a", "b", "0000000000000000")
    build.add_span(made, "a", "b", "00f067aa0ba902b7", trace="00" * 16)
    found, refused = otlp.from_protobuf(made.SerializeToString())
    assert [span.span_id for span in found] == ["b7ad6b7169203331"]
    assert refused == 2


def test_json_has_its_ids_in_hex() -> None:
    """OTLP/JSON writes hex where protobuf's JSON has base64."""
    body = {
        "resourceSpans": [
            {
                "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "späť"}}]},
                "scopeSpans": [
                    {
                        "spans": [
                            {
                                "traceId": build.TRACE,
                                "spanId": "b7ad6b7169203331",
                                "name": "x",
                                "kind": 3,
                                "startTimeUnixNano": "1000",
                                "endTimeUnixNano": "3000",
                                "unknownField": 1,
                            }
                        ]
                    }
                ],
            }
        ]
    }
    (span,), _ = otlp.from_json(json.dumps(body).encode())
    assert (span.trace_id, span.span_id, span.service, span.duration) == (build.TRACE, "b7ad6b7169203331", "späť", 2000)


@pytest.mark.parametrize("body", [b"{", b"[1]", b'{"resourceSpans": 3}', b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"zz"}]}]}]}', b"[" * 100_000])
def test_json_that_is_no_request_is_refused(body: bytes) -> None:
    """Whatever is wrong with a body, the answer is a ValueError."""
    with pytest.raises(ValueError, match="not an OTLP trace request in JSON"):
        otlp.from_json(body)


def test_a_text_of_a_megabyte_is_cut_and_the_times_fit_the_store() -> None:
    """A span of any size or age can be kept."""
    made = build.request(tags={"big": "x" * 1_000_000}, start=2**64 - 10, end=2**64 - 1)
    (span,), _ = otlp.from_protobuf(made.SerializeToString())
    assert len(str(span.attributes[0][1])) == spans.MAX_VALUE + len("… (cut)")
    assert span.start == 2**63 - 1


def test_lists_and_maps_become_json_texts() -> None:
    """Attributes that Jaeger has no type for are shown as JSON."""
    made = build.request()
    pair = made.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="list")
    pair.value.array_value.values.add().string_value = "a"
    pair.value.array_value.values.add().int_value = 2
    (span,), _ = otlp.from_protobuf(made.SerializeToString())
    assert span.attributes == (("list", '["a", 2]'),)
