"""The node's two doors: connections that the relay brings in, connections that pods make to the outside.

Inward, the relay asks for `CONNECT address port`; the node connects in its own namespace and hands the connected socket over.
Outward, nftables sends every TCP connection to an outside address to one port of the node; the node reads where it was meant
to go (SO_ORIGINAL_DST) and hands it to the relay, which dials. The node moves no bytes itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import struct
from pathlib import Path

from varka.base.errors import VarkaError
from varka.cluster import handover, pump
from varka.cluster.network.dns import Resolve

log = logging.getLogger(__name__)
_SO_ORIGINAL_DST = 80
_CONNECT_PATIENCE = 10.0
_ACCEPT_PAUSE = 0.05


async def let_in(line: str, handles: list[int]) -> tuple[str, list[socket.socket]]:
    """Answer one request of the relay."""
    for number in handles:
        os.close(number)
    verb, address, port = line.split(" ")
    if verb != "CONNECT":
        raise VarkaError(f"unknown request {verb}")
    connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        async with asyncio.timeout(_CONNECT_PATIENCE):
            await asyncio.get_running_loop().sock_connect(connection, (address, int(port)))
    except BaseException:
        connection.close()
        raise
    return "", [connection]


async def serve_inward(listener: socket.socket) -> None:
    """Serve the relay until cancelled."""
    await handover.serve(listener, let_in)


def original_destination(connection: socket.socket) -> tuple[str, int]:
    """Where a connection was going before nftables sent it here."""
    raw = connection.getsockopt(socket.SOL_IP, _SO_ORIGINAL_DST, 16)
    port, address = struct.unpack("!2xH4s8x", raw)
    return socket.inet_ntoa(address), port


async def serve_outward(listener: socket.socket, relay: Path) -> None:
    """Hand pods' connections to the relay until cancelled."""
    listener.setblocking(False)
    own = listener.getsockname()
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError as error:
                log.warning("accept: %s", error)
                await asyncio.sleep(_ACCEPT_PAUSE)
                continue
            group.create_task(_hand_out(connection, own, relay))


async def _hand_out(connection: socket.socket, own: tuple[str, int], relay: Path) -> None:
    try:
        target = original_destination(connection)
        if target == own:
            raise VarkaError("a connection to the egress port itself leads nowhere")
        await handover.ask(relay, f"DIAL {target[0]} {target[1]}", [connection.fileno()], timeout=_CONNECT_PATIENCE + 2)
    except (OSError, TimeoutError, VarkaError) as error:
        log.debug("connection to the outside: %s", error)
        with contextlib.suppress(OSError):
            pump.reset(connection)
    else:
        connection.close()


def resolver(relay: Path) -> Resolve:
    """Outside names through the relay, as the name server asks for them."""

    async def resolve(name: str) -> list[str]:
        answer, _ = await handover.ask(relay, f"RESOLVE {name}", timeout=5)
        return answer.split()

    return resolve
