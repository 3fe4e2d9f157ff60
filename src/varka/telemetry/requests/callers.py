"""Who called, where the callee's log cannot tell.

A request that was forwarded carries the first sender's address in X-Forwarded-For, and the callee's Envoy takes that for the caller's (with port 0). Who
really called is in the log of the caller's own proxy: the line with the same request id and the callee's address. Either line may be read first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from varka.telemetry.requests.record import Request, Workload

MOST = 20_000
"""Most callers, and most requests, that are remembered; the oldest make room."""

Key = tuple[str, str]
"""Request id and the callee's address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    request: Request
    until: float


class Callers:
    """Pairs both lines of forwarded requests; `hold` is how long one waits for the other."""

    def __init__(self, hold: float) -> None:
        self._hold = hold
        self._known: dict[Key, Workload] = {}
        self._held: dict[Key, list[_Held]] = {}

    def called(self, key: Key, caller: Workload) -> list[Request]:
        """The caller's line was read; the requests that waited for it."""
        self._known.pop(key, None)
        self._known[key] = caller
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]
        return [held.request for held in self._held.pop(key, [])]

    def caller(self, key: Key) -> Workload | None:
        """Who made the request, when its line was read already."""
        return self._known.get(key)

    def hold(self, key: Key, request: Request, now: float) -> list[Request]:
        """Let a request wait for its caller; those that find no room any more."""
        self._held.setdefault(key, []).append(_Held(request=request, until=now + self._hold))
        return [held.request for held in self._held.pop(next(iter(self._held)))] if len(self._held) > MOST else []

    def overdue(self, now: float) -> Iterator[Request]:
        """Requests whose caller's line did not come in time: it has no proxy, or its log is not followed."""
        for key in [key for key, waiting in self._held.items() if waiting[0].until <= now]:
            yield from (held.request for held in self._held.pop(key))
