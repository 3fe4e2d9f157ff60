"""One-line requests over a UNIX socket, with open connections passed along (SCM_RIGHTS, unix(7)).

Relay and node live in different network namespaces. Instead of copying bytes twice, the side that can connect does so and
hands the connected socket to the other: the relay moves the bytes, and a node that is being restarted costs no connection.
A request is one line of text, the answer is one line: `OK …` or `ERR reason`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

from varka.base.errors import VarkaError

_LONGEST_LINE = 4 << 20
_MOST_HANDLES = 4

Handler = Callable[[str, list[int]], Awaitable[tuple[str, list[socket.socket]]]]
"""(request line, handles that came with it; the handler closes them) → (rest of the OK line, sockets to pass on; they are closed afterwards)."""


async def _ready(handle: socket.socket, *, write: bool = False) -> None:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if write else (loop.add_reader, loop.remove_reader)

    def wake() -> None:
        if not future.done():
            future.set_result(None)

    add(handle.fileno(), wake)
    try:
        await future
    finally:
        remove(handle.fileno())


async def _receive(handle: socket.socket) -> tuple[str, list[int]]:
    text = b""
    handles: list[int] = []
    while not text.endswith(b"\n"):
        try:
            data, received, _, _ = socket.recv_fds(handle, 65536, _MOST_HANDLES, socket.MSG_DONTWAIT)
        except BlockingIOError:
            await _ready(handle)
            continue
        handles.extend(received)
        if not data or len(text) > _LONGEST_LINE:
            for number in handles:
                os.close(number)
            raise ConnectionResetError("the other side ended in the middle of a line")
        text += data
    return text.decode().rstrip("\n"), handles


async def _send(handle: socket.socket, line: str, handles: list[int]) -> None:
    data = line.encode() + b"\n"
    while data:
        try:
            sent = socket.send_fds(handle, [data], handles) if handles else handle.send(data)
        except BlockingIOError:
            await _ready(handle, write=True)
            continue
        data, handles = data[sent:], []


async def ask(path: Path, line: str, handles: list[int] | None = None, *, timeout: float = 10.0) -> tuple[str, list[int]]:
    """Send one request; the answer without its `OK`, and the handles that came with it. VarkaError for `ERR`, OSError when nobody listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.setblocking(False)
        async with asyncio.timeout(timeout):
            await asyncio.get_running_loop().sock_connect(connection, str(path))
            await _send(connection, line, handles or [])
            answer, received = await _receive(connection)
    if not answer.startswith("OK"):
        raise VarkaError(answer.removeprefix("ERR "))
    return answer[2:].strip(), received


async def serve(listener: socket.socket, handler: Handler) -> None:
    """Answer requests on `listener` until cancelled, each in its own task."""
    listener.setblocking(False)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as group:
        while True:
            connection, _ = await loop.sock_accept(listener)
            group.create_task(_converse(connection, handler))


async def _converse(connection: socket.socket, handler: Handler) -> None:
    connection.setblocking(False)
    with contextlib.closing(connection), contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(10):
            line, handles = await _receive(connection)
        sockets: list[socket.socket] = []
        try:
            rest, sockets = await handler(line, handles)
            answer = f"OK {rest}"
        except (VarkaError, OSError, ValueError, TimeoutError) as error:
            answer = "ERR " + (str(error) or type(error).__name__).replace("\n", " ")
        try:
            async with asyncio.timeout(10):
                await _send(connection, answer, [one.fileno() for one in sockets])
        finally:
            for one in sockets:
                one.close()
