"""The agent as a container's entry point, one proxy and its Envoy: how it runs in a Kubernetes pod."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from varka.agent import proxy_settings
from varka.agent.sidecar import Place, Sidecar
from varka.base.clock import SystemClock

EXIT_SECONDS = 10.0


async def run(arguments: list[str]) -> int:
    """Keep one Envoy until it ends or the container is told to stop; Envoy's exit code."""
    sidecar = Sidecar(proxy_settings.parse(arguments, os.environ), Place(root=Path("/"), pid=None), SystemClock())
    certified = asyncio.Event()
    loop = asyncio.get_running_loop()
    companion = asyncio.create_task(sidecar.run(certified.set))
    try:
        started = asyncio.create_task(certified.wait())
        await asyncio.wait({companion, started}, return_when=asyncio.FIRST_COMPLETED)
        if companion.done():
            await companion
        launch = sidecar.launch()
        for name, content in launch.files.items():
            path = Path(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            path.write_text(content)
        envoy = await asyncio.create_subprocess_exec(*launch.argv)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: asyncio.ensure_future(sidecar.drain()))
        return await envoy.wait()
    finally:
        companion.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.wait_for(companion, EXIT_SECONDS)
