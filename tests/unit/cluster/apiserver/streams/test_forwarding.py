"""`pods/portforward`: SPDY streams inside a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import ClientWebSocketResponse
from tests.builders import streamserver
from tests.fakes.podruntime import FakePodRuntime

from varka.base import spdy

PATH = "/api/v1/namespaces/shop/pods/web-1/portforward"


class Client:
    """One end of the tunnel, as kubectl is it."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self.socket = socket
        self.codec = spdy.Codec()
        self.replies: set[int] = set()
        self.received: dict[int, bytes] = {}
        self.ended: set[int] = set()

    async def open(self, request: int, port: int) -> int:
        """Open a connection's two streams; the number of the data stream."""
        error, data = 4 * request + 1, 4 * request + 3
        for stream, kind in ((error, "error"), (data, "data")):
            headers = {"streamtype": kind, "port": str(port), "requestid": str(request)}
            await self.socket.send_bytes(self.codec.syn_stream(stream, headers))
        await self.socket.send_bytes(self.codec.data(error, b"", fin=True))
        return data

    async def until_ended(self, *streams: int) -> None:
        """Take messages until these streams have ended."""
        async with asyncio.timeout(5):
            while not set(streams) <= self.ended:
                message = await self.socket.receive_bytes()
                for frame in self.codec.feed(message):
                    if frame.kind == spdy.SYN_REPLY:
                        self.replies.add(frame.stream)
                    elif frame.kind == spdy.DATA:
                        self.received[frame.stream] = self.received.get(frame.stream, b"") + frame.data
                        if frame.fin:
                            self.ended.add(frame.stream)


@pytest.fixture
async def runtime() -> AsyncIterator[FakePodRuntime]:
    """A runtime whose port 80 answers with what it was sent, backwards, when that has ended."""
    made = FakePodRuntime()

    async def backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write((await reader.read())[::-1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(backwards, "127.0.0.1", 0)
    async with server:
        made.ports[80] = server.sockets[0].getsockname()[1]
        yield made


async def connect(client: Any) -> Client:
    """A tunnel to the handler."""
    socket = await client.ws_connect(PATH, protocols=("SPDY/3.1+portforward.k8s.io",))
    assert socket.protocol == "SPDY/3.1+portforward.k8s.io"
    return Client(socket)


async def test_two_connections(runtime: FakePodRuntime) -> None:
    """Connections are independent; each ends with the end of both of its streams."""
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        tunnel = await connect(client)
        first, second = await tunnel.open(0, 80), await tunnel.open(1, 80)
        big = bytes(range(256)) * 2000
        await tunnel.socket.send_bytes(tunnel.codec.data(second, big, fin=True))
        await tunnel.until_ended(second, 5)
        await tunnel.socket.send_bytes(tunnel.codec.data(first, b"abc"))
        await tunnel.socket.send_bytes(tunnel.codec.data(first, b"d", fin=True))
        await tunnel.until_ended(first, 1)
        await tunnel.socket.close()
    assert tunnel.received[second] == big[::-1]
    assert tunnel.received[first] == b"dcba"
    assert tunnel.received[1] == b""
    assert tunnel.replies == {1, 3, 5, 7}


async def test_refused(runtime: FakePodRuntime) -> None:
    """A port on which nobody listens is told on the error stream, and the tunnel stays."""
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        tunnel = await connect(client)
        await tunnel.open(0, 81)
        await tunnel.until_ended(1, 3)
        data = await tunnel.open(1, 80)
        await tunnel.socket.send_bytes(tunnel.codec.data(data, b"ok", fin=True))
        await tunnel.until_ended(data)
        await tunnel.socket.close()
    text = "failed to connect to localhost:81 inside the pod: dial tcp 127.0.0.1:81: connect: connection refused"
    assert tunnel.received[1].decode() == f"error forwarding port 81 to pod web-1, uid u-1: {text}"
    assert tunnel.received[data] == b"ko"


async def test_ping(runtime: FakePodRuntime) -> None:
    """A ping is answered with itself."""
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        tunnel = await connect(client)
        await tunnel.socket.send_bytes(tunnel.codec.ping(b"\x00\x00\x00\x01"))
        async with asyncio.timeout(5):
            [frame] = tunnel.codec.feed(await tunnel.socket.receive_bytes())
        assert (frame.kind, frame.data) == (spdy.PING, b"\x00\x00\x00\x01")
        await tunnel.socket.close()


async def test_pod_is_not_running(runtime: FakePodRuntime) -> None:
    """A pod that does not run cannot be forwarded to."""
    pod = streamserver.pod()
    pod["status"]["phase"] = "Pending"
    async with streamserver.serving(runtime, pod) as client:
        answer = await client.get(PATH)
        message = (await answer.json())["message"]
    assert (answer.status, message) == (400, "unable to forward port because pod is not running. Current status=Pending")


async def test_client_goes(runtime: FakePodRuntime) -> None:
    """When the client goes, its connections to the pod end."""
    arrived, gone = asyncio.Event(), asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        arrived.set()
        await reader.read()
        gone.set()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    async with server:
        runtime.ports[82] = server.sockets[0].getsockname()[1]
        async with streamserver.serving(runtime, streamserver.pod()) as client:
            tunnel = await connect(client)
            data = await tunnel.open(0, 82)
            await tunnel.socket.send_bytes(tunnel.codec.data(data, b"x"))
            async with asyncio.timeout(5):
                await arrived.wait()
                await tunnel.socket.close()
                await gone.wait()
