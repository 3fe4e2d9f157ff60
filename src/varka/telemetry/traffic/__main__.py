"""`python -m varka.telemetry.traffic PLAN`: run a plan (JSON) inside a pod; a line of JSON a second on standard output.

Ends with its plan, or when standard input ends: a client that goes away leaves nothing running.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading

import msgspec

from varka.telemetry.traffic.engine import Engine
from varka.telemetry.traffic.plan import Plan


def main() -> int:
    """Run; the exit code."""
    import uvloop

    try:
        plan = msgspec.json.decode(sys.argv[1].encode(), type=Plan)
    except (IndexError, msgspec.DecodeError) as error:
        print(f"give a plan as JSON: {error}", file=sys.stderr)
        return 2
    uvloop.run(_run(plan))
    return 0


async def _run(plan: Plan) -> None:
    engine = Engine(plan)
    threading.Thread(target=_wait_for_end, args=(asyncio.get_running_loop(), engine), daemon=True).start()
    async for interval in engine.run():
        sys.stdout.buffer.write(msgspec.json.encode(interval) + b"\n")
        sys.stdout.buffer.flush()


def _wait_for_end(loop: asyncio.AbstractEventLoop, engine: Engine) -> None:
    while os.read(sys.stdin.fileno(), 1024):
        continue
    try:
        loop.call_soon_threadsafe(engine.stop)
    except RuntimeError:
        return


if __name__ == "__main__":
    raise SystemExit(main())
