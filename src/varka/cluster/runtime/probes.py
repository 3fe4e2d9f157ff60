"""Probes and lifecycle actions: exec, httpGet, tcpSocket, grpc and sleep, made from the node as kubelet makes them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp

from varka.base.clock import Clock
from varka.client.api import Object
from varka.cluster.runtime import grpc_health

Exec = Callable[[list[str]], Awaitable[tuple[int, str]]]
FIRST_WAITS = (0.03, 0.05, 0.1, 0.2, 0.4, 0.8)
"""Before its first success a startup or readiness probe is asked more often than its period; these extra failures do not count."""


class Prober:
    """Performs the actions of one container."""

    def __init__(self, session: aiohttp.ClientSession, container: Object, ip: str, execute: Exec, clock: Clock) -> None:
        self.clock = clock
        self._session = session
        self._container = container
        self._ip = ip
        self._execute = execute

    async def act(self, action: dict[str, Any], seconds: float) -> tuple[bool, str]:
        """Whether the action succeeded, and why not in kubelet's words."""
        try:
            async with asyncio.timeout(seconds):
                return await self._act(action, seconds)
        except TimeoutError:
            if "exec" in action:
                line = " ".join(action["exec"].get("command") or [])
                return False, f'command timed out: "{line}" timed out after {seconds:g}s'
            if "httpGet" in action:
                return False, f'Get "{self._url(action["httpGet"])}": context deadline exceeded (Client.Timeout exceeded while awaiting headers)'
            return False, "dial tcp: i/o timeout" if "tcpSocket" in action else f"timeout: no answer within {seconds:g}s"
        except (OSError, ValueError) as error:
            return False, str(error)

    async def _act(self, action: dict[str, Any], seconds: float) -> tuple[bool, str]:
        if "exec" in action:
            code, output = await self._execute(list(action["exec"].get("command") or []))
            return code == 0, output.strip()
        if "httpGet" in action:
            return await self._http(action["httpGet"])
        if "tcpSocket" in action:
            where = action["tcpSocket"]
            return await self._tcp(where.get("host") or self._ip, self.port(where["port"]))
        if "grpc" in action:
            where = action["grpc"]
            return await grpc_health.check(self._ip, self.port(where["port"]), str(where.get("service") or ""), seconds)
        if "sleep" in action:
            await asyncio.sleep(float(action["sleep"]["seconds"]))
            return True, ""
        return False, "the probe has no action"

    async def _http(self, action: dict[str, Any]) -> tuple[bool, str]:
        url = self._url(action)
        headers = {"User-Agent": "kube-probe/1.34", "Accept": "*/*", **{each["name"]: each["value"] for each in action.get("httpHeaders") or []}}
        try:
            async with self._session.get(url, headers=headers, ssl=False, allow_redirects=False) as response:
                await response.content.read(10 << 10)
                if 200 <= response.status < 400:
                    return True, ""
                return False, f"HTTP probe failed with statuscode: {response.status}"
        except aiohttp.ClientConnectorError as error:
            told = (os.strerror(error.os_error.errno) if error.os_error.errno else str(error)).lower()
            return False, f'Get "{url}": dial tcp {error.host}:{error.port}: connect: {told}'
        except aiohttp.ServerDisconnectedError:
            return False, f'Get "{url}": EOF'
        except (aiohttp.ClientError, OSError) as error:
            return False, f'Get "{url}": {error}'

    def _url(self, action: dict[str, Any]) -> str:
        scheme, path = str(action.get("scheme") or "HTTP").lower(), str(action.get("path") or "/")
        return f"{scheme}://{action.get('host') or self._ip}:{self.port(action['port'])}{path if path.startswith('/') else '/' + path}"

    async def _tcp(self, host: str, port: int) -> tuple[bool, str]:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError as error:
            return False, f"dial tcp {host}:{port}: connect: {(os.strerror(error.errno) if error.errno else str(error)).lower()}"
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
    clock = prober.clock
    period, seconds = float(probe.get("periodSeconds") or 10), float(probe.get("timeoutSeconds") or 1)
    wanted, tolerated = int(probe.get("successThreshold") or 1), int(probe.get("failureThreshold") or 3)
    await clock.sleep(float(probe.get("initialDelaySeconds") or 0))
    extra = list(FIRST_WAITS) if eager else []
    good = bad = 0
    due = clock.monotonic() + period
    while True:
        success, message = await prober.act(probe, seconds)
        if success:
            good, bad, extra = good + 1, 0, []
            if good >= wanted and not await report(True, ""):
                return
        elif extra and clock.monotonic() + extra[0] < due:
            await clock.sleep(extra.pop(0))
            continue
        else:
            good, bad, extra = 0, bad + 1, []
            if bad >= tolerated and not await report(False, message):
                return
        await clock.sleep(max(0.0, due - clock.monotonic()))
        due = clock.monotonic() + period
