"""What the server's side of a connection gives to its transport."""

from __future__ import annotations

import asyncio

from varka.rpc import server


class Transport(asyncio.Transport):
    """Keeps what is written; not closing."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take one piece."""
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        """Never."""
        return False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Nothing is limited."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        """No certificate."""
        return default


async def test_long_messages_are_written_in_pieces() -> None:
    """No single write is larger than the buffer that a TLS connection shall keep, and nothing is lost or changes its place."""
    ours = server.Server({}, largest_message=1 << 20)
    link, transport = server._Link(ours), Transport()
    link.connection_made(transport)
    transport.written.clear()
    data = bytes(range(256)) * 1024
    link._connection.outgoing = lambda: [b"first", data, b"last"]  # type: ignore[method-assign]
    link._flush()
    assert max(map(len, transport.written)) == server.WRITTEN_AT_ONCE
    assert len(transport.written) == 2 + len(data) // server.WRITTEN_AT_ONCE
    assert b"".join(transport.written) == b"first" + data + b"last"
    link.connection_lost(None)
