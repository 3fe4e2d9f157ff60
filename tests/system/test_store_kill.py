"""Acknowledged writes survive kill -9 of the writing process at any moment."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

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
