from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest
from tests.fakes.clock import TurnedClock, settle

from varka.control import garbage


class Ring:
    """Refers to itself, so that only a collection finds it."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    garbage.postpone()
    yield
    gc.set_threshold(*before)


def old_garbage() -> weakref.ref[Ring]:
    """An unreachable object that has outlived the looks at the young ones."""
    ring = Ring()
    gc.collect()
    made = [[] for _ in range(garbage.YOUNG + 1000)]  # type: ignore[var-annotated]
    assert made and gc.get_count()[1], "making so many objects starts a young collection"
    return weakref.ref(ring)


async def test_garbage_is_collected_when_no_push_is_on_its_way() -> None:
    """A minute after, and not while a proxy waits."""
    clock, quiet = TurnedClock(), [False]
    task = asyncio.create_task(garbage.run(lambda: quiet[0], clock))
    ring = old_garbage()
    await clock.turn(garbage.PERIOD_SECONDS + 5)
    assert ring() is not None
    quiet[0] = True
    await clock.turn(0.5)
    assert ring() is None
    task.cancel()


async def test_a_proxy_that_never_answers_keeps_no_garbage() -> None:
    """Patience ends."""
    clock = TurnedClock()
    task = asyncio.create_task(garbage.run(lambda: False, clock))
    ring = old_garbage()
    await clock.turn(garbage.PERIOD_SECONDS + garbage.PATIENCE_SECONDS + 1)
    assert ring() is None
    task.cancel()


async def test_a_process_in_which_nothing_happens_is_left_alone() -> None:
    """Nothing new, no collection."""
    clock = TurnedClock()
    gc.collect()
    before = gc.get_stats()[2]["collections"]
    task = asyncio.create_task(garbage.run(lambda: True, clock))
    await clock.turn(3 * garbage.PERIOD_SECONDS)
    await settle()
    assert gc.get_stats()[2]["collections"] == before
    task.cancel()


def test_no_whole_collection_starts_by_itself() -> None:
    """However much is made."""
    gc.collect()
    before = gc.get_stats()[2]["collections"]
    kept = [[number] for number in range(60 * garbage.YOUNG)]
    assert kept and gc.get_stats()[2]["collections"] == before
