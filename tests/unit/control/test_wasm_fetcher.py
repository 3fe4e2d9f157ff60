"""WebAssembly modules on a clock that the test turns."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.builders import wasm_module
from tests.fakes.clock import TurnedClock, settle

from varka.base.errors import VarkaError
from varka.control.wasm_fetcher import WasmFetcher
from varka.model.extending.wasm_code import CodeSource

CODE = wasm_module.adding_header("a", "b")
PLAIN = CodeSource(url="http://a/plain.wasm")


class Servers:
    """Documents by URL; a URL without one does not answer."""

    def __init__(self) -> None:
        self.documents = {PLAIN.url: CODE}
        self.asked: list[str] = []

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if url not in self.documents:
            raise VarkaError("no answer")
        return self.documents[url]


@asynccontextmanager
async def fetching() -> AsyncIterator[tuple[WasmFetcher, Servers, TurnedClock, list[str]]]:
    """A fetcher that runs, and what it told of changes."""
    servers, clock, told = Servers(), TurnedClock(), list[str]()
    fetcher = WasmFetcher(servers, clock, told.append)
    task = asyncio.create_task(fetcher.run())
    await settle()
    yield fetcher, servers, clock, told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_module_is_fetched_once() -> None:
    """What is there is told, and not asked for again."""
    async with fetching() as (fetcher, servers, clock, told):
        fetcher.want(frozenset([PLAIN]))
        await clock.turn(3600)
        assert (dict(fetcher.known.code), servers.asked, told) == ({PLAIN: CODE}, [PLAIN.url], ["config"])
        fetcher.want(frozenset())
        assert fetcher.known.code == {}


async def test_a_server_that_comes_back() -> None:
    """A failure is known with its reason, and asked again after one second, then two."""
    async with fetching() as (fetcher, servers, clock, told):
        servers.documents.clear()
        fetcher.want(frozenset([PLAIN]))
        await settle()
        assert (fetcher.known.code, dict(fetcher.known.problems)) == ({}, {PLAIN: "no answer"})
        await clock.turn(1)
        servers.documents[PLAIN.url] = CODE
        await clock.turn(1.9)
        assert fetcher.known.code == {}
        await clock.turn(0.2)
        assert (dict(fetcher.known.code), fetcher.known.problems, len(servers.asked), told) == ({PLAIN: CODE}, {}, 3, ["config", "config"])


async def test_the_checksum() -> None:
    """A module with another checksum than the one that is asked for is not used, nor is what is no module."""
    right, wrong, text = (
        CodeSource(url=PLAIN.url, sha256=hashlib.sha256(CODE).hexdigest()),
        CodeSource(url=PLAIN.url, sha256="0" * 64),
        CodeSource(url="http://a/page.html"),
    )
    async with fetching() as (fetcher, servers, _, _told):
        servers.documents[text.url] = b"<html>"
        fetcher.want(frozenset([right, wrong, text]))
        await settle()
        assert list(fetcher.known.code) == [right]
        assert fetcher.known.problems[wrong].startswith(f"its checksum is {right.sha256}, not {'0' * 64}")
        assert fetcher.known.problems[text].startswith("it is no WebAssembly module")
