"""An add-on's process: listeners that stand until a signal comes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

from aiohttp import web

from varka.base.errors import VarkaError


async def until_stopped(apps: Mapping[int, web.Application], bind: str = "0.0.0.0") -> None:
    """Serve each application on its port until SIGTERM or SIGINT; VarkaError when a port is taken."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    runners = []
    try:
        for port, app in apps.items():
            runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
            runners.append(runner)
            await runner.setup()
            try:
                await web.TCPSite(runner, bind, port).start()
            except OSError as error:
                raise VarkaError(f"port {port} cannot be opened: {error}", "is another process of this pod listening there?") from error
        await stopping.wait()
    finally:
        for runner in runners:
            await runner.cleanup()
