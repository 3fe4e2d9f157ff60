"""Probes: their actions, and when they are made."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.fakes.clock import TurnedClock

from varka.cluster.runtime import probes

CONTAINER = {"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}


async def execute(command: list[str]) -> tuple[int, str]:
    """`true` succeeds, `sleep` never ends, others fail."""
    if command == ["sleep"]:
        await asyncio.Event().wait()
    return (0, "") if command == ["true"] else (1, "not well\n")


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """As the runtime has one."""
    async with aiohttp.ClientSession() as made:
        yield made


@pytest.fixture
async def port() -> AsyncIterator[int]:
    """A server: the path is the status; /headers tells what came."""

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/headers":
            return web.Response(status=200 if (request.headers["User-Agent"], request.headers.get("X-A")) == ("kube-probe/1.34", "b") else 400)
        if request.path == "/never":
            await asyncio.Event().wait()
        return web.Response(status=int(request.path.strip("/") or 200), headers={"Location": "http://127.0.0.1:1/"})

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.01)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield runner.addresses[0][1]
    await runner.cleanup()


def prober(session: aiohttp.ClientSession) -> probes.Prober:
    """Of CONTAINER at 127.0.0.1."""
    return probes.Prober(session, CONTAINER, "127.0.0.1", execute, TurnedClock())


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", (True, "")),
        ("/204", (True, "")),
        ("302", (True, "")),
        ("/404", (False, "HTTP probe failed with statuscode: 404")),
        ("/503", (False, "HTTP probe failed with statuscode: 503")),
    ],
)
async def test_http(session: aiohttp.ClientSession, port: int, path: str, expected: tuple[bool, str]) -> None:
    """2xx and 3xx are well; redirects are not followed."""
    assert await prober(session).act({"httpGet": {"path": path, "port": port}}, 5) == expected


async def test_http_headers(session: aiohttp.ClientSession, port: int) -> None:
    """Those of the probe, and kubelet's name."""
    assert (await prober(session).act({"httpGet": {"path": "/headers", "port": port, "httpHeaders": [{"name": "X-A", "value": "b"}]}}, 5))[0]


async def test_http_refused(session: aiohttp.ClientSession) -> None:
    """In the words of the Go client."""
    assert await prober(session).act({"httpGet": {"path": "/x", "port": 1}}, 5) == (
        False,
        'Get "http://127.0.0.1:1/x": dial tcp 127.0.0.1:1: connect: connection refused',
    )


async def test_http_without_answer(session: aiohttp.ClientSession, port: int) -> None:
    """After the timeout."""
    success, message = await prober(session).act({"httpGet": {"path": "/never", "port": port}}, 0.01)
    assert (success, message.endswith('/never": context deadline exceeded (Client.Timeout exceeded while awaiting headers)')) == (False, True)


async def test_tcp(session: aiohttp.ClientSession, port: int) -> None:
    """A connection is enough."""
    assert await prober(session).act({"tcpSocket": {"port": port}}, 5) == (True, "")
    assert await prober(session).act({"tcpSocket": {"port": 1}}, 5) == (False, "dial tcp 127.0.0.1:1: connect: connection refused")


async def test_exec(session: aiohttp.ClientSession) -> None:
    """Exit code 0 is well; otherwise what the command said."""
    assert await prober(session).act({"exec": {"command": ["true"]}}, 5) == (True, "")
    assert await prober(session).act({"exec": {"command": ["false"]}}, 5) == (False, "not well")
    assert await prober(session).act({"exec": {"command": ["sleep"]}}, 0.01) == (False, 'command timed out: "sleep" timed out after 0.01s')


def test_ports_by_name(session: aiohttp.ClientSession = None) -> None:  # type: ignore[assignment]
    """Named ports are the container's."""
    asked = probes.Prober(session, CONTAINER, "127.0.0.1", execute, TurnedClock())
    assert [asked.port(given) for given in (80, "81", "http")] == [80, 81, 8080]


class Script:
    """A prober whose answers are given; keeps when it was asked."""

    def __init__(self, answers: str) -> None:
        self.clock = TurnedClock()
        self.answers = answers
        self.asked: list[float] = []
        self.told: list[tuple[float, bool]] = []

    async def act(self, action: dict[str, Any], seconds: float) -> tuple[bool, str]:
        """`+` succeeds, everything else fails; the last answer is repeated."""
        self.asked.append(round(self.clock.monotonic(), 3))
        answer = self.answers[min(len(self.asked), len(self.answers)) - 1]
        return answer == "+", "" if answer == "+" else "bad"

    async def report(self, success: bool, message: str) -> bool:
        """Never ends the watch."""
        self.told.append((round(self.clock.monotonic(), 3), success))
        return True

    async def play(self, seconds: float, *, eager: bool = False, **probe: float) -> None:
        """Let the watch run for a time."""
        task = asyncio.create_task(probes.watch(self, probe, self.report, eager=eager))  # type: ignore[arg-type]
        await self.clock.turn(seconds)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_period_and_delay() -> None:
    """First after the delay, then every period."""
    script = Script("+")
    await script.play(25, initialDelaySeconds=3, periodSeconds=10)
    assert (script.asked, script.told) == ([3, 13, 23], [(3, True), (13, True), (23, True)])


async def test_thresholds() -> None:
    """Failures count from failureThreshold in a row on; a success in between starts over."""
    script = Script("--+---+")
    await script.play(6.5, periodSeconds=1, failureThreshold=3, successThreshold=1)
    assert script.told == [(2, True), (5, False), (6, True)]


async def test_success_threshold() -> None:
    """Two in a row."""
    script = Script("+-++")
    await script.play(3.5, periodSeconds=1, failureThreshold=3, successThreshold=2)
    assert script.told == [(3, True)]


async def test_eager_probes_find_the_first_success_early() -> None:
    """A server that listens after a tenth of a second is not unready for ten; failures on the way do not count."""
    script = Script("---+")
    await script.play(11, eager=True, periodSeconds=10, failureThreshold=1)
    assert (script.asked, script.told) == ([0, 0.03, 0.08, 0.18, 10], [(0.18, True), (10, True)])


async def test_eager_probes_fall_back_to_their_period() -> None:
    """What does not come soon is waited for as usual, and then failures count."""
    script = Script("-")
    await script.play(21, eager=True, periodSeconds=10, failureThreshold=1)
    assert [moment for moment, success in script.told if not success][-1] >= 10
    assert len(script.asked) < 12
