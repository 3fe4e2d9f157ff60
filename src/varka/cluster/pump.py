"""Moving bytes between two connected sockets, both ways, until both sides have said all they had to say."""

from __future__ import annotations

import asyncio
import socket
from typing import cast


class _Side(asyncio.Protocol):
    """One of the two; writes what the other receives, and makes it wait when its own buffer is full."""

    def __init__(self, finished: asyncio.Event) -> None:
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self.ended = False
        self._finished = finished

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        if self.other and self.other.transport:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other and self.other.transport and not self.other.ended:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other and self.other.transport and not self.other.ended:
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        self.ended = True
        other = self.other
        if other and other.transport and not other.transport.is_closing():
            if other.transport.can_write_eof():
                other.transport.write_eof()
            if other.ended:
                self._close_both()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self._close_both()
        self._finished.set()

    def _close_both(self) -> None:
        for side in (self, self.other):
            if side and side.transport and not side.transport.is_closing():
                side.transport.close()


async def join(one: socket.socket, two: socket.socket) -> None:
    """Carry bytes between `one` and `two` and close both at the end."""
    loop = asyncio.get_running_loop()
    over = (asyncio.Event(), asyncio.Event())
    sides = (_Side(over[0]), _Side(over[1]))
    made: list[asyncio.Transport] = []
    try:
        for side, handle in zip(sides, (one, two), strict=True):
            handle.setblocking(False)
            if handle.family == socket.AF_INET:
                handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.create_connection(lambda side=side: side, sock=handle)  # type: ignore[misc]
            made.append(transport)
        sides[0].other, sides[1].other = sides[1], sides[0]
        for transport in made:
            if not transport.is_closing():
                transport.resume_reading()
        await over[0].wait()
        await over[1].wait()
    finally:
        for transport in made:
            if not transport.is_closing():
                transport.abort()
        if len(made) < 2:
            two.close()
        if not made:
            one.close()


def reset(handle: socket.socket) -> None:
    """Close a TCP connection so that the other side sees a reset, not an orderly end."""
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handle.close()
