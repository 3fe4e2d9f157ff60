"""Probes and lifecycle actions: exec, httpGet, tcpSocket, grpc and sleep, made from the node as kubelet makes them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from varka.client.api import Object

Exec = Callable[[list[str]], Awaitable[tuple[int, str]]]
FIRST_WAITS = (0.03, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Before its first success a startup or readiness probe is asked more often than its period; these extra failures do not count."""


class Prober:
    """Performs the actions of one container."""

    def __init__(self, session: aiohttp.ClientSession, container: Object, ip: str, execute: Exec) -> None:
        self._session = session
        self._container = container
        self._ip = ip
        self._execute = execute

    async def act(self, action: dict[str, Any], seconds: float) -> tuple[bool, str]:
        """Whether the action succeeded, and why not in kubelet's words."""
        try:
            return await asyncio.wait_for(self._act(action), seconds)
        except TimeoutError:
            what = "command timed out" if "exec" in action else "context deadline exceeded (Client.Timeout exceeded while awaiting headers)"
            return False, what

    async def _act(self, action: dict[str, Any]) -> tuple[bool, str]:
        if "exec" in action:
            code, output = await self._execute(list(action["exec"].get("command") or []))
            return code == 0, output.strip()
        if "httpGet" in action:
            return await self._http(action["httpGet"])
        if "tcpSocket" in action or "grpc" in action:
            where = action.get("tcpSocket") or action["grpc"]
            return await self._tcp(where.get("host") or self._ip, self.port(where["port"]))
        if "sleep" in action:
            await asyncio.sleep(float(action["sleep"]["seconds"]))
            return True, ""
        return False, "the probe has no action"

    async def _http(self, action: dict[str, Any]) -> tuple[bool, str]:
        scheme = str(action.get("scheme") or "HTTP").lower()
        path = str(action.get("path") or "/")
        url = f"{scheme}://{action.get('host') or self._ip}:{self.port(action['port'])}{path if path.startswith('/') else '/' + path}"
        headers = {"User-Agent": "kube-probe/1.34", "Accept": "*/*", **{each["name"]: each["value"] for each in action.get("httpHeaders") or []}}
        try:
            async with self._session.get(url, headers=headers, ssl=False, allow_redirects=False) as response:
                await response.content.read(10 << 10)
                if 200 <= response.status < 400:
                    return True, ""
                return False, f"HTTP probe failed with statuscode: {response.status}"
        except (aiohttp.ClientError, OSError) as error:
            return False, f'Get "{url}": {error}'

    async def _tcp(self, host: str, port: int) -> tuple[bool, str]:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            return False, f"dial tcp {host}:{port}: {error.strerror or error}"
        writer.close()
        return True, ""

    def port(self, given: int | str) -> int:
        """A port number, or the number of a named port of the container."""
        if isinstance(given, int) or str(given).isdigit():
            return int(given)
        found = next((port["containerPort"] for port in self._container.get("ports") or [] if port.get("name") == given), 0)
        return int(found)


async def watch(prober: Prober, probe: dict[str, Any], report: Callable[[bool, str], Awaitable[bool]], *, eager: bool) -> None:
    """Ask again and again; `report(success, message)` is told when a threshold is reached, and ends the watch by answering False.

    With `eager` the time to the first success is not rounded up to a period.
    """
    period, seconds = float(probe.get("periodSeconds") or 10), float(probe.get("timeoutSeconds") or 1)
    wanted, tolerated = int(probe.get("successThreshold") or 1), int(probe.get("failureThreshold") or 3)
    await asyncio.sleep(float(probe.get("initialDelaySeconds") or 0))
    waits = list(FIRST_WAITS) if eager else []
    good = bad = 0
    loop = asyncio.get_running_loop()
    due = loop.time() + period
    while True:
        success, message = await prober.act(probe, seconds)
        extra = bool(waits) and not success and loop.time() < due
        if success:
            good, bad = good + 1, 0
            waits = []
        elif not extra:
            good, bad = 0, bad + 1
        if (success and good >= wanted and not await report(True, "")) or (not success and bad >= tolerated and not await report(False, message)):
            return
        if extra:
            await asyncio.sleep(min(waits.pop(0), max(0.01, due - loop.time())))
            continue
        if waits and not success:
            await asyncio.sleep(min(waits.pop(0), period))
            continue
        due = loop.time() + period
        await asyncio.sleep(period)
