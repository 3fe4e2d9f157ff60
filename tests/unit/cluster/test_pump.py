from __future__ import annotations

import asyncio
import socket

import pytest
import uvloop

from varka.cluster import pump


async def _early(size: int) -> bytes:
    client, one = socket.socketpair()
    server, two = socket.socketpair()
    client.sendall(b"x" * size)
    client.shutdown(socket.SHUT_WR)
    server.sendall(b"answer")
    server.shutdown(socket.SHUT_WR)
    task = asyncio.create_task(pump.join(one, two))
    reader, writer = await asyncio.open_connection(sock=server)
    received = await reader.read()
    back, closer = await asyncio.open_connection(sock=client)
    assert await back.read() == b"answer"
    await task
    writer.close()
    closer.close()
    return received


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_what_was_sent_before_the_sides_met_arrives(loop: str) -> None:
    """A client that speaks first, before the other side is connected, loses nothing; with both event loops."""
    run = asyncio.run if loop == "asyncio" else uvloop.run
    for _ in range(20):
        assert run(_early(50_000)) == b"x" * 50_000
