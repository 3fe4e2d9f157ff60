"""WebAssembly modules, fetched over HTTP when a WasmPlugin first names them, checked against its checksum, and kept.

A server that does not answer is asked again after one second, then after two, and so on up to a minute.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.model.extending import wasm_code
from varka.model.extending.wasm_code import CodeSource, KnownCode

log = logging.getLogger("varka.control.wasm")

MOST_BYTES = 32 << 20
FETCH_SECONDS = 30.0
SLOWEST_RETRY = 60.0
MAGIC = b"\0asm"


class Get(Protocol):
    """Fetches a document; VarkaError says why it cannot."""

    async def __call__(self, url: str) -> bytes: ...


@dataclass(slots=True, eq=False)
class _Entry:
    code: bytes = b""
    problem: str = ""
    task: asyncio.Task[None] | None = None


class WasmFetcher:
    """Follows the sources that are wanted. `known` is what the stages read; `changed` is called when it is another object."""

    def __init__(self, get: Get, clock: Clock, changed: Callable[[str], None]) -> None:
        self.known = wasm_code.NOTHING
        self._get = get
        self._clock = clock
        self._changed = changed
        self._entries: dict[CodeSource, _Entry] = {}
        self._group: asyncio.TaskGroup | None = None
        self._stop = asyncio.Event()

    def want(self, sources: frozenset[CodeSource]) -> None:
        """Follow these sources and no others."""
        if sources == self._entries.keys():
            return
        for gone in self._entries.keys() - sources:
            entry = self._entries.pop(gone)
            if entry.task is not None:
                entry.task.cancel()
        for source in sorted(sources - self._entries.keys()):
            self._entries[source] = _Entry()
            self._begin(source)
        self._publish()

    async def run(self) -> None:
        """Fetch until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            for source in sorted(self._entries):
                self._begin(source)
            await self._stop.wait()

    def _begin(self, source: CodeSource) -> None:
        entry = self._entries[source]
        if self._group is not None and entry.task is None:
            entry.task = self._group.create_task(self._fetch(source, entry), name=f"wasm:{source.url}")

    async def _fetch(self, source: CodeSource, entry: _Entry) -> None:
        wait = 1.0
        while True:
            try:
                code = await self._get(source.url)
                _check(source, code)
                entry.code, entry.problem = code, ""
                break
            except VarkaError as error:
                if str(error) != entry.problem:
                    entry.problem = str(error)
                    log.warning("the module %s is not used: %s; next attempt in %.0f s", source.url, error, wait)
                    self._published()
            await self._clock.sleep(wait)
            wait = min(wait * 2, SLOWEST_RETRY)
        self._published()

    def _published(self) -> None:
        self._publish()
        self._changed("config")

    def _publish(self) -> None:
        self.known = KnownCode(
            code={source: entry.code for source, entry in self._entries.items() if entry.code},
            problems={source: entry.problem for source, entry in self._entries.items() if entry.problem},
        )


def _check(source: CodeSource, code: bytes) -> None:
    found = hashlib.sha256(code).hexdigest()
    if source.sha256 and found != source.sha256:
        raise VarkaError(f"its checksum is {found}, not {source.sha256}", "correct spec.sha256, or what the server has")
    if not code.startswith(MAGIC):
        raise VarkaError("it is no WebAssembly module", "see what the server has at that URL")


def over_http(context: Callable[[], ssl.SSLContext]) -> Get:
    """Fetching by GET; `context` is asked for when it is first needed."""

    async def get(url: str) -> bytes:
        import aiohttp

        try:
            limits = aiohttp.ClientTimeout(total=FETCH_SECONDS)
            async with aiohttp.ClientSession(timeout=limits) as session, session.get(url, ssl=context() if url.startswith("https:") else False) as answer:
                if answer.status // 100 != 2:
                    raise VarkaError(f"the server answered {answer.status}")
                body = bytearray()
                async for chunk in answer.content.iter_chunked(1 << 16):
                    body += chunk
                    if len(body) > MOST_BYTES:
                        raise VarkaError(f"it is larger than {MOST_BYTES >> 20} MiB")
        except TimeoutError as error:
            raise VarkaError(f"no answer within {FETCH_SECONDS:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise VarkaError(str(error) or type(error).__name__) from error
        return bytes(body)

    return get
