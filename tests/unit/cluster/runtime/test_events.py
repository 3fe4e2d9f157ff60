"""Events of the runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock, settle

from varka.client.api import ApiError, Object
from varka.client.resources import EVENTS
from varka.cluster.runtime.events import Recorder

POD: Object = {"metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7"}}


class Recording:
    """A recorder that runs on a fake API."""

    def __init__(self) -> None:
        self.clock = TurnedClock()
        self.api = FakeApi(self.clock)
        self.recorder = Recorder(self.api, self.clock, "varka")

    async def told(self) -> list[Object]:
        """The events once all are written."""
        await settle()
        return self.api.all(EVENTS)


@pytest.fixture
async def recording() -> AsyncIterator[Recording]:
    """Until the test ends."""
    made = Recording()
    task = asyncio.create_task(made.recorder.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_an_event(recording: Recording) -> None:
    """The fields that kubectl shows, and the container that it is about."""
    recording.recorder.record(POD, "Normal", "Started", "Started container c", "spec.containers{c}")
    (found,) = await recording.told()
    assert found["involvedObject"] == {
        "kind": "Pod",
        "apiVersion": "v1",
        "namespace": "shop",
        "name": "web",
        "uid": "u",
        "resourceVersion": "7",
        "fieldPath": "spec.containers{c}",
    }
    fields = ("type", "reason", "message", "count", "source", "firstTimestamp", "lastTimestamp")
    assert [found[field] for field in fields] == [
        "Normal", "Started", "Started container c", 1, {"component": "kubelet", "host": "varka"}, "2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z",
    ]  # fmt: skip
    assert found["metadata"]["name"].startswith("web.")


async def test_a_repeated_event_is_counted(recording: Recording) -> None:
    """One object, a count, and the time of the last."""
    recording.recorder.record(POD, "Warning", "BackOff", "again")
    await settle()
    await recording.clock.turn(60)
    recording.recorder.record(POD, "Warning", "BackOff", "again")
    recording.recorder.record(POD, "Warning", "BackOff", "another")
    first, second = await recording.told()
    assert (first["count"], first["firstTimestamp"], first["lastTimestamp"]) == (2, "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z")
    assert (second["count"], second["message"]) == (1, "another")


async def test_an_event_that_cannot_be_written_is_dropped(recording: Recording) -> None:
    """A namespace that is being deleted takes no events; the next one is written."""
    recording.api.failures.append(ApiError(403, "Forbidden", "namespace shop is being terminated"))
    recording.recorder.record(POD, "Normal", "Killing", "one")
    recording.recorder.record(POD, "Normal", "Killing", "two")
    assert [event["message"] for event in await recording.told()] == ["two"]


async def test_a_flood_does_not_hold_up_the_pods() -> None:
    """What does not fit is dropped."""
    made = Recording()
    for number in range(3000):
        made.recorder.record(POD, "Normal", "Started", str(number))
    task = asyncio.create_task(made.recorder.run())
    async with asyncio.timeout(20):
        while len(made.api.all(EVENTS)) < 2000:  # noqa: ASYNC110
            await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(made.api.all(EVENTS)) == 2000
