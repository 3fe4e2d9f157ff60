"""Moving bytes between two connected sockets, both ways, until both sides have said all they had to say."""

from __future__ import annotations

import asyncio
import socket
from typing import cast


class _Side(asyncio.Protocol):
    """One of the two; writes what the other receives, and makes it wait when its own buffer is full.

    What arrives before the two sides know each other is kept: pausing a transport from `connection_made` is not reliable.
    """

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self.ended = False
        self.lost = asyncio.Event()
        self._early: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def meet(self, other: _Side) -> None:
        """Begin to write to `other`, with what has come so far."""
        self.other = other
        for data in self._early:
            self.data_received(data)
        self._early.clear()
        if self.ended:
            self._pass_end_on()

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early.append(data)
        elif self.other.transport and not self.other.transport.is_closing():
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other and self.other.transport and not self.other.ended:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other and self.other.transport and not self.other.ended:
            self.other.transport.resume_reading()

    def eof_received(self) -> bool:
        self.ended = True
        self._pass_end_on()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = True
        self.lost.set()
        if self.other:
            self._close_both()

    def _pass_end_on(self) -> None:
        other = self.other
        if other is None:
            return
        if other.transport and not other.transport.is_closing() and other.transport.can_write_eof():
            other.transport.write_eof()
        if other.ended or self.lost.is_set():
            self._close_both()

    def _close_both(self) -> None:
        for side in (self, self.other):
            if side and side.transport and not side.transport.is_closing():
                side.transport.close()


async def join(one: socket.socket, two: socket.socket) -> None:
    """Carry bytes between `one` and `two` and close both at the end."""
    loop = asyncio.get_running_loop()
    sides = (_Side(), _Side())
    made: list[asyncio.Transport] = []
    try:
        for side, handle in zip(sides, (one, two), strict=True):
            handle.setblocking(False)
            if handle.family == socket.AF_INET:
                handle.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.create_connection(lambda side=side: side, sock=handle)  # type: ignore[misc]
            made.append(transport)
        sides[0].meet(sides[1])
        sides[1].meet(sides[0])
        for side in sides:
            await side.lost.wait()
    finally:
        for transport in made:
            if not transport.is_closing():
                transport.abort()
        for handle in (one, two)[len(made) :]:
            handle.close()


def reset(handle: socket.socket) -> None:
    """Close a TCP connection so that the other side sees a reset, not an orderly end."""
    handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    handle.close()
