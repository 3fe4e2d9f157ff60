"""The agent as a container's entry point, one proxy and its Envoy: how it runs in a Kubernetes pod."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from varka.agent import proxy_settings, rootfs
from varka.agent.keeper import Keeper
from varka.agent.proxy_settings import ProxySettings
from varka.agent.sidecar import Launch, Place, Sidecar
from varka.base.clock import SystemClock

EXIT_SECONDS = 10.0


async def run(arguments: list[str], environment: Mapping[str, str] = os.environ, root: Path = Path("/")) -> int:
    """Keep one Envoy until it ends or the container is told to stop; Envoy's exit code."""
    return await keep(proxy_settings.parse(arguments, environment), root)


async def keep(settings: ProxySettings, root: Path) -> int:
    """Keep one Envoy, whose files are below `root`, until it ends or this process is told to stop; Envoy's exit code."""
    place, clock = Place(root=root, pid=None), SystemClock()
    keeper = Keeper(f"{settings.namespace}/{settings.pod}", lambda: Sidecar(settings, place, clock), clock)
    certified = asyncio.Event()
    companion = asyncio.create_task(keeper.run(certified.set))
    try:
        await certified.wait()
        launch = keeper.launch()
        _write(launch, root)
        envoy = await asyncio.create_subprocess_exec(*launch.argv)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, lambda: asyncio.ensure_future(keeper.drain()))
        return await envoy.wait()
    finally:
        companion.cancel()
        with suppress(asyncio.CancelledError):
            async with asyncio.timeout(EXIT_SECONDS):
                await companion


def _write(launch: Launch, root: Path) -> None:
    for name, content in launch.files.items():
        path = rootfs.inside(root, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(content)
