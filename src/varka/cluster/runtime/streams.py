"""Logs, exec, attach and port-forward: what the API server asks of running pods."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import socket
import struct
import termios
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from varka.base.errors import VarkaError
from varka.client.api import ApiError
from varka.cluster.apiserver.podruntime import ContainerUsage, ExecSession, LogOptions
from varka.cluster.runtime import logfiles
from varka.cluster.runtime.shim import client as shim_client

if TYPE_CHECKING:
    from varka.cluster.runtime.accounting import Usage
    from varka.cluster.runtime.containers import ContainerRunner
    from varka.cluster.runtime.pods import PodWorker

CHUNK = 1 << 16
MOST_CHUNKS = 64
LAST_WORDS_SECONDS = 0.2
_WAITING = {"ErrImagePull": "trying and failing to pull image", "ImagePullBackOff": "trying and failing to pull image"}


class Streams:
    """Implements `apiserver.podruntime.PodRuntime` over the pods' shims."""

    def __init__(self, workers: Mapping[str, PodWorker], usage: Usage) -> None:
        self._workers = workers
        self._usage = usage

    def _worker(self, namespace: str, pod: str) -> PodWorker:
        for worker in self._workers.values():
            if (worker.namespace, worker.name) == (namespace, pod):
                return worker
        raise ApiError(404, "NotFound", f'pods "{pod}" not found', {"name": pod, "kind": "pods"})

    def _runner(self, namespace: str, pod: str, container: str) -> tuple[PodWorker, ContainerRunner]:
        worker = self._worker(namespace, pod)
        runner = worker.runners.get(container)
        if runner is None or runner.over:
            raise _missing(container)
        return worker, runner

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        """A container's log; with `follow` until the container ends for good."""
        worker = self._worker(namespace, pod)
        runner = worker.runners.get(options.container)
        state = runner.state if runner is not None else None
        attempt = state.restarts - (1 if options.previous else 0) if state is not None and state.container_id else -1
        if options.previous and attempt < 0:
            raise ApiError(400, "BadRequest", f'previous terminated container "{options.container}" in pod "{pod}" not found')
        if runner is None or state is None or attempt < 0:
            reason = (state.waiting if state is not None else "") or "ContainerCreating"
            told = f'container "{options.container}" in pod "{pod}" is waiting to start: {_WAITING.get(reason, reason)}'
            raise ApiError(400, "BadRequest", told)
        current = runner

        def ended() -> bool:
            return options.previous or current.over or current.state.restarts != attempt

        async for chunk in logfiles.read(runner.file(attempt, "log"), options, ended):
            yield chunk

    async def exec(self, namespace: str, pod: str, container: str, command: list[str], *, stdin: bool, tty: bool) -> ExecSession:
        """Run a command in a running container."""
        worker, _ = self._runner(namespace, pod, container)
        return await self._exec(worker, container, command, stdin=stdin, tty=tty)

    async def _exec(self, worker: PodWorker, container: str, command: list[str], *, stdin: bool, tty: bool) -> ExecSession:
        session = Exec(tty=tty, stdin=stdin)
        try:
            session.attach(await worker.shim.send({"op": "exec", "container": container, "command": command, "tty": tty}, session.theirs))
        except (VarkaError, TimeoutError) as error:
            await session.close()
            raise ApiError(500, "InternalError", f"error executing command in container: {error}") from error
        finally:
            session.release()
        return session

    async def run(self, worker: PodWorker, container: str, command: list[str]) -> tuple[int, str]:
        """Exit code and output of a command, for probes and hooks."""
        try:
            session = await self._exec(worker, container, command, stdin=False, tty=False)
        except ApiError as error:
            return 1, error.message
        try:
            output = b"".join([data async for _, data in session.output()])[: 10 << 10]
            return await session.wait(), output.decode(errors="replace")
        finally:
            await session.close()

    async def attach(self, namespace: str, pod: str, container: str, *, stdin: bool, tty: bool) -> ExecSession:
        """The streams of a container's own process."""
        worker = self._worker(namespace, pod)
        runner = worker.runners.get(container)
        if runner is not None and runner.over and runner.spec.get("stdin") and runner.state.ended is not None:
            return Finished()
        if runner is None or runner.over:
            raise _missing(container)
        try:
            connection = await worker.shim.send({"op": "attach", "container": container})
        except (VarkaError, TimeoutError) as error:
            raise _missing(container) from error
        try:
            async with asyncio.timeout(shim_client.COMMAND_SECONDS):
                await shim_client.answer(connection)
        except (VarkaError, TimeoutError, OSError) as error:
            connection.close()
            raise _missing(container) from error
        return Attachment(connection)

    async def port_forward(self, namespace: str, pod: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the pod's loopback."""
        worker = self._worker(namespace, pod)
        try:
            return await asyncio.open_connection(sock=await worker.shim.connect(port))
        except (VarkaError, OSError, TimeoutError) as error:
            told = f'failed to connect to localhost:{port} inside namespace "{worker.uid}", IPv4: dial tcp4 127.0.0.1:{port}: connect: {error}'
            raise ApiError(500, "InternalError", f"error forwarding port {port} to pod {worker.uid}, uid : {told}") from error

    def usage(self, namespace: str, pod: str) -> list[ContainerUsage]:
        """Of a pod's containers."""
        return self._usage.of_pod(self._worker(namespace, pod))

    def node_usage(self) -> ContainerUsage:
        """Of the node."""
        return self._usage.of_node()


def _missing(container: str) -> ApiError:
    return ApiError(500, "InternalError", f'unable to upgrade connection: container not found ("{container}")')


class _Reader:
    """Reads a descriptor into a bounded queue; stops reading while the queue is full."""

    def __init__(self, descriptor: int, channel: int, queue: asyncio.Queue[tuple[int, bytes]]) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._channel = channel
        self._queue = queue
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        readable = asyncio.Event()
        loop.add_reader(self._descriptor, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                try:
                    data = os.read(self._descriptor, CHUNK)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if data:
                    if self._queue.full():
                        loop.remove_reader(self._descriptor)
                        await self._queue.put((self._channel, data))
                        loop.add_reader(self._descriptor, readable.set)
                    else:
                        self._queue.put_nowait((self._channel, data))
                    readable.set()
                else:
                    await self._queue.put((self._channel, b""))
                    return
        finally:
            loop.remove_reader(self._descriptor)

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        os.close(self._descriptor)


class Exec:
    """A command that runs beside a container."""

    def __init__(self, *, tty: bool, stdin: bool) -> None:
        self._tty = tty
        self._queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(MOST_CHUNKS)
        self._connection: socket.socket | None = None
        self._code: asyncio.Task[int] | None = None
        if tty:
            self._input, theirs = pty.openpty()
            self.theirs = [theirs]
            self._readers = [_Reader(os.dup(self._input), 1, self._queue)]
        else:
            if stdin:
                read, self._input = os.pipe2(os.O_CLOEXEC)
            else:
                read, self._input = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC), -1
            out_read, out_write = os.pipe2(os.O_CLOEXEC)
            err_read, err_write = os.pipe2(os.O_CLOEXEC)
            self.theirs = [read, out_write, err_write]
            self._readers = [_Reader(out_read, 1, self._queue), _Reader(err_read, 2, self._queue)]
        if self._input >= 0:
            os.set_blocking(self._input, False)

    def attach(self, connection: socket.socket) -> None:
        """The command runs; its end will come over `connection`."""
        self._connection = connection
        self._code = asyncio.create_task(self._wait(connection))

    def release(self) -> None:
        """Let go of the command's ends of the streams."""
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = []

    async def _wait(self, connection: socket.socket) -> int:
        try:
            return int((await shim_client.answer(connection)).get("code", 137))
        except (VarkaError, OSError) as error:
            await self._queue.put((2, f"{error}\n".encode()))
            return 137

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Until every stream has ended, or, when something that the command left behind holds them, the command has."""
        open_streams = len(self._readers)
        assert self._code is not None
        while open_streams:
            get = asyncio.create_task(self._queue.get())
            try:
                await asyncio.wait({get, self._code}, return_when=asyncio.FIRST_COMPLETED)
                if not get.done():
                    await asyncio.wait({get}, timeout=LAST_WORDS_SECONDS)
                if not get.done():
                    return
            finally:
                get.cancel()
            channel, data = get.result()
            if not data:
                open_streams -= 1
                continue
            yield channel, data

    async def write(self, data: bytes) -> None:
        """To the command's standard input."""
        if self._input >= 0:
            with suppress(OSError):
                await self._write_all(data)

    async def _write_all(self, data: bytes) -> None:
        view, loop = memoryview(data), asyncio.get_running_loop()
        while view and self._input >= 0:
            try:
                view = view[os.write(self._input, view) :]
            except BlockingIOError:
                descriptor = self._input
                writable = asyncio.Event()
                loop.add_writer(descriptor, writable.set)
                try:
                    await writable.wait()
                finally:
                    loop.remove_writer(descriptor)

    async def close_stdin(self) -> None:
        """The end of standard input; of a terminal, what Ctrl-D sends."""
        if self._input >= 0 and not self._tty:
            os.close(self._input)
            self._input = -1
        elif self._input >= 0:
            await self.write(b"\x04")

    async def resize(self, width: int, height: int) -> None:
        if self._tty and self._input >= 0 and width and height:
            fcntl.ioctl(self._input, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    async def wait(self) -> int:
        """The exit code."""
        assert self._code is not None
        return await asyncio.shield(self._code)

    async def close(self) -> None:
        """The client has gone: the shim ends the command when its connection closes."""
        if self._code is not None and not self._code.done():
            self._code.cancel()
        if self._connection is not None:
            self._connection.close()
        for reader in self._readers:
            await reader.stop()
        self._readers = []
        if self._input >= 0:
            os.close(self._input)
            self._input = -1


class Attachment:
    """The streams of a container's first process; frames are a channel byte and a length."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = asyncio.Lock()

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Until the container ends."""
        loop = asyncio.get_running_loop()
        buffer = bytearray()
        while True:
            try:
                data = await loop.sock_recv(self._connection, CHUNK)
            except OSError:
                return
            if not data:
                return
            buffer += data
            while len(buffer) >= 5:
                channel, length = struct.unpack(">BI", buffer[:5])
                if len(buffer) < 5 + length:
                    break
                yield channel, bytes(buffer[5 : 5 + length])
                del buffer[: 5 + length]

    async def _send(self, channel: int, data: bytes) -> None:
        with suppress(OSError):
            async with self._sending:
                await asyncio.get_running_loop().sock_sendall(self._connection, struct.pack(">BI", channel, len(data)) + data)

    async def write(self, data: bytes) -> None:
        """To the container's standard input."""
        if data:
            await self._send(0, data)

    async def close_stdin(self) -> None:
        """The end of the container's standard input."""
        await self._send(0, b"")

    async def resize(self, width: int, height: int) -> None:
        await self._send(4, struct.pack(">HH", width, height))

    async def wait(self) -> int:
        """0: attaching went well whatever the container's end, which the pod's status tells."""
        return 0

    async def close(self) -> None:
        """Leave; the container runs on."""
        self._connection.close()


@dataclass(frozen=True, slots=True)
class Finished:
    """The streams of a container that has ended before anyone attached to it."""

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Nothing more comes."""
        nothing: list[tuple[int, bytes]] = []
        for each in nothing:
            yield each

    async def write(self, data: bytes) -> None:
        """Nobody reads it."""

    async def close_stdin(self) -> None:
        """It is closed."""

    async def resize(self, width: int, height: int) -> None:
        """There is no terminal."""

    async def wait(self) -> int:
        """As for an attachment."""
        return 0

    async def close(self) -> None:
        """Nothing is open."""
