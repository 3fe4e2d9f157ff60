"""What came back: counts by code and latencies in buckets that grow by 5 %, so that a percentile is right to that."""

from __future__ import annotations

import math
from collections import Counter

import msgspec

_GROWTH = math.log(1.05)


class Interval(msgspec.Struct, kw_only=True):
    """Counts since the last one: a second's, or all when added up. Latencies are milliseconds."""

    seconds: float = 0.0
    sent: int = 0
    codes: dict[str, int] = msgspec.field(default_factory=dict)
    """Response code or, for what got none, the reason (`connection refused`, `timeout`)."""
    buckets: dict[int, int] = msgspec.field(default_factory=dict)
    late: int = 0
    """Requests that could not be sent in time because all connections were busy."""

    @property
    def answered(self) -> int:
        """Requests that got a response."""
        return sum(count for code, count in self.codes.items() if code.isdigit())

    @property
    def done(self) -> int:
        """Requests with a response or a failure."""
        return sum(self.codes.values())

    def add(self, code: str, milliseconds: float) -> None:
        """One request came back."""
        self.codes[code] = self.codes.get(code, 0) + 1
        if code.isdigit():
            bucket = int(math.log(max(milliseconds, 0.01) / 0.01) / _GROWTH)
            self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def join(self, other: Interval) -> None:
        """Add another's counts."""
        self.seconds += other.seconds
        self.sent += other.sent
        self.late += other.late
        self.codes = dict(Counter(self.codes) + Counter(other.codes))
        self.buckets = dict(Counter(self.buckets) + Counter(other.buckets))

    def percentile(self, share: float) -> float:
        """The latency that `share` (0 to 1) of the responses did not exceed; 0 when there were none."""
        total = sum(self.buckets.values())
        wanted = math.ceil(total * share)
        for bucket in sorted(self.buckets):
            wanted -= self.buckets[bucket]
            if wanted <= 0:
                return 0.01 * math.exp((bucket + 0.5) * _GROWTH)
        return 0.0
