"""Keys of token issuers on a clock that the test turns, and over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from tests.fakes.clock import TurnedClock, settle

from varka.base.errors import VarkaError
from varka.control import signing_keys
from varka.control.signing_keys import KeyFetcher
from varka.identity import authority, keys
from varka.model.policies.signing_keys import KeySource

A, B = KeySource(url="http://a/keys"), KeySource(url="http://b/.well-known/openid-configuration", discovery=True)


def key_set(name: str) -> str:
    """A key set with one key."""
    return json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": name}]})


class Servers:
    """Documents by URL; a URL without one does not answer."""

    def __init__(self) -> None:
        self.documents: dict[str, str] = {A.url: key_set("1")}
        self.asked: list[str] = []

    async def __call__(self, url: str, timeout: float) -> str:
        self.asked.append(url)
        if url not in self.documents:
            raise VarkaError("no answer")
        return self.documents[url]


@asynccontextmanager
async def fetching() -> AsyncIterator[tuple[KeyFetcher, Servers, TurnedClock, list[str]]]:
    """A fetcher that runs, and what it told of changes."""
    servers, clock, told = Servers(), TurnedClock(), list[str]()
    fetcher = KeyFetcher(servers, clock, told.append, interval=1200.0)
    task = asyncio.create_task(fetcher.run())
    yield fetcher, servers, clock, told
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_keys_are_fetched_and_again_at_intervals() -> None:
    """Keys are there once their source is wanted; a later look tells of a change, and of none when there is none."""
    async with fetching() as (fetcher, servers, clock, told):
        fetcher.want(frozenset([A]))
        await settle()
        assert fetcher.known.keys == {A: key_set("1")}
        known = fetcher.known
        await clock.turn(1200)
        assert (servers.asked, fetcher.known) == ([A.url, A.url], known)
        servers.documents[A.url] = key_set("2")
        await clock.turn(1200)
        assert (fetcher.known.keys, told) == ({A: key_set("2")}, ["jwks", "jwks"])


async def test_a_dead_server_is_asked_again() -> None:
    """There are no keys, attempts come after 1, 2, 4 … 60 seconds, and the first answer counts."""
    async with fetching() as (fetcher, servers, clock, told):
        del servers.documents[A.url]
        fetcher.want(frozenset([A]))
        await settle()
        seen = []
        for _ in range(400):
            before = len(servers.asked)
            await clock.turn(1)
            seen += [int(clock.monotonic())] * (len(servers.asked) - before)
        assert seen[:8] == [1, 3, 7, 15, 31, 63, 123, 183]
        assert (fetcher.known.keys, told) == ({}, [])
        servers.documents[A.url] = key_set("1")
        await clock.turn(60)
        assert (fetcher.known.keys, told) == ({A: key_set("1")}, ["jwks"])


async def test_known_keys_outlive_their_server() -> None:
    """A server that fails later does not take the keys away, nor does one that answers something else."""
    async with fetching() as (fetcher, servers, clock, _):
        fetcher.want(frozenset([A]))
        await settle()
        for answer in ("<html>", '{"keys": 1}', "[]", '{"keys": [{"kty": "none"}]}'):
            servers.documents[A.url] = answer
            await clock.turn(1300)
        assert fetcher.known.keys == {A: key_set("1")}


async def test_the_issuer_says_where_its_keys_are() -> None:
    """With discovery, the address is read from the issuer's OpenID configuration."""
    async with fetching() as (fetcher, servers, _, _):
        servers.documents |= {B.url: json.dumps({"jwks_uri": "http://b/k"}), "http://b/k": key_set("b")}
        fetcher.want(frozenset([B]))
        await settle()
        assert (servers.asked, fetcher.known.keys) == ([B.url, "http://b/k"], {B: key_set("b")})


async def test_what_is_not_wanted_is_forgotten() -> None:
    """A source that no rule names any more is not asked again."""
    async with fetching() as (fetcher, servers, clock, _):
        fetcher.want(frozenset([A]))
        await settle()
        fetcher.want(frozenset())
        await clock.turn(5000)
        assert (len(servers.asked), fetcher.known.keys) == (1, {})


async def test_settling() -> None:
    """A push waits for new sources until they have been tried, without being told of the change twice, and for known ones not at all."""
    async with fetching() as (fetcher, _, _, told):
        fetcher.want(frozenset([A, B]))
        assert await fetcher.settle(5.0)
        assert (list(fetcher.known.keys), told) == ([A], [])
        assert not await fetcher.settle(5.0)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[int, int, Path]]:
    """Ports of an HTTP and an HTTPS server on loopback, and the root of the second."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/slow":
            await asyncio.sleep(30)
        return web.Response(text="x" * (2 << 20) if request.path == "/large" else "here", status=404 if request.path == "/gone" else 200)

    made = authority.self_signed("cluster.local", datetime.now(UTC))
    key = keys.generate()
    (tmp_path / "root.pem").write_bytes(made.root_pem)
    (tmp_path / "key.pem").write_bytes(keys.to_pem(key))
    (tmp_path / "chain.pem").write_text("".join(made.sign_server(key, ["localhost"], timedelta(hours=1), datetime.now(UTC))))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "chain.pem", tmp_path / "key.pem")
    app = web.Application()
    app.router.add_get("/{path}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    plain, secure = (int(address[1]) for address in runner.addresses)
    yield plain, secure, tmp_path / "root.pem"
    await runner.cleanup()


async def test_over_http(server: tuple[int, int, Path]) -> None:
    """A document comes over HTTP; an error status, a slow answer, a huge one and no server are told apart."""
    get = signing_keys.over_http(signing_keys.tls_context)
    base = f"http://127.0.0.1:{server[0]}"
    assert await get(f"{base}/keys", 5) == "here"
    for path, seconds, said in (
        ("gone", 5, "the server answered 404"),
        ("slow", 0.2, "no answer within 0.2 s"),
        ("large", 5, "the answer is larger than 1 MiB"),
    ):
        with pytest.raises(VarkaError, match=said):
            await get(f"{base}/{path}", seconds)
    with pytest.raises(VarkaError):
        await get("http://127.0.0.1:1/x", 5)


async def test_over_https(server: tuple[int, int, Path]) -> None:
    """Only a server that a known root vouches for is believed, unless the check is switched off."""
    url = f"https://localhost:{server[1]}/keys"
    with pytest.raises(VarkaError, match=r"(?i)certificate"):
        await signing_keys.over_http(signing_keys.tls_context)(url, 5)
    assert await signing_keys.over_http(lambda: signing_keys.tls_context(extra=server[2]))(url, 5) == "here"
    assert await signing_keys.over_http(lambda: signing_keys.tls_context(insecure=True))(url, 5) == "here"
