"""Lines of a proxy's access log: Istio's default text format, or JSON with Istio's names.

What is no such line (Envoy's own messages, a format of the user's own) is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from varka.telemetry.requests.record import Line

_WORD = r'"(?:[^"\\]|\\.)*"|\S+'
_FIELDS = (
    "response_code",
    "response_flags",
    "response_code_details",
    "connection_termination_details",
    "upstream_transport_failure_reason",
    "bytes_received",
    "bytes_sent",
    "duration",
    "upstream_service_time",
    "x_forwarded_for",
    "user_agent",
    "request_id",
    "authority",
    "upstream_host",
    "upstream_cluster",
    "upstream_local_address",
    "downstream_local_address",
    "downstream_remote_address",
    "requested_server_name",
    "route_name",
)
_START = re.compile(r'\[(?P<time>\d{4}-\d\d-\d\dT[^\]\s]+)\] "(?P<method>\S+) (?P<path>.*?) (?P<protocol>\S+)" (?P<rest>\d+ .*)')
_WORDS = re.compile(_WORD)
_NUMBERS = {"response_code", "bytes_received", "bytes_sent", "duration"}
_KEPT = frozenset(Line.__dataclass_fields__)


def line(raw: bytes) -> Line | None:
    """The request that a line tells of."""
    if raw.startswith(b"{"):
        return _json(raw)
    if not raw.startswith(b"["):
        return None
    found = _START.fullmatch(raw.decode(errors="replace").rstrip())
    if found is None:
        return None
    words = _WORDS.findall(found["rest"])
    if len(words) != len(_FIELDS):
        return None
    given = dict(zip(_FIELDS, words, strict=True))
    return _line({"start_time": found["time"], "method": found["method"], "path": found["path"], "protocol": found["protocol"], **given})


def _json(raw: bytes) -> Line | None:
    try:
        given = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return None
    if not isinstance(given, dict) or "start_time" not in given or "response_code" not in given:
        return None
    return _line(given)


def _line(given: Mapping[str, Any]) -> Line | None:
    fields: dict[str, Any] = {}
    for name in _KEPT & given.keys():
        value = given[name]
        text = "" if value is None else str(value).strip('"')
        text = "" if text == "-" else text
        if name not in _NUMBERS:
            fields[name] = text
        elif not text or (text.isascii() and text.isdigit()):
            fields[name] = int(text or 0)
        else:
            return None
    return Line(**fields)
