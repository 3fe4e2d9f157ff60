"""The store: revisions, conflicts, restart, change logs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from varka.cluster.store.database import Key
from varka.cluster.store.log import Expired
from varka.cluster.store.store import RevisionConflict, Store

KEY = Key("configmaps", "default", "a")


def obj(name: str = "a", **data: str) -> dict[str, object]:
    """An object for the store."""
    return {"metadata": {"name": name, "namespace": "default"}, "data": data}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    """A started store with a short window."""
    opened = Store(tmp_path / "store.db", window=4)
    await opened.start()
    yield opened
    await opened.close()


async def test_put_gives_the_object_its_revision(store: Store) -> None:
    """A stored object carries the revision of its write as resourceVersion."""
    entry = await store.put(KEY, obj(x="1"), 0)
    assert entry.object["metadata"]["resourceVersion"] == str(entry.revision) == str(store.revision)
    assert store.get("configmaps", "default", "a") == entry


async def test_one_counter_for_all_resources(store: Store) -> None:
    """Revisions grow over all resources together."""
    first = await store.put(KEY, obj(), 0)
    second = await store.put(Key("secrets", "default", "a"), obj(), 0)
    assert second.revision == first.revision + 1


async def test_create_of_what_exists_conflicts(store: Store) -> None:
    """Expecting nothing where there is something is a conflict that shows what is there."""
    first = await store.put(KEY, obj(), 0)
    with pytest.raises(RevisionConflict) as caught:
        await store.put(KEY, obj(), 0)
    assert caught.value.current == first


async def test_concurrent_creates_have_one_winner(store: Store) -> None:
    """Of writes of one object that are under way together, one wins."""
    results = await asyncio.gather(*(store.put(KEY, obj(), 0) for _ in range(5)), return_exceptions=True)
    assert sum(isinstance(result, RevisionConflict) for result in results) == 4


async def test_delete_needs_the_revision(store: Store) -> None:
    """A deletion names the revision that it removes, and its answer carries the deletion's own."""
    entry = await store.put(KEY, obj(), 0)
    with pytest.raises(RevisionConflict):
        await store.delete(KEY, entry.revision + 1)
    gone = await store.delete(KEY, entry.revision)
    assert gone.object["metadata"]["resourceVersion"] == str(entry.revision + 1)
    assert store.get("configmaps", "default", "a") is None


async def test_list_is_sorted_and_by_namespace(store: Store) -> None:
    """Lists are in the order of namespace and name."""
    for namespace, name in (("b", "x"), ("a", "z"), ("a", "y")):
        await store.put(Key("configmaps", namespace, name), {"metadata": {"name": name, "namespace": namespace}}, 0)
    assert [entry.object["metadata"]["name"] for entry in store.list("configmaps")] == ["y", "z", "x"]
    assert [entry.object["metadata"]["name"] for entry in store.list("configmaps", "a")] == ["y", "z"]


async def test_restart_keeps_objects_and_counter(tmp_path: Path) -> None:
    """After a restart everything is there, and revisions go on after the last one, even a deletion's."""
    store = Store(tmp_path / "s.db")
    await store.start()
    kept = await store.put(KEY, obj(x="1"), 0)
    other = await store.put(Key("configmaps", "default", "b"), obj("b"), 0)
    gone = await store.delete(Key("configmaps", "default", "b"), other.revision)
    await store.close()
    again = Store(tmp_path / "s.db")
    await again.start()
    assert again.get("configmaps", "default", "a") == kept
    assert again.get("configmaps", "default", "b") is None
    assert again.revision == gone.revision
    with pytest.raises(Expired):
        again.log("configmaps").since(kept.revision)
    assert again.log("configmaps").since(gone.revision) == []
    await again.close()


async def test_log_shows_changes_in_order(store: Store) -> None:
    """The log after a revision has every later change with what was before it."""
    start = store.revision
    first = await store.put(KEY, obj(x="1"), 0)
    second = await store.put(KEY, obj(x="2"), first.revision)
    await store.delete(KEY, second.revision)
    changes = store.log("configmaps").since(start)
    assert [change.type for change in changes] == ["ADDED", "MODIFIED", "DELETED"]
    assert changes[1].previous == first


async def test_log_forgets_and_says_so(store: Store) -> None:
    """A revision before the window is refused instead of losing changes."""
    start = store.revision
    entry = await store.put(KEY, obj(), 0)
    for number in range(10):
        entry = await store.put(KEY, obj(x=str(number)), entry.revision)
    with pytest.raises(Expired):
        store.log("configmaps").since(start)
    assert len(store.log("configmaps").since(entry.revision - 2)) == 2


async def test_wait_ends_with_a_change(store: Store) -> None:
    """A waiting watcher is woken by the next change of its resource."""
    log = store.log("configmaps")
    waiting = asyncio.create_task(log.wait(store.revision, 5))
    await asyncio.sleep(0)
    await store.put(KEY, obj(), 0)
    assert await waiting
    assert not await log.wait(store.revision, 0.001)
