from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.clock import TurnedClock, settle
from tests.fakes.companions import FakeCompanion

from varka.agent.keeper import RESTART_SECONDS, STEADY_SECONDS, Keeper
from varka.base.errors import VarkaError


class Kept:
    """A running keeper and all the companions that it has made."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.made: list[FakeCompanion] = []
        self.refusal: Exception | None = None
        self.certified = 0
        self.keeper = Keeper("shop/web", self._make, self.clock)
        self.task = asyncio.create_task(self.keeper.run(self._on_certified))

    def _make(self) -> FakeCompanion:
        if self.refusal is not None:
            raise self.refusal
        self.made.append(FakeCompanion(str(len(self.made))))
        return self.made[-1]

    def _on_certified(self) -> None:
        self.certified += 1

    async def fail(self, error: Exception) -> None:
        """Let the newest companion fail."""
        self.made[-1].fail(error)
        await settle()


@pytest.fixture
async def kept() -> AsyncIterator[Kept]:
    one = Kept()
    await settle()
    yield one
    one.task.cancel()
    await asyncio.gather(one.task, return_exceptions=True)


async def test_a_failed_companion_is_replaced(kept: Kept) -> None:
    """After the first pause a fresh one runs, and its certificate is reported as the first one's was."""
    await kept.fail(OSError("address in use"))
    assert (len(kept.made), kept.keeper.failures) == (1, 1)
    await kept.clock.turn(RESTART_SECONDS[0])
    assert [one.running for one in kept.made] == [False, True]
    kept.made[1].certify()
    assert kept.certified == 1


async def test_pauses_grow_while_it_keeps_failing(kept: Kept) -> None:
    """Each failure doubles about the wait, up to half a minute."""
    for pause in (*RESTART_SECONDS, RESTART_SECONDS[-1]):
        count = len(kept.made)
        await kept.fail(VarkaError("no"))
        await kept.clock.turn(pause - 0.01)
        assert len(kept.made) == count
        await kept.clock.turn(0.02)
        assert len(kept.made) == count + 1


async def test_a_steady_companion_earns_the_shortest_pause(kept: Kept) -> None:
    """What happened long ago does not count."""
    for pause in RESTART_SECONDS[:3]:
        await kept.fail(VarkaError("no"))
        await kept.clock.turn(pause)
    await kept.clock.turn(STEADY_SECONDS)
    await kept.fail(VarkaError("no"))
    await kept.clock.turn(RESTART_SECONDS[0])
    assert len(kept.made) == 5


async def test_a_companion_that_cannot_be_made_is_tried_again(kept: Kept) -> None:
    """The reason may pass: a file of the pod that is not there yet."""
    kept.refusal = FileNotFoundError("/proc/1/ns/net")
    await kept.fail(VarkaError("no"))
    await kept.clock.turn(RESTART_SECONDS[0])
    assert len(kept.made) == 1
    kept.refusal = None
    await kept.clock.turn(RESTART_SECONDS[1])
    assert kept.made[-1].running and len(kept.made) == 2


async def test_a_drain_survives_the_companion(kept: Kept) -> None:
    """The successor goes on with the drain that the first one began."""
    await kept.keeper.drain()
    await kept.fail(VarkaError("no"))
    await kept.clock.turn(RESTART_SECONDS[0])
    assert [one.drains for one in kept.made] == [1, 1]


async def test_there_is_nothing_to_launch_between_two_companions(kept: Kept) -> None:
    """The refusal says that the agent is being started again."""
    assert kept.keeper.launch().argv == ["envoy", "0"]
    await kept.fail(VarkaError("no"))
    with pytest.raises(VarkaError, match="the agent of shop/web is being started again"):
        kept.keeper.launch()


async def test_cancelling_ends_the_companion(kept: Kept) -> None:
    """No successor is made."""
    kept.task.cancel()
    await asyncio.gather(kept.task, return_exceptions=True)
    assert kept.made[0].closed and len(kept.made) == 1
