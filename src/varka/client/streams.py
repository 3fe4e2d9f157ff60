"""Commands and connections inside pods: `exec` and `port-forward` over WebSocket.

`exec` speaks `v5.channel.k8s.io`: each binary message begins with its channel (0 stdin, 1 stdout, 2 stderr, 3 a Status, 4 the terminal's
size, 255 the end of the channel that follows). `port-forward` carries SPDY/3.1 frames inside the messages, a pair of
streams (error and data) for every connection.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from varka.base import spdy
from varka.client.api import ApiError
from varka.client.http import HttpApi

STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
EXEC_PROTOCOL = "v5.channel.k8s.io"
FORWARD_PROTOCOL = "SPDY/3.1+portforward.k8s.io"


async def exec_in(api: HttpApi, namespace: str, pod: str, command: list[str], *, container: str = "", stdin: bool = False, tty: bool = False) -> ExecStream:
    """Run `command` in a container (the pod's first or default one when not named)."""
    params = [("command", part) for part in command]
    params += [("stdout", "true"), ("stdin", "true" if stdin else "false"), ("stderr", "false" if tty else "true"), ("tty", "true" if tty else "false")]
    if container:
        params.append(("container", container))
    return ExecStream(await api.websocket(f"/api/v1/namespaces/{namespace}/pods/{pod}/exec", params, EXEC_PROTOCOL))


class ExecStream:
    """A running command: read `output` to its end, then ask for `exit_code`."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.exit_code = 0

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """(channel, bytes) until the command ends; ApiError when it could not be run at all."""
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
                continue
            channel, data = message.data[0], message.data[1:]
            if channel == STATUS:
                self.exit_code = exit_code(msgspec.json.decode(data))
            elif channel in (STDOUT, STDERR) and data:
                yield channel, data

    async def write(self, data: bytes) -> None:
        """Send `data` to the command's standard input."""
        await self._socket.send_bytes(bytes([STDIN]) + data)

    async def close_stdin(self) -> None:
        """The command's standard input ends."""
        await self._socket.send_bytes(bytes([CLOSE, STDIN]))

    async def resize(self, width: int, height: int) -> None:
        """The terminal's size in characters."""
        await self._socket.send_bytes(bytes([RESIZE]) + msgspec.json.encode({"Width": width, "Height": height}))

    async def close(self) -> None:
        """Hang up."""
        await self._socket.close()


async def run(api: HttpApi, namespace: str, pod: str, command: list[str], *, container: str = "", timeout: float = 30.0) -> tuple[int, bytes, bytes]:
    """Run `command` to its end: exit code, standard output, standard error."""
    collected = {STDOUT: bytearray(), STDERR: bytearray()}
    async with asyncio.timeout(timeout):
        stream = await exec_in(api, namespace, pod, command, container=container)
        try:
            async for channel, data in stream.output():
                collected[channel] += data
        finally:
            await stream.close()
    return stream.exit_code, bytes(collected[STDOUT]), bytes(collected[STDERR])


def exit_code(status: dict[str, Any]) -> int:
    """The exit code in the Status that ends an exec; ApiError when the command was not run."""
    if status.get("status") == "Success":
        return 0
    for cause in (status.get("details") or {}).get("causes") or []:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"])
    raise ApiError(status.get("code", 500), status.get("reason", ""), status.get("message") or "the command could not be run", status.get("details"))


async def forward(api: HttpApi, namespace: str, pod: str) -> Forwarder:
    """Open the way to a pod's ports; close it with `close`."""
    socket = await api.websocket(f"/api/v1/namespaces/{namespace}/pods/{pod}/portforward", [], FORWARD_PROTOCOL)
    return Forwarder(socket)


class Forwarder:
    """One port-forward session, over which any number of connections to any of the pod's ports may run."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._codec = spdy.Codec()
        self._streams: dict[int, asyncio.Queue[bytes | None]] = {}
        self._numbers = itertools.count(1, 2)
        self._requests = itertools.count()
        self._reader = asyncio.create_task(self._read(), name="port-forward")

    async def connect(self, port: int) -> ForwardedConnection:
        """A connection to `port` on the pod's loopback."""
        request = str(next(self._requests))
        errors, data = next(self._numbers), next(self._numbers)
        for number in (errors, data):
            self._streams[number] = asyncio.Queue(maxsize=256)
        headers = {"port": str(port), "requestid": request}
        await self._socket.send_bytes(self._codec.syn_stream(errors, {"streamtype": "error", **headers}, fin=True))
        await self._socket.send_bytes(self._codec.syn_stream(data, {"streamtype": "data", **headers}))
        return ForwardedConnection(self, data, errors)

    async def send(self, stream: int, data: bytes, *, fin: bool = False) -> None:
        """Send `data` on a stream."""
        await self._socket.send_bytes(self._codec.data(stream, data, fin=fin))

    async def receive(self, stream: int) -> bytes | None:
        """The next bytes of a stream, None at its end."""
        queue = self._streams.get(stream)
        return await queue.get() if queue is not None else None

    def release(self, *streams: int) -> None:
        """Forget streams; what still arrives on them is dropped."""
        for stream in streams:
            self._streams.pop(stream, None)

    async def close(self) -> None:
        """Hang up; every connection ends."""
        self._reader.cancel()
        await self._socket.close()

    async def _read(self) -> None:
        try:
            async for message in self._socket:
                if message.type is not aiohttp.WSMsgType.BINARY:
                    continue
                for frame in self._codec.feed(message.data):
                    await self._frame(frame)
        finally:
            for queue in self._streams.values():
                _end(queue)

    async def _frame(self, frame: spdy.Frame) -> None:
        if frame.kind == spdy.PING:
            await self._socket.send_bytes(self._codec.ping(frame.data))
            return
        queue = self._streams.get(frame.stream)
        if queue is None:
            return
        if frame.kind == spdy.DATA and frame.data:
            await queue.put(frame.data)
        if frame.fin or frame.kind == spdy.RST_STREAM:
            await queue.put(None)


def _end(queue: asyncio.Queue[bytes | None]) -> None:
    if queue.full():
        queue.get_nowait()
    queue.put_nowait(None)


class ForwardedConnection:
    """One connection to a port of a pod."""

    def __init__(self, forwarder: Forwarder, data: int, errors: int) -> None:
        self._forwarder = forwarder
        self._data = data
        self._errors = errors

    async def write(self, data: bytes) -> None:
        """Send to the pod."""
        await self._forwarder.send(self._data, data)

    async def write_eof(self) -> None:
        """Nothing more will be sent."""
        await self._forwarder.send(self._data, b"", fin=True)

    async def read(self) -> bytes:
        """What the pod sent next; empty at the end."""
        return await self._forwarder.receive(self._data) or b""

    async def error(self) -> str:
        """Why the connection ended, empty when nothing went wrong; waits for the server to say so."""
        parts = []
        while (part := await self._forwarder.receive(self._errors)) is not None:
            parts.append(part)
        return b"".join(parts).decode(errors="replace")

    def close(self) -> None:
        """Forget the connection."""
        self._forwarder.release(self._data, self._errors)
