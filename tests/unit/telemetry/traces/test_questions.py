from __future__ import annotations

import pytest

from varka.telemetry.traces import questions

NOW = 1_700_000_000_000_000_000


def test_the_older_parameters() -> None:
    """Times are microseconds, durations Go's, tags a JSON object or key:value."""
    given = {"service": "a", "operation": "o", "start": "5", "end": "9", "minDuration": "1.5ms", "maxDuration": "2s", "limit": "7", "tags": '{"k":"v"}'}
    assert questions.legacy(given, ["error:true"], NOW) == questions.Question(
        service="a",
        operation="o",
        earliest=5000,
        latest=9000,
        min_duration=1_500_000,
        max_duration=2_000_000_000,
        limit=7,
        tags=(("k", "v"), ("error", "true")),
    )


@pytest.mark.parametrize(("lookback", "seconds"), [("1h", 3600), ("2d", 2 * 86400), ("", 2 * 86400), ("custom", 2 * 86400)])
def test_without_a_start_the_lookback_counts(lookback: str, seconds: int) -> None:
    """A lookback is counted back from the end."""
    asked = questions.legacy({"service": "a", "lookback": lookback}, [], NOW)
    assert (asked.earliest, asked.latest) == (NOW - seconds * 10**9, NOW)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "parameter 'service' is required"),
        ({"service": "a", "start": "x"}, "unable to parse param 'start'"),
        ({"service": "a", "minDuration": "5"}, "unable to parse param 'minDuration'"),
        ({"service": "a", "limit": "0"}, "unable to parse param 'limit'"),
        ({"service": "a", "limit": "²"}, "unable to parse param 'limit'"),
        ({"service": "a", "tags": "[1]"}, "malformed 'tags' parameter"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(given: dict[str, str], message: str) -> None:
    """The answer of the API is this text with 400."""
    with pytest.raises(ValueError, match=message):
        questions.legacy(given, [], NOW)


def test_a_tag_without_a_colon_is_refused() -> None:
    """Form key:value."""
    with pytest.raises(ValueError, match="expecting key:value"):
        questions.legacy({"service": "a"}, ["error"], NOW)


def test_the_newer_parameters() -> None:
    """API v3 has RFC 3339 times and the prefix `query.`."""
    given = {
        "query.service_name": "a",
        "query.operation_name": "o",
        "query.start_time_min": "1970-01-01T00:00:01Z",
        "query.start_time_max": "1970-01-01T00:00:02.5Z",
        "query.duration_min": "1ms",
        "query.num_traces": "3",
        "query.attributes": '{"k":"v"}',
        "query.attributes[x]": "y",
    }
    asked = questions.v3(given, NOW)
    assert asked == questions.Question(
        service="a", operation="o", earliest=10**9, latest=2_500_000_000, min_duration=10**6, limit=3, tags=(("k", "v"), ("x", "y"))
    )
    with pytest.raises(ValueError, match=r"query\.service_name"):
        questions.v3({}, NOW)
    with pytest.raises(ValueError, match=r"query\.start_time_min"):
        questions.v3({"query.service_name": "a", "query.start_time_min": "yesterday"}, NOW)
