"""When the control plane looks for unreachable objects: between pushes.

What a mesh is made of lives long and hardly ever refers back to itself. Python would walk all of it whenever it has grown by a
quarter, which takes 0.15 s at 1,000 services and 200 proxies and mostly happens while a push is on its way.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

from varka.base.clock import Clock

YOUNG = 20_000
"""New objects between two looks at the young ones, which take milliseconds."""
PERIOD_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
"""A proxy that never answers keeps a push open; it does not keep the garbage."""
_NEVER = 1_000_000_000


def postpone() -> None:
    """Leave whole collections of this process to `run`."""
    gc.set_threshold(YOUNG, 50, _NEVER)


async def run(quiet: Callable[[], bool], clock: Clock) -> None:
    """Collect once a minute, at a moment when `quiet` says that no proxy waits, and only if there is anything new."""
    while True:
        await clock.sleep(PERIOD_SECONDS)
        until = clock.monotonic() + PATIENCE_SECONDS
        while not quiet() and clock.monotonic() < until:
            await clock.sleep(0.5)
        if any(gc.get_count()[1:]):
            gc.collect()
