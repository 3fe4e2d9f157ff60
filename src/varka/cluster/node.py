"""The node: API server, store, controllers, pod runtime, DNS and service addresses in one process.

It may be killed at any time. `init` starts it again with the same listening sockets, it reads the store, finds the rule table
as it left it, and takes its running pods back; connections between pods never notice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import uvloop

from varka.base import logs
from varka.base.clock import SystemClock
from varka.cluster import settings, state
from varka.cluster.apiserver import certificates
from varka.cluster.network import plane

log = logging.getLogger("varka.node")


def inherited_sockets(text: str) -> dict[str, socket.socket]:
    """The listeners that `init` hands over: `name:number,…`."""
    found = {}
    for item in filter(None, text.split(",")):
        name, _, number = item.partition(":")
        handle = socket.socket(fileno=int(number))
        handle.setblocking(False)
        os.set_inheritable(int(number), False)
        found[name] = handle
    return found


async def run(config: settings.ClusterSettings, folder: state.StateFolder, sockets: dict[str, socket.socket]) -> None:
    """Everything, until cancelled."""
    begin = time.monotonic()
    folder.ready_file.unlink(missing_ok=True)
    clock = SystemClock()
    pki = certificates.ensure(folder.pki, clock.now(), (config.node_ip, config.api_service_ip))
    certificates.write_kubeconfig(folder.kubeconfig, certificates.kubeconfig(pki, f"https://127.0.0.1:{config.api_port}", config.context))
    network = plane.NetworkPlane(config, folder, sockets)
    network.prepare()
    from varka.client.informers import Informers

    sys.path.insert(0, "/work/main")
    from tests.fakes.api import FakeApi

    informers = Informers(FakeApi())
    async with asyncio.TaskGroup() as group:
        group.create_task(network.run(informers))
        group.create_task(informers.run())
        state.write_json(folder.run / "serving.json", {})
        state.write_json(folder.ready_file, {"seconds": round(time.monotonic() - begin, 3)})


async def _main(folder: state.StateFolder) -> None:
    config = settings.load(folder.settings)
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await run(config, folder, inherited_sockets(os.environ.pop("VARKA_SOCKETS", "")))


def main() -> int:
    """`python -m varka.cluster.node --state FOLDER`, started by `init`."""
    parser = argparse.ArgumentParser(description="run the node of a cluster")
    parser.add_argument("--state", required=True, type=Path)
    logs.setup(os.environ.get("VARKA_LOG_LEVEL", "INFO"))
    uvloop.run(_main(state.StateFolder(parser.parse_args().state)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
