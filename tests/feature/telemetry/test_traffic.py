"""The load generator against a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator

import msgspec
import pytest
from aiohttp import web
from tests.feature.telemetry import ports

from varka.telemetry.traffic import plan
from varka.telemetry.traffic.engine import Engine
from varka.telemetry.traffic.plan import Plan, Weighted
from varka.telemetry.traffic.statistics import Interval

SEEN: Counter[tuple[str, str]] = Counter()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    SEEN.clear()

    async def answer(request: web.Request) -> web.Response:
        SEEN[request.path_qs, request.headers.get("end-user", "")] += 1
        return web.Response(status=200 if request.path == "/ok" else 404)

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def total(engine: Engine) -> Interval:
    everything = Interval()
    async for interval in engine.run():
        everything.join(interval)
    return everything


async def test_as_many_requests_come_as_were_asked_for(url: str) -> None:
    """Rate times seconds, with their paths and headers; the client's counts are the server's."""
    made = Plan(url=url, rate=100, seconds=1.5, paths=(Weighted("/ok"),), error_share=0.2, headers=plan.headers(["end-user: jason=50"]))
    counts = await total(Engine(made))
    assert counts.sent == 150
    assert sum(SEEN.values()) == 150
    errors = sum(count for (path, _), count in SEEN.items() if path == "/non-existent-page")
    assert counts.codes == {"200": 150 - errors, "404": errors}
    assert 0 < errors < 150
    assert {user for _, user in SEEN} == {"", "jason"}


async def test_what_cannot_be_reached_is_told_by_its_reason() -> None:
    """A refused connection is no response and no crash."""
    (port,) = ports.free(1)
    counts = await total(Engine(Plan(url=f"http://127.0.0.1:{port}", rate=50, seconds=0.2)))
    assert counts.codes == {"connection refused": 10}
    assert counts.answered == 0


async def test_stopping_ends_it_early_and_loses_no_answer(url: str) -> None:
    """What was sent is counted."""
    engine = Engine(Plan(url=url, rate=100, seconds=3600, paths=(Weighted("/ok"),)))
    asyncio.get_running_loop().call_later(0.3, engine.stop)
    counts = await asyncio.wait_for(total(engine), 30)
    assert counts.codes == {"200": counts.sent}
    assert 0 < counts.sent < 360_000


async def test_in_a_pod_it_is_a_process_that_ends_with_its_input(url: str) -> None:
    """A line of JSON a second; when the client hangs up, the process ends."""
    made = Plan(url=url, rate=50, seconds=3600, paths=(Weighted("/ok"),))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "varka.telemetry.traffic", msgspec.json.encode(made).decode(), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdin is not None
    first = json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    assert first["codes"]["200"] >= 1
    process.stdin.close()
    assert await asyncio.wait_for(process.wait(), 60) == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_the_command_ends_with_its_summary_when_it_is_stopped(url: str, number: signal.Signals) -> None:
    """Ctrl-C, or `timeout`: what came back until then is counted, and it is what the server saw."""
    line = ["-m", "varka.cli.main", "traffic", f"{url}/ok", "--rate", "20", "--for", "1h"]
    process = await asyncio.create_subprocess_exec(sys.executable, *line, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    assert b"200: " in await asyncio.wait_for(process.stdout.readline(), 60)
    process.send_signal(number)
    rest = (await asyncio.wait_for(process.stdout.read(), 60)).decode()
    assert await asyncio.wait_for(process.wait(), 60) == 0
    assert rest.splitlines()[-1].split() == ["200", str(SEEN["/ok", ""])]


async def test_a_plan_that_is_none_is_refused() -> None:
    """The process says so and ends with 2."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "varka.telemetry.traffic", "{", stderr=asyncio.subprocess.PIPE)
    _, complaint = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 2
    assert b"give a plan as JSON" in complaint
