from __future__ import annotations

import json

import pytest

from varka.telemetry.traces import zipkin

SPAN = {
    "traceId": "48485a3953bb6124",
    "id": "48485a3953bb6124",
    "parentId": "b7ad6b7169203331",
    "name": "reviews:9080/*",
    "kind": "CLIENT",
    "timestamp": 1_700_000_000_000_000,
    "duration": 1500,
    "localEndpoint": {"serviceName": "productpage.default", "ipv4": "10.0.0.1"},
    "remoteEndpoint": {"serviceName": "reviews", "ipv4": "10.0.0.2", "port": 9080},
    "tags": {"http.method": "GET", "error": "true"},
    "annotations": [{"timestamp": 1_700_000_000_000_100, "value": "retry"}],
}


def test_a_span_is_read_with_its_times_in_nanoseconds() -> None:
    """Microseconds become nanoseconds and short trace ids are filled up."""
    (span,), refused = zipkin.from_json(json.dumps([SPAN]).encode())
    assert refused == 0
    assert (span.trace_id, span.span_id, span.parent) == ("000000000000000048485a3953bb6124", "48485a3953bb6124", "b7ad6b7169203331")
    assert (span.service, span.kind, span.start, span.duration, span.error) == ("productpage.default", 3, 1_700_000_000_000_000_000, 1_500_000, True)
    assert span.attributes == (("http.method", "GET"), ("error", "true"), ("peer.service", "reviews"), ("peer.address", "10.0.0.2"), ("peer.port", 9080))
    assert [(event.name, event.time) for event in span.events] == [("retry", 1_700_000_000_000_100_000)]


def test_spans_that_make_no_sense_are_left_out() -> None:
    """A bad span among good ones is counted."""
    found, refused = zipkin.from_json(json.dumps([SPAN, {"id": 3}, {"traceId": "x", "id": "y"}, "text"]).encode())
    assert (len(found), refused) == (1, 3)


@pytest.mark.parametrize("body", [b"", b"{}", b"\xff", b'[{"traceId": "1"'])
def test_a_body_that_is_no_list_is_refused(body: bytes) -> None:
    """The receivers answer 400."""
    with pytest.raises(ValueError, match="not a list of Zipkin spans"):
        zipkin.from_json(body)
