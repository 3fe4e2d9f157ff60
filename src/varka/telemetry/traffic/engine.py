"""Sends a plan's requests at their times, however long the answers take, over a bounded number of connections.

The rate is kept open-loop: a slow service does not slow the sender down, as its users would not. When all connections are
busy, a request is counted as late and sent as soon as one is free, up to a bounded backlog.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator

import aiohttp

from varka.telemetry.traffic.plan import Picker, Plan
from varka.telemetry.traffic.statistics import Interval

_TICK = 0.005
"""Seconds between two looks at the clock: the grain of the rate."""
_BACKLOG = 4
"""Requests that may wait, as a multiple of the connections; beyond, sending pauses."""


class Engine:
    """One run of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._picker = Picker(plan)
        self._now = Interval()
        self._pending: set[asyncio.Task[None]] = set()
        self._busy = asyncio.Semaphore(plan.connections)
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Send no more; what is under way is waited for."""
        self._stopped.set()

    async def run(self) -> AsyncIterator[Interval]:
        """Send, and give the counts of each second and of the rest at the end."""
        timeout = aiohttp.ClientTimeout(total=self._plan.timeout)
        connector = aiohttp.TCPConnector(limit=self._plan.connections, ssl=False)
        async with aiohttp.ClientSession(self._plan.url, connector=connector, timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
            sending = asyncio.create_task(self._send(session))
            try:
                since = time.monotonic()
                while not sending.done():
                    await asyncio.wait({sending}, timeout=max(0.0, since + 1.0 - time.monotonic()))
                    now = time.monotonic()
                    yield self._take(now - since)
                    since = now
                sending.result()
                if self._pending:
                    await asyncio.wait(self._pending, timeout=self._plan.timeout)
                yield self._take(time.monotonic() - since)
            finally:
                for task in (sending, *self._pending):
                    task.cancel()
                await asyncio.gather(sending, *self._pending, return_exceptions=True)

    async def _send(self, session: aiohttp.ClientSession) -> None:
        plan, began, sent = self._plan, time.monotonic(), 0
        total = max(1, round(plan.rate * plan.seconds))
        while sent < total and not self._stopped.is_set():
            due = min(total, int((time.monotonic() - began) * plan.rate) + 1)
            while sent < due and len(self._pending) < plan.connections * _BACKLOG:
                task = asyncio.create_task(self._one(session))
                self._pending.add(task)
                task.add_done_callback(self._pending.discard)
                sent += 1
            pause = max(_TICK, began + sent / plan.rate - time.monotonic())
            try:
                async with asyncio.timeout(pause):
                    await self._stopped.wait()
            except TimeoutError:
                continue

    async def _one(self, session: aiohttp.ClientSession) -> None:
        pick = self._picker.pick()
        self._now.sent += 1
        if self._busy.locked():
            self._now.late += 1
        async with self._busy:
            began = time.perf_counter()
            try:
                async with session.request(self._plan.method, pick.path, headers=pick.headers, allow_redirects=False) as answer:
                    await answer.read()
                    code = str(answer.status)
            except TimeoutError:
                code = "timeout"
            except aiohttp.ClientConnectorError as error:
                number = error.os_error.errno
                code = os.strerror(number).lower() if number else "cannot connect"
            except aiohttp.ServerDisconnectedError:
                code = "connection closed"
            except (aiohttp.ClientError, OSError) as error:
                code = type(error).__name__
            self._now.add(code, (time.perf_counter() - began) * 1000)

    def _take(self, seconds: float) -> Interval:
        taken, self._now = self._now, Interval()
        taken.seconds = seconds
        return taken
