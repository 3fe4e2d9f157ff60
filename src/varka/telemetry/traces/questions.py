"""What one may ask for: the query parameters of Jaeger's two APIs, read into one `Question`.

Source: Jaeger's `query_parser` (times in microseconds, durations as Go writes them) and its API v3 (RFC 3339 times).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from varka.base import durations

_LATEST = 2**63 - 1
_DEFAULT_LOOKBACK = 2 * 86400 * 10**9
MAX_TRACES = 1500
"""Most traces that one answer holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which traces: those with a span of `service` that fits all the rest. Times and durations are nanoseconds."""

    service: str = ""
    operation: str = ""
    kind: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    earliest: int = 0
    latest: int = _LATEST
    min_duration: int = 0
    max_duration: int = _LATEST
    limit: int = 100


def legacy(parameters: Mapping[str, str], tags: Sequence[str], now: int) -> Question:
    """The parameters of `/api/traces`; ValueError says which one cannot be read."""
    if not parameters.get("service"):
        raise ValueError("parameter 'service' is required")
    latest = _micro(parameters, "end", now)
    return Question(
        service=parameters["service"],
        operation=parameters.get("operation", ""),
        tags=_tags(parameters.get("tags", ""), tags),
        latest=latest,
        earliest=_micro(parameters, "start", latest - _lookback(parameters)),
        min_duration=_duration(parameters, "minDuration", 0),
        max_duration=_duration(parameters, "maxDuration", _LATEST),
        limit=_limit(parameters, "limit"),
    )


def v3(parameters: Mapping[str, str], now: int) -> Question:
    """The parameters of `/api/v3/traces`; ValueError says which one cannot be read."""
    given = {key.removeprefix("query."): value for key, value in parameters.items() if key.startswith("query.")}
    if not given.get("service_name"):
        raise ValueError("parameter 'query.service_name' is required")
    latest = _moment(given, "start_time_max", now)
    return Question(
        service=given["service_name"],
        operation=given.get("operation_name", ""),
        tags=(*_tags(given.get("attributes", ""), ()), *(_indexed(given))),
        latest=latest,
        earliest=_moment(given, "start_time_min", latest - _DEFAULT_LOOKBACK),
        min_duration=_duration(given, "duration_min", 0),
        max_duration=_duration(given, "duration_max", _LATEST),
        limit=_limit(given, "num_traces" if "num_traces" in given else "search_depth"),
    )


def _indexed(given: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(key[len("attributes[") : -1], value) for key, value in given.items() if key.startswith("attributes[") and key.endswith("]")]


def _tags(as_json: str, single: Sequence[str]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    if as_json:
        try:
            found += [(str(key), str(value)) for key, value in json.loads(as_json).items()]
        except (ValueError, AttributeError) as error:
            raise ValueError(f"malformed 'tags' parameter, expecting a JSON object of texts: {error}") from error
    for text in single:
        key, colon, value = text.partition(":")
        if not colon:
            raise ValueError(f"malformed 'tag' parameter, expecting key:value, received: {text}")
        found.append((key, value))
    return tuple(found)


def _lookback(parameters: Mapping[str, str]) -> int:
    text = parameters.get("lookback", "")
    if not text or text == "custom":
        return _DEFAULT_LOOKBACK
    if text.endswith("d") and text[:-1].isdigit():
        return int(text[:-1]) * 86400 * 10**9
    return _duration(parameters, "lookback", _DEFAULT_LOOKBACK)


def _micro(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    if not text:
        return default
    try:
        return min(max(0, int(text) * 1000), _LATEST)
    except ValueError as error:
        raise ValueError(f"unable to parse param '{name}': {text!r} is no number of microseconds") from error


def _moment(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    if not text:
        return default
    try:
        return min(max(0, int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1e9)), _LATEST)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"malformed parameter query.{name}: {text!r} is no time such as 2026-01-31T12:00:00Z") from error


def _duration(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    if not text:
        return default
    try:
        return min(int(durations.seconds(text) * 1e9), _LATEST)
    except ValueError as error:
        raise ValueError(f"unable to parse param '{name}': {error}") from error


def _limit(parameters: Mapping[str, str], name: str) -> int:
    text = parameters.get(name, "")
    if not text:
        return 100
    if not text.isascii() or not text.isdigit() or not int(text):
        raise ValueError(f"unable to parse param '{name}': {text!r} is no positive number")
    return min(int(text), MAX_TRACES)
