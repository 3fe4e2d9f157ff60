"""When pushes happen, on a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes.clock import TurnedClock, settle

from varka.base.wire import WireResource
from varka.control.push import Pusher, SharedSets
from varka.xds import types
from varka.xds.server import Client, Node
from varka.xds.streams import Request, StreamState

CDS = types.CLUSTER


def resources(**bodies: str) -> dict[str, WireResource]:
    """Resources by name."""
    return {name: WireResource(name=name, type_url=CDS, body=body.encode()) for name, body in bodies.items()}


class Counting:
    """A pipeline that remembers when it was asked."""

    def __init__(self, clock: TurnedClock) -> None:
        self.clock = clock
        self.refreshed: list[float] = []
        self.current = resources(a="1")

    def refresh(self) -> None:
        self.refreshed.append(round(self.clock.monotonic(), 3))

    async def settle(self) -> None:
        """Nothing to wait for."""

    def identify(self, client: Client) -> Any:
        return client.node.id

    def resources(self, proxy: Any) -> Mapping[str, Mapping[str, WireResource]]:
        return {CDS: self.current}

    def secrets(self, proxy: Any, names: frozenset[str]) -> Sequence[WireResource]:
        return []


@asynccontextmanager
async def pushing() -> AsyncIterator[tuple[Pusher, Counting, TurnedClock]]:
    """A pusher that gathers for 0.1 s at a time and 0.5 s at most."""
    clock = TurnedClock()
    pipeline = Counting(clock)
    pusher = Pusher(pipeline, clock, after=0.1, at_most=0.5)
    task = asyncio.create_task(pusher.run())
    yield pusher, pipeline, clock
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def client(number: int = 1) -> Client:
    """A stream that wants clusters."""
    made = Client(id=str(number), node=Node(id=f"n{number}"), peer="x", state=StreamState(), connected_at=0.0)
    made.state.request(Request(type_url=CDS))
    return made


async def test_lone_change_goes_out_at_once() -> None:
    """Nobody waits for a burst that does not come."""
    async with pushing() as (pusher, pipeline, clock):
        pusher.changed("config")
        await settle()
        assert pipeline.refreshed == [0.0]
        await clock.turn(10)
        pusher.changed("config")
        await settle()
        assert pipeline.refreshed == [0.0, 10.0]


async def test_changes_that_follow_are_gathered() -> None:
    """Until it has been quiet."""
    async with pushing() as (pusher, pipeline, clock):
        pusher.changed("config")
        await settle()
        for _ in range(3):
            await clock.turn(0.05)
            pusher.changed("config")
        await clock.turn(0.2)
        assert pipeline.refreshed == [0.0, 0.25]


async def test_gathering_is_bounded() -> None:
    """A burst that does not end is cut into pushes."""
    async with pushing() as (pusher, pipeline, clock):
        for _ in range(40):
            pusher.changed("endpoint")
            await clock.turn(0.05)
        assert 3 <= len(pipeline.refreshed) <= 6


async def test_proxy_that_connects_before_the_first_state_waits_for_it() -> None:
    """It is not told of an empty mesh."""
    async with pushing() as (pusher, _, _clock):
        made = client()
        task = asyncio.create_task(pusher.connected(made))
        await settle()
        assert not made.ready
        pusher.changed("global")
        await task
        assert made.ready and set(made.resources[CDS]) == {"a"}


async def test_push_without_effect_is_not_published() -> None:
    """Equal resources are the same set, whichever objects they came as."""
    async with pushing() as (pusher, pipeline, clock):
        pusher.changed("global")
        await settle()
        made = client()
        await pusher.connected(made)
        before = made.resources
        pipeline.current = resources(a="1")
        await clock.turn(1)
        pusher.changed("config")
        await settle()
        assert made.resources is before


async def test_push_is_open_until_every_concerned_proxy_has_answered() -> None:
    """Convergence is the last acknowledgement."""
    async with pushing() as (pusher, pipeline, clock):
        pusher.changed("global")
        await settle()
        one, two = client(1), client(2)
        for made in (one, two):
            await pusher.connected(made)
            (first,) = made.state.responses(made.resources)
            made.state.request(Request(type_url=CDS, nonce=first.nonce))
        pipeline.current = resources(a="2")
        await clock.turn(1)
        pusher.changed("config")
        await settle()
        assert [len(push.waiting) for push in pusher._open] == [2]
        (response,) = one.state.responses(one.resources)
        outcome = one.state.request(Request(type_url=CDS, nonce=response.nonce))
        pusher.answered(one, CDS, outcome)
        assert [len(push.waiting) for push in pusher._open] == [1]
        pusher.disconnected(two)
        assert pusher._open == []


def test_shared_sets_are_let_go_when_a_whole_push_did_not_need_them() -> None:
    """Nothing is kept of states that are gone."""
    shared, old = SharedSets(), resources(a="1")
    first = shared.of(old, None)
    shared.turn()
    assert shared.of(old, None) is first
    shared.turn()
    shared.turn()
    assert shared.of(old, None) is not first
