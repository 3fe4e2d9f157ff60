"""`python -m bench.answers PORT`: an HTTP/1.1 server that gives every request the same small answer and does nothing else."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n"


class Answers(asyncio.Protocol):
    """One connection; requests without a body."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport
        self._end = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """As many answers as heads have ended."""
        seen = self._end + data
        self._transport.write(ANSWER * seen.count(b"\r\n\r\n"))
        self._end = seen.rpartition(b"\r\n\r\n")[2]


async def serve(port: int) -> None:
    """Until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Answers, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    import uvloop

    uvloop.run(serve(int(sys.argv[1])))
