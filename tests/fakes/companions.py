"""Stand-ins for the companion of an Envoy, which do what a test tells them to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from varka.agent.sidecar import Launch


class FakeCompanion:
    """Implements `agent.keeper.Companion`: runs until it is told to fail; keeps what was asked of it."""

    def __init__(self, name: str = "") -> None:
        self.name = name
        self.drains = 0
        self.closed = False
        self._certified: Callable[[], None] | None = None
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def running(self) -> bool:
        """Whether `run` was called and has not ended."""
        return self._certified is not None and not self.closed

    def certify(self) -> None:
        """Say that the first certificate is there."""
        assert self._certified is not None
        self._certified()

    def fail(self, error: Exception) -> None:
        """Let `run` end with this error."""
        self._failure.set_exception(error)

    async def run(self, on_certified: Callable[[], None]) -> None:
        self._certified = on_certified
        try:
            await self._failure
        finally:
            self.closed = True

    async def drain(self) -> None:
        self.drains += 1

    def launch(self) -> Launch:
        return Launch(files={"/etc/envoy.json": self.name}, argv=["envoy", self.name])
