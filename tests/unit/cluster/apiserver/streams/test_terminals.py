"""`pods/exec` and `pods/attach` over a WebSocket."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from aiohttp import ClientWebSocketResponse
from tests.builders import streamserver
from tests.fakes.podruntime import FakePodRuntime

from varka.client.api import ApiError
from varka.cluster.apiserver.streams import terminals

EXEC = "/api/v1/namespaces/shop/pods/web-1/exec"


async def connect(client: Any, query: str, *, subresource: str = "exec", protocols: tuple[str, ...] = ("v5.channel.k8s.io",)) -> ClientWebSocketResponse:
    """A WebSocket to the handler."""
    socket: ClientWebSocketResponse = await client.ws_connect(f"/api/v1/namespaces/shop/pods/web-1/{subresource}?container=app&{query}", protocols=protocols)
    return socket


async def everything(socket: ClientWebSocketResponse) -> list[bytes]:
    """All messages until the server closes."""
    async with asyncio.timeout(5):
        return [message.data async for message in socket]


async def test_output_and_success() -> None:
    """Output comes on its channels, then the Status of success, then the end."""
    runtime = FakePodRuntime()
    for piece in ((1, b"out"), (2, b"err")):
        runtime.session.out.put_nowait(piece)
    runtime.session.end()
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        socket = await connect(client, "command=ls&command=-l&stdout=true&stderr=true")
        assert socket.protocol == "v5.channel.k8s.io"
        *output, status = await everything(socket)
    assert output == [b"\x01out", b"\x02err"]
    assert (status[0], json.loads(status[1:])) == (3, {"metadata": {}, "status": "Success"})
    assert runtime.started == [("shop", "web-1", "app", "ls", "-l")]
    assert runtime.session.closed.is_set()


async def test_exit_code() -> None:
    """An exit code is told as a cause of the Status."""
    runtime = FakePodRuntime()
    runtime.session.end(7)
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        [status] = await everything(await connect(client, "command=false&stdout=true"))
    assert json.loads(status[1:])["reason"] == "NonZeroExitCode"
    assert json.loads(status[1:])["details"] == {"causes": [{"reason": "ExitCode", "message": "7"}]}


async def test_stdin_and_its_end() -> None:
    """What the client sends on channel 0 is written, and 255 0 is the end of it."""
    runtime = FakePodRuntime()
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        socket = await connect(client, "command=cat&stdin=true&stdout=true")
        await socket.send_bytes(b"\x00ab")
        await socket.send_bytes(b"\x00c")
        await socket.send_bytes(b"\xff\x00")
        async with asyncio.timeout(5):
            await runtime.session.stdin_closed.wait()
        assert runtime.session.written == b"abc"
        runtime.session.end()
        assert len(await everything(socket)) == 1


async def test_terminal() -> None:
    """A terminal has sizes and no stderr."""
    runtime = FakePodRuntime()
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        socket = await connect(client, "command=sh&stdin=true&stdout=true&stderr=true&tty=true")
        await socket.send_bytes(b'\x04{"Width":80,"Height":24}\n')
        await socket.send_bytes(b'\x04{"Width":0,"Height":0}\n')
        await socket.send_bytes(b"\xff\x00")
        async with asyncio.timeout(5):
            await runtime.session.stdin_closed.wait()
        runtime.session.out.put_nowait((2, b"never"))
        runtime.session.end()
        assert len(await everything(socket)) == 1
    assert runtime.session.sizes == [(80, 24)]


async def test_client_goes() -> None:
    """When the client goes the session is closed."""
    runtime = FakePodRuntime()
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        socket = await connect(client, "command=sleep&stdout=true")
        await socket.close()
        async with asyncio.timeout(5):
            await runtime.session.closed.wait()


async def test_runtime_refuses() -> None:
    """What the runtime refuses arrives as a Status on channel 3, in Kubernetes' words."""
    runtime = FakePodRuntime()
    runtime.failure = ApiError(404, "NotFound", 'container not found ("app")')
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        [status] = await everything(await connect(client, "command=ls&stdout=true"))
    told = json.loads(status[1:])
    assert (told["code"], told["message"]) == (500, 'Internal error occurred: unable to upgrade connection: container not found ("app")')


async def test_attach_of_version_four() -> None:
    """Attach speaks the older subprotocol too, and runs no command."""
    runtime = FakePodRuntime()
    runtime.session.out.put_nowait((1, b"x"))
    runtime.session.end(137)
    async with streamserver.serving(runtime, streamserver.pod()) as client:
        socket = await connect(client, "stdout=true", subresource="attach", protocols=("v4.channel.k8s.io",))
        assert socket.protocol == "v4.channel.k8s.io"
        output, status = await everything(socket)
    assert output == b"\x01x"
    assert json.loads(status[1:])["details"]["causes"][0]["message"] == "137"
    assert runtime.started == [("shop", "web-1", "app")]


async def test_refusals_before_the_upgrade() -> None:
    """A request without command, streams or upgrade gets a Status over HTTP."""
    async with streamserver.serving(FakePodRuntime(), streamserver.pod()) as client:
        for query, message in (
            ("container=app&stdout=true", "you must specify at least one command for the container"),
            ("container=app&command=ls", "you must specify at least 1 of stdin, stdout, stderr"),
            ("container=app&command=ls&stdout=true", "Upgrade request required"),
        ):
            answer = await client.get(f"{EXEC}?{query}")
            assert (answer.status, (await answer.json())["message"]) == (400, message)


def test_status_texts() -> None:
    """The Status of a failed command names the command."""
    status = terminals.exit_status(2, ["ls", "/x"])
    assert status["message"] == "command terminated with non-zero exit code: error executing command [ls /x], exit code 2"
