"""Entry points: `python -m varka.agent --state DIR` for this machine, `… --dir DIR` outside of the cluster, `… proxy sidecar` in a container."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path

from varka.base import logs
from varka.base.errors import VarkaError

USAGE = "usage: python -m varka.agent --state DIR | --dir DIR | proxy sidecar|router [FLAGS] | istio-iptables [FLAGS]"


def main(arguments: list[str]) -> int:
    """The exit code: 0, 1 for a failure, 2 for wrong usage."""
    logs.setup()
    try:
        if arguments[:1] == ["--state"] and len(arguments) == 2:
            return asyncio.run(_node(Path(arguments[1])))
        if arguments[:1] == ["--dir"] and len(arguments) >= 2:
            from varka.agent import outside

            return asyncio.run(outside.run(Path(arguments[1]), arguments[2:]))
        if arguments[:1] == ["proxy"]:
            from varka.agent import container

            return asyncio.run(container.run(arguments[1:]))
        if arguments[:1] == ["istio-iptables"]:
            from varka.agent import redirect

            return redirect.main(arguments[1:])
    except VarkaError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(USAGE, file=sys.stderr)
    return 2


async def _node(state: Path) -> int:
    from varka.agent.node import NodeAgent

    serving = asyncio.create_task(NodeAgent(state).run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, serving.cancel)
    with suppress(asyncio.CancelledError):
        await serving
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
