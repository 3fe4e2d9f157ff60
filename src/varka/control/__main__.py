"""`python -m varka.control [discovery …]`: the control plane as a process, which is what istiod's container runs."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from varka.base import logs
from varka.base.errors import VarkaError
from varka.control import garbage
from varka.control import settings as control_settings


def main() -> int:
    """Run until SIGTERM; the exit code."""
    try:
        settings = control_settings.load(sys.argv[1:], os.environ)
    except VarkaError as error:
        print(f"istiod: {error}", file=sys.stderr)
        return 2
    logs.setup(settings.log_level)
    garbage.postpone()
    try:
        import uvloop

        uvloop.run(_serve(settings))
    except VarkaError as error:
        logging.getLogger("varka.control").error("%s", error)
        return 1
    return 0


async def _serve(settings: control_settings.Settings) -> None:
    from varka.client import kubeconfig
    from varka.client.http import HttpApi
    from varka.control.istiod import Istiod

    target = kubeconfig.load(path=settings.kubeconfig)
    async with HttpApi(target.connection, user_agent="istiod") as api:
        task = asyncio.create_task(Istiod(api, settings).run())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, task.cancel)
        try:
            await task
        except asyncio.CancelledError:
            logging.getLogger("varka.control").info("stopped")


if __name__ == "__main__":
    raise SystemExit(main())
