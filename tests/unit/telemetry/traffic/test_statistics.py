from __future__ import annotations

from varka.telemetry.traffic.statistics import Interval


def test_percentiles_are_right_to_five_per_cent() -> None:
    """A thousand latencies of 1 to 1000 ms."""
    counts = Interval()
    for milliseconds in range(1, 1001):
        counts.add("200", float(milliseconds))
    for share in (0.5, 0.9, 0.99):
        assert abs(counts.percentile(share) / (share * 1000) - 1) < 0.05
    assert Interval().percentile(0.5) == 0


def test_failures_are_counted_but_have_no_latency() -> None:
    """Only a response has one."""
    counts = Interval(sent=3)
    counts.add("200", 5.0)
    counts.add("timeout", 15_000.0)
    counts.add("connection refused", 0.1)
    assert (counts.done, counts.answered) == (3, 1)
    assert counts.percentile(1.0) < 6


def test_intervals_add_up() -> None:
    """The whole is the sum of the seconds."""
    one, other = Interval(seconds=1, sent=2, late=1), Interval(seconds=0.5, sent=1)
    one.add("200", 1.0)
    one.add("404", 1.0)
    other.add("200", 1.0)
    one.join(other)
    assert (one.seconds, one.sent, one.late, one.codes) == (1.5, 3, 1, {"200": 2, "404": 1})
    assert sum(one.buckets.values()) == 3
