"""Keys of token issuers, fetched over HTTP: when a RequestAuthentication first names them, and again at intervals.

What was fetched once is used until something newer is: a server that is down for a while takes no token's validity away.
Before that, rules whose keys are missing refuse every token. A server that does not answer is asked again after one
second, then after two, and so on up to a minute.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.control import metrics
from varka.model.policies import key_sets
from varka.model.policies.signing_keys import FetchMode, KeySource, KnownKeys

log = logging.getLogger("varka.control.keys")

MOST_BYTES = 1 << 20
MOST_AT_ONCE = 8
SLOWEST_RETRY = 60.0
EXTRA_ROOTS = Path("/cacerts/extra.pem")


class Get(Protocol):
    """Fetches a document; VarkaError says why it cannot."""

    async def __call__(self, url: str, timeout: float) -> str: ...


@dataclass(slots=True)
class _Entry:
    text: str = ""
    due: float = 0.0
    failures: int = 0
    busy: bool = False
    tried: bool = False


class KeyFetcher:
    """Follows the sources that are wanted. `known` is what the stages read; `changed` is called when it is another object."""

    def __init__(self, get: Get, clock: Clock, changed: Callable[[str], None], *, mode: FetchMode = FetchMode.ISTIOD, interval: float = 1200.0) -> None:
        self.known = KnownKeys(mode=mode)
        self._get = get
        self._clock = clock
        self._changed = changed
        self._interval = interval
        self._entries: dict[KeySource, _Entry] = {}
        self._wake = asyncio.Event()
        self._tried = asyncio.Event()
        self._limit = asyncio.Semaphore(MOST_AT_ONCE)
        self._waiters = 0

    def want(self, sources: frozenset[KeySource]) -> None:
        """Follow these sources and no others."""
        if sources == self._entries.keys():
            return
        self._entries = {source: self._entries.get(source) or _Entry(due=self._clock.monotonic()) for source in sorted(sources)}
        self._publish()
        self._wake.set()

    async def settle(self, seconds: float) -> bool:
        """Wait until every source has been tried once, `seconds` at most; whether anything was waited for."""
        if all(entry.tried for entry in self._entries.values()):
            return False
        self._tried.clear()
        self._waiters += 1
        try:
            async with asyncio.timeout(seconds):
                await self._tried.wait()
        except TimeoutError:
            log.info("configuration is sent before all keys are known; requests with their tokens are refused until then")
        finally:
            self._waiters -= 1
        return True

    async def run(self) -> None:
        """Fetch until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._wake.clear()
                now = self._clock.monotonic()
                for source, entry in self._entries.items():
                    if not entry.busy and entry.due <= now:
                        entry.busy = True
                        tasks.create_task(self._refresh(source, entry), name=f"keys:{source.url}")
                await self._until_due()

    async def _until_due(self) -> None:
        waking = asyncio.ensure_future(self._wake.wait())
        coming = [entry.due for entry in self._entries.values() if not entry.busy]
        waiting: set[asyncio.Future[Any]] = {waking}
        if coming:
            waiting.add(asyncio.ensure_future(self._clock.sleep(max(0.0, min(coming) - self._clock.monotonic()))))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()

    async def _refresh(self, source: KeySource, entry: _Entry) -> None:
        try:
            async with self._limit:
                text = await self._fetch(source)
            entry.failures, entry.due = 0, self._clock.monotonic() + self._interval
            metrics.KEYS_FETCHED.inc()
        except VarkaError as error:
            wait = min(2.0**entry.failures, SLOWEST_RETRY)
            entry.failures, entry.due, text = entry.failures + 1, self._clock.monotonic() + wait, entry.text
            metrics.KEYS_FAILED.inc()
            meanwhile = "the keys that are known stay in use" if text else "tokens that need them are refused"
            log.warning("keys cannot be fetched from %s: %s; %s, next attempt in %.0f s", source.url, error, meanwhile, wait)
        entry.busy, entry.tried = False, True
        if text != entry.text:
            entry.text = text
            self._publish()
            if not self._waiters:
                self._changed("jwks")
        if all(one.tried for one in self._entries.values()):
            self._tried.set()
        self._wake.set()

    def _publish(self) -> None:
        keys = {source: entry.text for source, entry in self._entries.items() if entry.text}
        if keys != self.known.keys:
            self.known = KnownKeys(mode=self.known.mode, keys=keys)

    async def _fetch(self, source: KeySource) -> str:
        url = source.url
        if source.discovery:
            url = _member(await self._get(url, source.timeout), "jwks_uri", str)
        text = await self._get(url, source.timeout)
        _member(text, "keys", list)
        if not key_sets.usable(text):
            raise VarkaError("the answer has no key that Envoy could check tokens with", "see what the issuer serves there")
        return text


def _member(text: str, name: str, kind: type) -> Any:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise VarkaError("the answer is no JSON", "see what the issuer serves there") from error
    value = found.get(name) if isinstance(found, dict) else None
    if not isinstance(value, kind):
        raise VarkaError(f"the answer has no {name}", "see what the issuer serves there")
    return value


def tls_context(insecure: bool = False, extra: Path = EXTRA_ROOTS) -> ssl.SSLContext:
    """Trust in the machine's roots and those of `extra` if there are any; with `insecure`, in everyone."""
    context = ssl.create_default_context()
    if insecure:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    elif extra.is_file():
        context.load_verify_locations(cafile=str(extra))
    return context


def over_http(context: Callable[[], ssl.SSLContext]) -> Get:
    """Fetching by GET, with redirects, one connection a document; `context` is asked for when it is first needed."""

    async def get(url: str, timeout: float) -> str:
        import aiohttp

        try:
            limits = aiohttp.ClientTimeout(total=timeout)
            async with aiohttp.ClientSession(timeout=limits) as session, session.get(url, ssl=context() if url.startswith("https:") else False) as answer:
                if answer.status // 100 != 2:
                    raise VarkaError(f"the server answered {answer.status}")
                body = await answer.content.read(MOST_BYTES + 1)
                while len(body) <= MOST_BYTES and (more := await answer.content.read(MOST_BYTES)):
                    body += more
        except TimeoutError as error:
            raise VarkaError(f"no answer within {timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise VarkaError(str(error) or type(error).__name__) from error
        if len(body) > MOST_BYTES:
            raise VarkaError("the answer is larger than 1 MiB")
        return body.decode(errors="replace")

    return get
