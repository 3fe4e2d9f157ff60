"""Keeps one proxy's companion going for as long as its Envoy lives.

A companion that fails (its port is taken for a moment, a file of the pod is not there yet) must not leave an Envoy behind
whose certificate nobody renews: a fresh one takes its place, with growing pauses while it keeps failing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Protocol

from varka.agent.sidecar import Launch
from varka.base.clock import Clock
from varka.base.errors import VarkaError

log = logging.getLogger("varka.agent.keeper")

RESTART_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
STEADY_SECONDS = 60.0
"""A companion that ran for so long has recovered: the next pause is the shortest again."""


class Companion(Protocol):
    """What a `sidecar.Sidecar` is to its keeper."""

    async def run(self, on_certified: Callable[[], None]) -> None: ...

    async def drain(self) -> None: ...

    def launch(self) -> Launch: ...


class Keeper:
    """One proxy's companion and its successors; `make` gives a fresh one, or raises what is in the way."""

    def __init__(self, name: str, make: Callable[[], Companion], clock: Clock) -> None:
        self.name = name
        self.failures = 0
        """How many companions have failed so far."""
        self._make = make
        self._clock = clock
        self._companion: Companion | None = None
        self._draining = False

    async def run(self, on_certified: Callable[[], None]) -> None:
        """Serve until cancelled; `on_certified` is called whenever a companion has its first certificate."""
        in_a_row = 0
        while True:
            started = self._clock.monotonic()
            try:
                self._companion = self._make()
                if self._draining:
                    await self._companion.drain()
                await self._companion.run(on_certified)
                reason = "it ended"
            except VarkaError as error:
                reason = str(error)
            except Exception as error:
                log.exception("%s: the proxy's agent failed", self.name)
                reason = repr(error)
            finally:
                self._companion = None
            in_a_row = 0 if self._clock.monotonic() - started >= STEADY_SECONDS else in_a_row
            pause = RESTART_SECONDS[min(in_a_row, len(RESTART_SECONDS) - 1)]
            in_a_row += 1
            self.failures += 1
            log.error("%s: the proxy's agent starts again in %.1f s, after: %s", self.name, pause, reason)
            await self._clock.sleep(pause)

    def launch(self) -> Launch:
        """How to become Envoy; VarkaError when there is no companion at this moment."""
        if self._companion is None:
            raise VarkaError(f"the agent of {self.name} is being started again", "the container starts again by itself")
        return self._companion.launch()

    async def drain(self) -> None:
        """Begin to end this Envoy; a companion that starts later goes on with it."""
        self._draining = True
        if self._companion is not None:
            await self._companion.drain()
