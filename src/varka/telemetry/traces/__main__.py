"""`python -m varka.telemetry.traces`: the trace store as a process, which is what the image of Jaeger stands for."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys

from varka.base import logs
from varka.base.errors import VarkaError
from varka.telemetry.traces import settings as trace_settings


def main() -> int:
    """Run until SIGTERM; the exit code."""
    import uvloop

    try:
        settings = trace_settings.load(os.environ)
        logs.setup(settings.log_level)
        uvloop.run(serve(settings))
    except VarkaError as error:
        print(f"jaeger: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(settings: trace_settings.Settings) -> None:
    """Collect and answer until a signal comes; what was accepted is written before the end."""
    from varka.telemetry.traces.collector import Collector
    from varka.telemetry.traces.intake import Intake
    from varka.telemetry.traces.query_server import QueryServer
    from varka.telemetry.traces.reading import Reader
    from varka.telemetry.traces.store import Store

    store = Store(settings.folder / "traces.db")
    intake = Intake(store, settings)
    collector, query = Collector(intake, settings), QueryServer(Reader(store.path), intake, settings)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    intake.start()
    try:
        try:
            await query.start()
            await collector.start()
        except (OSError, RuntimeError) as error:
            raise VarkaError(f"a port cannot be opened: {error}", "is another collector running here?") from error
        logging.getLogger("varka.traces").info("collecting spans into %s", store.path)
        await stopping.wait()
    finally:
        await collector.stop()
        await query.stop()
        await asyncio.to_thread(intake.stop)
        store.close()


if __name__ == "__main__":
    raise SystemExit(main())
