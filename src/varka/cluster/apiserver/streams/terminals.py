"""`pods/exec` and `pods/attach`: a process's standard streams over a WebSocket.

Subprotocol `v5.channel.k8s.io` (and v4, which cannot say that stdin has ended): every binary message starts with a
channel byte: 0 stdin, 1 stdout, 2 stderr, 3 the final Status, 4 terminal size, 255 the end of the channel in the next byte.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress

from aiohttp import WSMsgType, web

from varka.base.errors import VarkaError
from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.podruntime import ExecSession
from varka.cluster.apiserver.request import Attributes, ServerContext
from varka.cluster.apiserver.streams import containers

PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io")
STDIN, STDOUT, STDERR, STATUS, RESIZE, CLOSE = 0, 1, 2, 3, 4, 255
MAX_MESSAGE = 16 << 20
CLOSE_WAIT = 5.0
"""Seconds that the client has to answer our closing."""


async def serve_exec(context: ServerContext, request: web.Request, attributes: Attributes, pod: Object) -> web.StreamResponse:
    """Answer `pods/exec`: run a command in a container."""
    command = request.query.getall("command", [])
    if not command:
        raise errors.bad_request("you must specify at least one command for the container")
    runtime = containers.runtime_of(context)
    container = containers.choose(pod, request.query.get("container", ""))
    containers.check_running(pod)
    wanted = _Wanted(request)

    def start() -> Awaitable[ExecSession]:
        return runtime.exec(attributes.namespace, pod["metadata"]["name"], container, command, stdin=wanted.stdin, tty=wanted.tty)

    return await _serve(request, wanted, start, command)


async def serve_attach(context: ServerContext, request: web.Request, attributes: Attributes, pod: Object) -> web.StreamResponse:
    """Answer `pods/attach`: join a container's own process."""
    runtime = containers.runtime_of(context)
    container = containers.choose(pod, request.query.get("container", ""))
    if not any(each["name"] == container and each.get("stdin") for each in pod["spec"]["containers"]):
        # `kubectl run -i` attaches to a container that may be done already; a refusal would make it print the log twice.
        containers.check_running(pod)
    wanted = _Wanted(request)

    def start() -> Awaitable[ExecSession]:
        return runtime.attach(attributes.namespace, pod["metadata"]["name"], container, stdin=wanted.stdin, tty=wanted.tty)

    return await _serve(request, wanted, start, None)


class _Wanted:
    """Which streams the query asks for."""

    def __init__(self, request: web.Request) -> None:
        query = request.query
        self.stdin, self.stdout, self.tty = (containers.flag(query.get(name)) for name in ("stdin", "stdout", "tty"))
        self.stderr = containers.flag(query.get("stderr")) and not self.tty
        if not (self.stdin or self.stdout or self.stderr):
            raise errors.bad_request("you must specify at least 1 of stdin, stdout, stderr")


async def _serve(request: web.Request, wanted: _Wanted, start: Callable[[], Awaitable[ExecSession]], command: list[str] | None) -> web.StreamResponse:
    socket = web.WebSocketResponse(protocols=PROTOCOLS, max_msg_size=MAX_MESSAGE, compress=False, timeout=CLOSE_WAIT)
    if not socket.can_prepare(request).ok:
        raise errors.bad_request("Upgrade request required")
    await socket.prepare(request)
    try:
        try:
            session = await start()
        except ApiError as error:
            await _finish(socket, errors.internal(f"unable to upgrade connection: {error.message}").status)
            return socket
        try:
            status = await _carry(socket, session, wanted, command)
        finally:
            await session.close()
        if status is not None:
            await _finish(socket, status)
    except (ConnectionError, VarkaError) as error:
        if not socket.closed:
            with suppress(ConnectionError):
                await _finish(socket, errors.internal(str(error)).status)
    return socket


async def _carry(socket: web.WebSocketResponse, session: ExecSession, wanted: _Wanted, command: list[str] | None) -> Object | None:
    """Carry both directions until the process ends (its Status) or the client goes (None)."""
    reading = asyncio.create_task(_to_process(socket, session, wanted), name="stdin")
    running = asyncio.create_task(_to_client(socket, session, wanted), name="output")
    try:
        await asyncio.wait([reading, running], return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            return None
        return exit_status(running.result(), command)
    finally:
        for task in (reading, running):
            task.cancel()
        await asyncio.gather(reading, running, return_exceptions=True)


async def _to_client(socket: web.WebSocketResponse, session: ExecSession, wanted: _Wanted) -> int:
    shown = {STDOUT: wanted.stdout, STDERR: wanted.stderr}
    async for channel, data in session.output():
        if shown.get(channel):
            await socket.send_bytes(bytes((channel,)) + data)
    return await session.wait()


async def _to_process(socket: web.WebSocketResponse, session: ExecSession, wanted: _Wanted) -> None:
    """Take messages until the client closes, also when the process no longer listens."""
    listening = wanted.stdin
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            data = message.data.encode()
        elif message.type is WSMsgType.BINARY:
            data = message.data
        else:
            break
        if not data:
            continue
        channel, payload = data[0], data[1:]
        if channel == STDIN and listening and payload:
            try:
                await session.write(payload)
            except (ConnectionError, VarkaError):
                listening = False
        elif channel == RESIZE and wanted.tty:
            await _resize(session, payload)
        elif channel == CLOSE and payload[:1] == b"\x00" and listening:
            listening = False
            with suppress(ConnectionError, VarkaError):
                await session.close_stdin()


async def _resize(session: ExecSession, payload: bytes) -> None:
    try:
        size = json.loads(payload)
        width, height = int(size.get("Width", 0)), int(size.get("Height", 0))
    except (ValueError, AttributeError, TypeError):
        return
    if width > 0 and height > 0:
        with suppress(ConnectionError, VarkaError):
            await session.resize(width, height)


async def _finish(socket: web.WebSocketResponse, status: Object) -> None:
    await socket.send_bytes(bytes((STATUS,)) + json.dumps(status).encode())
    await socket.close()


def exit_status(code: int, command: list[str] | None) -> Object:
    """The Status that tells the client a process's exit code; `command` is None for an attached container."""
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    what = f"error executing command [{' '.join(command)}], exit code {code}" if command else f"exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {what}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }
