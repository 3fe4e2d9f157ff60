"""Acknowledged writes survive kill -9 at any moment, of a process with the store alone and of a cluster's node."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.clusters import Cluster, eventually

from varka.base.errors import VarkaError
from varka.client import kubeconfig, resources
from varka.client.api import ApiError
from varka.client.http import HttpApi
from varka.cluster.store.store import Store

pytestmark = pytest.mark.system

WRITER = """
import asyncio, sys
from pathlib import Path
from varka.cluster.store.database import Key
from varka.cluster.store.store import Store

async def main():
    store = Store(Path(sys.argv[1]))
    await store.start()
    first = len(store.list("configmaps"))

    async def write(lane):
        number = 0
        while True:
            name = f"{first}-{lane}-{number}"
            entry = await store.put(Key("configmaps", "default", name), {"metadata": {"name": name, "namespace": "default"}}, 0)
            print(name, entry.revision, flush=True)
            number += 1

    await asyncio.gather(*(write(lane) for lane in range(4)))

asyncio.run(main())
"""


async def test_acknowledged_writes_survive_kills(tmp_path: Path) -> None:
    """Whatever a writer has reported is there after each of several kills, at its revision."""
    path = tmp_path / "store.db"
    reported: dict[str, int] = {}
    for round_number in range(5):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", WRITER, str(path), stdout=asyncio.subprocess.PIPE)
        assert process.stdout is not None
        async with asyncio.timeout(30):
            for _ in range(40 + 37 * round_number):
                name, _, revision = (await process.stdout.readline()).decode().strip().partition(" ")
                reported[name] = int(revision)
            process.kill()
            for line in (await process.stdout.read()).decode().splitlines(keepends=True):
                if line.endswith("\n"):
                    name, _, revision = line.strip().partition(" ")
                    reported[name] = int(revision)
            await process.wait()
        store = Store(path)
        await store.start()
        for name, number in reported.items():
            entry = store.get("configmaps", "default", name)
            assert entry is not None, f"{name} was acknowledged and is lost"
            assert entry.revision == number
        assert store.revision >= max(reported.values())
        await store.close()


async def test_acknowledged_writes_survive_kills_of_the_node(fresh_cluster: Callable[[str], Cluster]) -> None:
    """Four clients write while the node is killed four times: all that was answered is there, with its content and version."""
    cluster = fresh_cluster("durable")
    await asyncio.to_thread(cluster.up)
    connection = kubeconfig.load(path=str(cluster.folder.kubeconfig)).connection
    written: dict[str, str] = {}
    stopped = asyncio.Event()

    async def write(lane: int, api: HttpApi) -> None:
        number = 0
        while not stopped.is_set():
            number += 1
            name = f"note-{lane}-{number}"
            try:
                made = await api.create(resources.CONFIGMAPS, {"metadata": {"name": name}, "data": {"text": name}}, "default")
                written[name] = made["metadata"]["resourceVersion"]
            except (ApiError, VarkaError):
                await asyncio.sleep(0.02)

    async with HttpApi(connection, timeout=10) as api:
        writers = [asyncio.create_task(write(lane, api)) for lane in range(4)]
        for _ in range(4):
            reached = len(written) + 60
            await asyncio.to_thread(eventually, lambda r=reached: len(written) >= r or any(one.done() for one in writers), seconds=60, what="writes")
            old = await asyncio.to_thread(cluster.pid, "node")
            os.kill(old, 9)
            await asyncio.to_thread(eventually, lambda o=old: cluster.pid("node") not in (0, o), seconds=60, what="a new node")
        stopped.set()
        await asyncio.wait_for(asyncio.gather(*writers), 60)
        async with asyncio.timeout(60):
            while True:
                try:
                    found = (await api.list(resources.CONFIGMAPS, "default")).items
                    break
                except (ApiError, VarkaError):
                    await asyncio.sleep(0.1)
    stored = {one["metadata"]["name"]: (one["metadata"]["resourceVersion"], one["data"]["text"]) for one in found if one["metadata"]["name"] in written}
    assert len(written) >= 240
    assert stored == {name: (version, name) for name, version in written.items()}
