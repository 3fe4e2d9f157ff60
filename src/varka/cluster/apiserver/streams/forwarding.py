"""`pods/portforward`: connections to a pod's ports over one WebSocket.

Inside the WebSocket's binary messages runs SPDY/3.1 (subprotocol `SPDY/3.1+portforward.k8s.io`). For each connection
the client opens two streams with the same `requestid`: `error`, on which we may say why it failed, and `data`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from varka.base import spdy
from varka.base.errors import VarkaError
from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.podruntime import PodRuntime
from varka.cluster.apiserver.request import Attributes, ServerContext
from varka.cluster.apiserver.streams import containers

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
PIECE = 32 << 10
QUEUED = 32
"""Pieces from the client that wait for one slow connection before the whole WebSocket is held back."""
STALLED = 30.0
"""Seconds after which a connection that takes nothing is given up, so that it cannot hold back the others for ever."""
MAX_STREAMS = 1024


@dataclass(kw_only=True)
class _Pair:
    """The two streams of one connection; a queued None is the client's end of sending."""

    request: str
    port: int
    error: int = 0
    data: int = 0
    incoming: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(QUEUED))
    task: asyncio.Task[None] | None = None


async def serve(context: ServerContext, request: web.Request, attributes: Attributes, pod: Object) -> web.StreamResponse:
    """Answer `pods/portforward`."""
    runtime = containers.runtime_of(context)
    phase = (pod.get("status") or {}).get("phase", "")
    if phase != "Running":
        raise errors.bad_request(f"unable to forward port because pod is not running. Current status={phase}")
    socket = web.WebSocketResponse(protocols=(PROTOCOL,), max_msg_size=16 << 20, compress=False, timeout=5.0)
    if not socket.can_prepare(request).ok:
        raise errors.bad_request("Upgrade request required")
    await socket.prepare(request)
    await _Tunnel(socket, runtime, attributes.namespace, pod).run()
    return socket


class _Tunnel:
    """One client's connections."""

    def __init__(self, socket: web.WebSocketResponse, runtime: PodRuntime, namespace: str, pod: Object) -> None:
        self._socket = socket
        self._runtime = runtime
        self._namespace = namespace
        self._pod = pod
        self._codec = spdy.Codec()
        self._sending = asyncio.Lock()
        self._pairs: dict[str, _Pair] = {}
        self._streams: dict[int, _Pair] = {}

    async def run(self) -> None:
        """Serve until the client goes; then every connection ends."""
        async with asyncio.TaskGroup() as group:
            try:
                async for message in self._socket:
                    if message.type is not WSMsgType.BINARY:
                        break
                    for frame in self._codec.feed(message.data):
                        await self._take(frame, group)
            except (ValueError, ConnectionError):
                pass
            finally:
                for pair in self._pairs.values():
                    if pair.task is not None:
                        pair.task.cancel()
        with suppress(ConnectionError):
            await self._socket.close()

    async def _take(self, frame: spdy.Frame, group: asyncio.TaskGroup) -> None:
        if frame.kind == spdy.SYN_STREAM:
            await self._open(frame, group)
        elif frame.kind == spdy.DATA:
            pair = self._streams.get(frame.stream)
            if pair is not None and frame.stream == pair.data:
                await self._enqueue(pair, frame)
        elif frame.kind == spdy.RST_STREAM:
            pair = self._streams.get(frame.stream)
            if pair is not None and frame.stream == pair.data and pair.task is not None:
                pair.task.cancel()
        elif frame.kind == spdy.PING and int.from_bytes(frame.data[:4]) % 2 == 1:
            await self._send(self._codec.ping(frame.data))

    async def _enqueue(self, pair: _Pair, frame: spdy.Frame) -> None:
        try:
            async with asyncio.timeout(STALLED):
                if frame.data:
                    await pair.incoming.put(frame.data)
                if frame.fin:
                    await pair.incoming.put(None)
        except TimeoutError:
            if pair.task is not None:
                pair.task.cancel()

    async def _open(self, frame: spdy.Frame, group: asyncio.TaskGroup) -> None:
        headers = frame.headers
        port, request = headers.get("port", ""), headers.get("requestid", "")
        kind = headers.get("streamtype", "")
        if not port.isdigit() or not 0 < int(port) < 65536 or kind not in ("error", "data") or len(self._streams) >= MAX_STREAMS:
            await self._send(self._codec.rst_stream(frame.stream, 3))
            return
        pair = self._pairs.setdefault(request, _Pair(request=request, port=int(port)))
        if getattr(pair, kind):
            await self._send(self._codec.rst_stream(frame.stream, 1))
            return
        setattr(pair, kind, frame.stream)
        self._streams[frame.stream] = pair
        async with self._sending:
            await self._socket.send_bytes(self._codec.syn_reply(frame.stream))
        if pair.error and pair.data:
            pair.task = group.create_task(self._carry(pair), name=f"port-forward {pair.port}")

    async def _carry(self, pair: _Pair) -> None:
        """One connection from its opening to its end."""
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await self._runtime.port_forward(self._namespace, self._pod["metadata"]["name"], pair.port)
            sending = asyncio.create_task(_to_pod(pair.incoming, writer))
            try:
                while piece := await reader.read(PIECE):
                    await self._send(self._codec.data(pair.data, piece))
            except OSError:
                await self._send(self._codec.rst_stream(pair.data))
            finally:
                sending.cancel()
                with suppress(asyncio.CancelledError, OSError):
                    await sending
        except (ApiError, VarkaError, OSError) as error:
            with suppress(ConnectionError):
                await self._send(self._codec.data(pair.error, self._failure(pair.port, error).encode()))
        finally:
            if writer is not None:
                writer.close()
            self._pairs.pop(pair.request, None)
            self._streams.pop(pair.error, None)
            self._streams.pop(pair.data, None)
            _drain(pair.incoming)
            if not self._socket.closed:
                with suppress(ConnectionError):
                    await self._send(self._codec.data(pair.data, b"", fin=True))
                    await self._send(self._codec.data(pair.error, b"", fin=True))

    def _failure(self, port: int, error: Exception) -> str:
        uid = self._pod["metadata"].get("uid", "")
        text = getattr(error, "message", "") or _errno_text(error, port)
        return f"error forwarding port {port} to pod {self._pod['metadata']['name']}, uid {uid}: {text}"

    async def _send(self, frame: bytes) -> None:
        async with self._sending:
            if not self._socket.closed:
                await self._socket.send_bytes(frame)


async def _to_pod(incoming: asyncio.Queue[bytes | None], writer: asyncio.StreamWriter) -> None:
    while (piece := await incoming.get()) is not None:
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


def _drain(queue: asyncio.Queue[bytes | None]) -> None:
    while not queue.empty():
        queue.get_nowait()


def _errno_text(error: Exception, port: int) -> str:
    if isinstance(error, ConnectionRefusedError):
        return f"failed to connect to localhost:{port} inside the pod: dial tcp 127.0.0.1:{port}: connect: connection refused"
    return str(error)
