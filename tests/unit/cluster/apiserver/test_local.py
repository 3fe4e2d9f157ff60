"""The API in the server's own process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from varka.client.api import ApiError, Gvr
from varka.cluster.apiserver.server import ApiServer, ServerSettings

CONFIG_MAPS = Gvr("", "v1", "configmaps")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ApiServer]:
    """A started server without sockets."""
    started = ApiServer(ServerSettings(store=tmp_path / "store.db", needs_account=False))
    await started.start()
    yield started
    await started.stop()


async def test_callers_may_change_their_objects(server: ApiServer) -> None:
    """What was handed in or out is nobody else's."""
    given = {"metadata": {"name": "a"}, "data": {"x": "1"}}
    made = await server.api.create(CONFIG_MAPS, given, "default")
    given["data"]["x"] = made["data"]["x"] = "2"
    got = await server.api.get(CONFIG_MAPS, "a", "default")
    assert got["data"] == {"x": "1"}
    got["data"]["x"] = "3"
    assert (await server.api.get(CONFIG_MAPS, "a", "default"))["data"] == {"x": "1"}


async def test_list_then_watch_misses_nothing(server: ApiServer) -> None:
    """A watch from a list's version goes on exactly after the list."""
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, "default")
    listed = await server.api.list(CONFIG_MAPS)
    await server.api.create(CONFIG_MAPS, {"metadata": {"name": "b"}}, "default")
    async for event in server.api.watch(CONFIG_MAPS, resource_version=listed.resource_version):
        assert (event.type, event.object["metadata"]["name"]) == ("ADDED", "b")
        break


async def test_manager_is_named(server: ApiServer) -> None:
    """A named API writes under its own field manager."""
    made = await server.api.named("loop").create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"x": "1"}}, "default")
    assert made["metadata"]["managedFields"][0]["manager"] == "loop"


async def test_unknown_resource(server: ApiServer) -> None:
    """What is not served is a 404."""
    with pytest.raises(ApiError) as caught:
        await server.api.list(Gvr("nope.io", "v1", "things"))
    assert caught.value.code == 404
