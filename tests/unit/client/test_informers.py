from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock, settle

from varka.client.api import ApiError
from varka.client.http import Unreachable
from varka.client.informers import Informer, Informers, Key
from varka.client.resources import CONFIGMAPS, PODS


def _map(name, namespace="default", **data):
    return {"metadata": {"name": name, "namespace": namespace, "labels": {"app": name}}, "data": data}


@asynccontextmanager
async def following(api=None, **selectors):
    """An informer of ConfigMaps that has synced, what it told, and its clock."""
    clock = TurnedClock()
    api = api or FakeApi(clock)
    informer = Informer(api, CONFIGMAPS, clock=clock, **selectors)
    changes = []
    informer.add_handler(lambda old, new: changes.append(tuple(obj and obj["data"].get("v") for obj in (old, new))))
    task = asyncio.create_task(informer.run())
    await settle()
    yield api, informer, changes, clock
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_lists_then_follows():
    """The cache has what was there and then every change, told as old and new."""
    api = FakeApi()
    await api.create(CONFIGMAPS, _map("a", v="1"))
    async with following(api) as (_, informer, changes, _clock):
        assert informer.synced.is_set()
        await api.patch(CONFIGMAPS, "a", {"data": {"v": "2"}}, "default")
        await api.create(CONFIGMAPS, _map("b", v="x"))
        await api.delete(CONFIGMAPS, "a", "default")
        await settle()
        assert changes == [(None, "1"), ("1", "2"), (None, "x"), ("2", None)]
        assert list(informer.items) == [Key("default", "b")]


async def test_watches_on_when_a_watch_ends():
    """The end of a watch loses nothing and repeats nothing."""
    async with following() as (api, _informer, changes, clock):
        await api.create(CONFIGMAPS, _map("a", v="1"))
        await settle()
        api.hang_up()
        await settle()
        await api.create(CONFIGMAPS, _map("b", v="2"))
        await clock.turn(1)
        assert changes == [(None, "1"), (None, "2")]


async def test_lists_again_when_the_server_forgot():
    """After 410 the cache becomes what a new list says, and only the differences are told."""
    async with following() as (api, informer, changes, clock):
        for name in "ab":
            await api.create(CONFIGMAPS, _map(name, v=name))
        await settle()
        api.hang_up()
        api.oldest = 10**6
        await api.delete(CONFIGMAPS, "a", "default")
        await api.create(CONFIGMAPS, _map("c", v="c"))
        await settle()
        api.oldest = 0
        await clock.turn(1)
        assert changes == [(None, "a"), (None, "b"), ("a", None), (None, "c")]
        assert sorted(key.name for key in informer.items) == ["b", "c"]


async def test_waits_longer_each_time_the_server_is_away():
    """Attempts to reach a server that is away are spaced out, up to a bound, and the cache stays."""

    class Away(FakeApi):
        attempts = 0

        async def list(self, *args, **kwargs):
            self.attempts += 1
            raise Unreachable("away")

    api = Away()
    async with following(api) as (_, informer, _changes, clock):
        await clock.turn(60)
        assert 10 < api.attempts < 40
        assert not informer.synced.is_set()


async def test_a_kind_that_is_not_served_is_empty():
    """404 on a list means that there are no objects of the kind: the cache is synced and empty."""

    class Lacking(FakeApi):
        async def list(self, *args, **kwargs):
            raise ApiError(404, "NotFound", "no such kind")

    async with following(Lacking()) as (_, informer, _changes, _clock):
        assert informer.synced.is_set() and not informer.items


async def test_knows_its_own_writes_at_once():
    """What is learnt from the answer to a write is in the cache before the watch tells it, and is told once."""
    async with following() as (api, informer, changes, _clock):
        made = await api.create(CONFIGMAPS, _map("a", v="1"))
        informer.learn(made)
        assert informer.get("a", "default") == made
        await settle()
        assert changes == [(None, "1")]
        await api.delete(CONFIGMAPS, "a", "default")
        await settle()
        informer.learn(made)
        assert not informer.items


async def test_an_object_made_anew_is_another_object():
    """Deleting and creating under the same name is told as a deletion and an addition even when the list shows only the result."""
    async with following() as (api, _informer, changes, clock):
        await api.create(CONFIGMAPS, _map("a", v="1"))
        await settle()
        api.hang_up()
        api.oldest = 10**6
        await api.delete(CONFIGMAPS, "a", "default")
        await api.create(CONFIGMAPS, _map("a", v="2"))
        await settle()
        api.oldest = 0
        await clock.turn(1)
        assert changes == [(None, "1"), ("1", None), (None, "2")]


async def test_indexes_follow_the_objects():
    """An index finds objects by what they say now."""
    async with following() as (api, informer, _changes, _clock):
        informer.add_index("v", lambda obj: [obj["data"]["v"]])
        await api.create(CONFIGMAPS, _map("a", v="1"))
        await settle()
        await api.patch(CONFIGMAPS, "a", {"data": {"v": "2"}}, "default")
        await settle()
        assert informer.indexed("v", "1") == []
        assert [obj["metadata"]["name"] for obj in informer.indexed("v", "2")] == ["a"]


async def test_selectors_limit_what_is_followed():
    """Objects that stop matching the selector leave the cache."""
    async with following(label_selector="app=a") as (api, informer, _changes, _clock):
        await api.create(CONFIGMAPS, _map("a", v="1"))
        await api.create(CONFIGMAPS, _map("b", v="1"))
        await settle()
        assert list(informer.items) == [Key("default", "a")]
        await api.patch(CONFIGMAPS, "a", {"metadata": {"labels": {"app": "z"}}}, "default")
        await settle()
        assert not informer.items


async def test_a_failing_handler_harms_nobody():
    """A handler that raises is logged and the others still hear."""
    async with following() as (api, informer, changes, _clock):

        def broken(old, new):
            raise RuntimeError

        informer.add_handler(broken)
        await api.create(CONFIGMAPS, _map("a", v="1"))
        await settle()
        assert changes == [(None, "1")]


async def test_one_informer_a_kind_is_shared():
    """A group gives the same informer to all who ask, and starts those that are asked for later."""
    clock = TurnedClock()
    group = Informers(FakeApi(clock), clock)
    first = group.of(CONFIGMAPS)
    task = asyncio.create_task(group.run())
    await settle()
    assert group.of(CONFIGMAPS) is first
    later = group.of(PODS)
    await group.synced(1)
    assert later.synced.is_set()
    group.forget(PODS)
    assert group.kinds == [CONFIGMAPS]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
