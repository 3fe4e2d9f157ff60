from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.fakes.clock import TurnedClock, settle, until

from varka.client.api import ApiError
from varka.client.informers import Key
from varka.cluster.controllers.queues import Reconciler

A, B = Key("", "a"), Key("", "b")


@asynccontextmanager
async def working(reconcile, workers=2):
    """A queue whose workers run, and its clock."""
    clock = TurnedClock()
    queue = Reconciler("test", reconcile, clock, workers=workers)
    task = asyncio.create_task(queue.run())
    yield queue, clock
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_key_is_reconciled_once_however_often_it_was_added():
    """Keys that wait are kept once."""
    seen = []

    async def reconcile(key):
        seen.append(key)

    async with working(reconcile) as (queue, _):
        for key in (A, A, B, A):
            queue.add(key)
        await settle()
        assert sorted(seen) == [A, B] and queue.idle


async def test_a_key_never_runs_twice_at_the_same_time():
    """A key added while it is reconciled runs again afterwards, not meanwhile."""
    running, most, count = 0, 0, 0

    async def reconcile(key):
        nonlocal running, most, count
        running += 1
        count += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    async with working(reconcile, workers=4) as (queue, _):
        queue.add(A)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        queue.add(A)
        await settle()
        assert (most, count) == (1, 2)


async def test_failures_come_back_after_doubling_waits():
    """A failing key is tried again after 5, 10, 20 ms, …, and a success starts the count anew."""
    times = []

    async def reconcile(key):
        times.append(clock.monotonic())
        if len(times) < 4:
            raise ApiError(409, "Conflict", "changed")

    async with working(reconcile) as (queue, clock):
        queue.add(A)
        await settle()
        await clock.turn(10)
        assert [round(moment, 3) for moment in times] == [0, 0.005, 0.015, 0.035]


async def test_bugs_in_reconcile_do_not_end_the_loop(caplog):
    """An unexpected exception is logged with its traceback and the key tried again."""
    calls = []

    async def reconcile(key):
        calls.append(key)
        if len(calls) == 1:
            raise KeyError("x")

    async with working(reconcile) as (queue, clock):
        queue.add(A)
        await settle()
        await clock.turn(1)
        assert len(calls) == 2 and "KeyError" in caplog.text


async def test_reconcile_may_ask_to_be_called_again():
    """The seconds that reconcile gives are when it looks again; an earlier wish wins."""
    times = []

    async def reconcile(key):
        times.append(clock.monotonic())
        return 60 if len(times) == 1 else None

    async with working(reconcile) as (queue, clock):
        queue.add(A)
        await until(lambda: times == [0] and queue.idle)
        queue.add_after(A, 10)
        queue.add_after(A, 30)
        await clock.turn(10)
        await until(lambda: len(times) == 2 and queue.idle)
        await clock.turn(90)
        assert times == [0, 10]
