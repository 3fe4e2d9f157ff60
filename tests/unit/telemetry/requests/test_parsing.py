from __future__ import annotations

import json

import pytest

from varka.telemetry.requests import parsing

TEXT = (
    b'[2026-01-31T12:00:00.123Z] "GET /reviews/0?a=b HTTP/1.1" 503 UF,URX upstream_reset - "TLS_error:|a \\"b\\"|" 5 91 24 - "10.0.0.9" "curl/8 (x; y)" '
    b'"3f5c" "reviews:9080" "10.244.0.7:9080" outbound|9080|v1|reviews.default.svc.cluster.local 10.244.0.5:1 10.96.0.8:9080 10.244.0.5:2 - default\n'
)


def test_istios_text_format_is_read_field_by_field() -> None:
    """Quoted fields may hold spaces and quotes; a dash is nothing."""
    line = parsing.line(TEXT)
    assert line is not None
    assert (line.start_time, line.method, line.path, line.protocol) == ("2026-01-31T12:00:00.123Z", "GET", "/reviews/0?a=b", "HTTP/1.1")
    assert (line.response_code, line.response_flags, line.response_code_details) == (503, "UF,URX", "upstream_reset")
    assert (line.bytes_received, line.bytes_sent, line.duration) == (5, 91, 24)
    assert (line.user_agent, line.authority, line.upstream_host) == ("curl/8 (x; y)", "reviews:9080", "10.244.0.7:9080")
    assert (line.upstream_cluster, line.requested_server_name, line.route_name) == ("outbound|9080|v1|reviews.default.svc.cluster.local", "", "default")
    assert line.direction == "outbound"


def test_a_connection_has_no_method() -> None:
    """TCP lines have dashes where HTTP has a request."""
    raw = b'[2026-01-31T12:00:00.123Z] "- - -" 0 - - - "-" 12 34 5 - "-" "-" "-" "-" "10.244.0.7:9000" inbound|9000|| 127.0.0.6:1 10.244.0.7:9000 10.244.0.5:2 outbound_.9000_._.tcp - \n'
    line = parsing.line(raw.replace(b" - \n", b" -\n"))
    assert line is not None
    assert (line.method, line.path, line.protocol, line.response_code, line.direction) == ("", "", "", 0, "inbound")
    assert (line.bytes_received, line.bytes_sent) == (12, 34)


def test_json_with_istios_names_is_read() -> None:
    """Values may be numbers, texts, null or a dash; other fields do not matter."""
    given = {"start_time": "t", "response_code": "403", "method": "GET", "path": "/", "duration": 3, "response_flags": "-", "authority": None, "own": {}}
    line = parsing.line(json.dumps(given).encode())
    assert line is not None
    assert (line.response_code, line.duration, line.response_flags, line.authority) == (403, 3, "", "")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[2026-01-31 12:00:00.123][warning][config] something\n",
        b'[2026-01-31T12:00:00.123Z] "GET / HTTP/1.1" 200 - too short\n',
        b'{"level":"info"}',
        b"{broken",
        b'{"start_time":"t","response_code":"many"}',
        b"\xff\xfe",
    ],
)
def test_other_lines_are_none(raw: bytes) -> None:
    """Envoy's own messages and formats of the user's own are no requests."""
    assert parsing.line(raw) is None


@pytest.mark.parametrize(
    ("details", "policy"),
    [
        ("rbac_access_denied_matched_policy[ns[foo]-policy[bar]-rule[0]]", "foo/bar"),
        ("rbac_access_denied_matched_policy[none]", "none"),
        ("via_upstream", ""),
    ],
)
def test_a_refusal_names_its_policy(details: str, policy: str) -> None:
    """The policy is in the response code details."""
    line = parsing.line(json.dumps({"start_time": "t", "response_code": 403, "response_code_details": details}).encode())
    assert line is not None
    assert line.policy == policy
