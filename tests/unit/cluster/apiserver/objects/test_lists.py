"""Lists and watches."""

from __future__ import annotations

from typing import Any

import pytest

from varka.client.api import ApiError, Gvr
from varka.cluster.apiserver.objects.lists import Event, ListOptions
from varka.cluster.apiserver.server import ApiServer

CONFIG_MAPS = Gvr("", "v1", "configmaps")


async def make(server: ApiServer, *names: str, labels: dict[str, str] | None = None) -> None:
    """Create ConfigMaps."""
    for name in names:
        await server.api.create(CONFIG_MAPS, {"metadata": {"name": name, "labels": labels or {}}}, "default")


def info(server: ApiServer) -> Any:
    """The resource of ConfigMaps."""
    return server.core.registry.find(*CONFIG_MAPS)


def names(events: list[Event]) -> list[tuple[str, str]]:
    """Events as type and name."""
    return [(event.type, event.entry.object["metadata"]["name"] if event.entry else "") for event in events]


async def collected(server: ApiServer, **options: Any) -> list[Event]:
    """The events of a watch that ends at once."""
    found: list[Event] = []
    async for batch in server.core.lists.watch(info(server), "default", ListOptions(timeout=0.01, **options)):
        found += batch
    return found


async def test_pages(server: ApiServer) -> None:
    """A limited list says how to go on and how much is left; the pages together are the whole."""
    await make(server, "a", "b", "c", "d", "e")
    first = server.core.lists.page(info(server), "default", ListOptions(limit=2))
    assert (len(first.entries), first.remaining) == (2, 3)
    second = server.core.lists.page(info(server), "default", ListOptions(limit=9, continue_token=first.continue_token))
    assert [entry.object["metadata"]["name"] for entry in second.entries] == ["c", "d", "e"]
    assert (second.continue_token, second.revision) == ("", first.revision)


async def test_selected_pages_do_not_tell_what_is_left(server: ApiServer) -> None:
    """With a selector the number of remaining objects is unknown."""
    await make(server, "a", "b", labels={"x": "y"})
    assert server.core.lists.page(info(server), "default", ListOptions(limit=1, label_selector="x=y")).remaining is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": "x"}, 400),
        ({"resourceVersionMatch": "Foo", "resourceVersion": "1"}, 422),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"sendInitialEvents": "true"}, 422),
    ],
)
def test_wrong_options(query: dict[str, str], code: int) -> None:
    """Options that mean nothing are refused."""
    with pytest.raises(ApiError) as caught:
        ListOptions.parse(query, watch=False)
    assert caught.value.code == code


async def test_versions_of_past_and_future(server: ApiServer) -> None:
    """An exact old version is gone, a future one times out, a minimum is met by now."""
    await make(server, "a", "b")
    lists = server.core.lists
    with pytest.raises(ApiError) as past:
        lists.page(info(server), "default", ListOptions(resource_version="2", version_match="Exact"))
    with pytest.raises(ApiError) as future:
        lists.page(info(server), "default", ListOptions(resource_version="99999"))
    assert (past.value.code, future.value.code) == (410, 504)
    assert len(lists.page(info(server), "default", ListOptions(resource_version="2", version_match="NotOlderThan")).entries) == 2


async def test_watch_from_a_version(server: ApiServer) -> None:
    """A watch shows what came after the version."""
    await make(server, "a")
    version = str(server.store.revision)
    await make(server, "b")
    await server.api.delete(CONFIG_MAPS, "a", "default")
    assert names(await collected(server, resource_version=version)) == [("ADDED", "b"), ("DELETED", "a")]


async def test_watch_without_version_begins_with_what_is_there(server: ApiServer) -> None:
    """Without a version the objects come first, as added."""
    await make(server, "a")
    assert names(await collected(server)) == [("ADDED", "a")]


async def test_initial_events_end_with_a_bookmark(server: ApiServer) -> None:
    """sendInitialEvents is honoured: the objects, then the marked bookmark."""
    await make(server, "a")
    events = await collected(server, initial_events=True, version_match="NotOlderThan")
    assert names(events) == [("ADDED", "a"), ("BOOKMARK", "")]
    assert events[-1].initial_end
    assert events[-1].revision == server.store.revision


async def test_leaving_a_selector_is_a_deletion(server: ApiServer) -> None:
    """An object that begins to match is added, one that ceases to match is deleted."""
    await make(server, "a", labels={"x": "y"})
    await make(server, "b")
    version = str(server.store.revision)
    await server.api.patch(CONFIG_MAPS, "a", {"metadata": {"labels": {"x": None}}}, "default")
    await server.api.patch(CONFIG_MAPS, "b", {"metadata": {"labels": {"x": "y"}}}, "default")
    await server.api.patch(CONFIG_MAPS, "b", {"data": {"k": "v"}}, "default")
    assert names(await collected(server, resource_version=version, label_selector="x=y")) == [("DELETED", "a"), ("ADDED", "b"), ("MODIFIED", "b")]


async def test_too_old_a_version(server: ApiServer) -> None:
    """A version before the log's beginning is answered with 410."""
    server.store.log("configmaps")._start = 50
    with pytest.raises(ApiError) as caught:
        await collected(server, resource_version="2")
    assert (caught.value.code, caught.value.reason) == (410, "Expired")
