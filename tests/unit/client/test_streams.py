from __future__ import annotations

import json

import pytest
from aiohttp import WSMsgType, web
from tests.unit.client.test_http import served

from varka.base import spdy
from varka.client import streams
from varka.client.api import ApiError
from varka.client.connection import Connection
from varka.client.http import HttpApi


async def test_exec_gives_output_and_exit_code():
    """Output comes by channel, standard input goes out and ends, and the last Status gives the exit code."""
    got = []

    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.query.getall("command") == ["sh", "-c", "cat"]
        socket = web.WebSocketResponse(protocols=["v5.channel.k8s.io"])
        await socket.prepare(request)
        got.append((await socket.receive_bytes(), await socket.receive_bytes()))
        await socket.send_bytes(b"\x01out")
        await socket.send_bytes(b"\x02err")
        cause = {"reason": "ExitCode", "message": "3"}
        await socket.send_bytes(b"\x03" + json.dumps({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [cause]}}).encode())
        await socket.close()
        return socket

    async with served(handler) as url, HttpApi(Connection(server=url)) as api:
        stream = await streams.exec_in(api, "default", "a", ["sh", "-c", "cat"], stdin=True)
        await stream.write(b"in")
        await stream.close_stdin()
        assert [part async for part in stream.output()] == [(1, b"out"), (2, b"err")]
        assert stream.exit_code == 3
    assert got == [(b"\x00in", b"\xff\x00")]


async def test_a_command_that_cannot_run_is_an_error():
    """A Status without an exit code is raised."""
    with pytest.raises(ApiError, match="no such container"):
        streams.exit_code({"status": "Failure", "message": "no such container", "code": 400})


async def test_a_refused_upgrade_is_an_error():
    """A server that answers without switching protocols gives an ApiError with its code and its reason."""

    async def handler(request: web.Request) -> web.StreamResponse:
        return web.json_response({"kind": "Status", "status": "Failure", "reason": "Forbidden", "message": "not allowed", "code": 403}, status=403)

    async with served(handler) as url, HttpApi(Connection(server=url)) as api:
        with pytest.raises(ApiError) as caught:
            await streams.exec_in(api, "default", "a", ["true"])
    assert (caught.value.code, caught.value.reason, caught.value.message) == (403, "Forbidden", "not allowed")


async def test_port_forward_carries_connections():
    """Each connection is a pair of SPDY streams; what the pod sends comes back, and the error stream says why it ended."""

    async def handler(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=["SPDY/3.1+portforward.k8s.io"])
        await socket.prepare(request)
        codec, kinds = spdy.Codec(), {}
        async for message in socket:
            if message.type is not WSMsgType.BINARY:
                continue
            for frame in codec.feed(message.data):
                if frame.kind == spdy.SYN_STREAM:
                    kinds[frame.headers["streamtype"]] = frame.stream
                    assert frame.headers["port"] == "9080"
                    await socket.send_bytes(codec.syn_reply(frame.stream))
                elif frame.kind == spdy.DATA and frame.data:
                    await socket.send_bytes(codec.data(kinds["data"], frame.data.upper(), fin=True))
                    await socket.send_bytes(codec.data(kinds["error"], b"gone", fin=True))
        return socket

    async with served(handler) as url, HttpApi(Connection(server=url)) as api:
        forwarder = await streams.forward(api, "default", "a")
        connection = await forwarder.connect(9080)
        await connection.write(b"hello")
        assert await connection.read() == b"HELLO"
        assert await connection.read() == b""
        assert await connection.error() == "gone"
        await forwarder.close()
