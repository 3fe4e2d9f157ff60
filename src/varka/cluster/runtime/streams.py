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
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varka.base.clock import parse_rfc3339
from varka.base.errors import VarkaError
from varka.client.api import ApiError
from varka.cluster.apiserver.podruntime import ContainerUsage, ExecSession, LogOptions
from varka.cluster.runtime import shim_client

if TYPE_CHECKING:
    from varka.cluster.runtime.accounting import Usage
    from varka.cluster.runtime.containers import ContainerRunner
    from varka.cluster.runtime.pods import PodWorker

CHUNK = 1 << 16
MOST_CHUNKS = 64
FOLLOW_SECONDS = 0.1
EXEC_TIMEOUT_KILL = 9


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
        if runner is None or not runner.state.running_since:
            raise ApiError(500, "InternalError", f'unable to upgrade connection: container not found ("{container}")')
        return worker, runner

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        """A container's log; with `follow` until the container ends for good."""
        worker = self._worker(namespace, pod)
        runner = worker.runners.get(options.container)
        path = runner.log_path if runner is not None else None
        if runner is not None and options.previous:
            attempt = runner.state.restarts - 1
            path = runner.log_of(attempt) if attempt >= 0 else None
            if path is None:
                told = f'previous terminated container "{options.container}" in pod "{pod}" not found'
                raise ApiError(400, "BadRequest", told)
        if runner is None or path is None or not path.exists():
            reason = runner.state.waiting if runner is not None else "PodInitializing"
            raise ApiError(400, "BadRequest", f'container "{options.container}" in pod "{pod}" is waiting to start: {reason or "ContainerCreating"}')
        async for chunk in _read_log(path, options, lambda: bool(runner.state.running_since) and not options.previous):
            yield chunk

    async def exec(self, namespace: str, pod: str, container: str, command: list[str], *, stdin: bool, tty: bool) -> ExecSession:
        """Run a command in a running container."""
        worker, _ = self._runner(namespace, pod, container)
        return await self._exec(worker, container, command, stdin=stdin, tty=tty)

    async def _exec(self, worker: PodWorker, container: str, command: list[str], *, stdin: bool, tty: bool) -> ExecSession:
        session = Exec(tty=tty, stdin=stdin)
        try:
            session.attach(await worker.shim.send({"op": "exec", "container": container, "command": command, "tty": tty}, session.theirs))
        except VarkaError as error:
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
        worker, runner = self._runner(namespace, pod, container)
        try:
            connection = await worker.shim.send({"op": "attach", "container": container})
            await shim_client.answer(connection)
        except VarkaError as error:
            raise ApiError(500, "InternalError", f'container not found ("{container}"): {error}') from error
        return Attachment(connection, runner)

    async def port_forward(self, namespace: str, pod: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the pod's loopback."""
        worker = self._worker(namespace, pod)
        try:
            return await asyncio.open_connection(sock=await worker.shim.connect(port))
        except (VarkaError, OSError) as error:
            told = f'failed to connect to localhost:{port} inside namespace "{worker.uid}", IPv4: dial tcp4 127.0.0.1:{port}: connect: {error}'
            raise ApiError(500, "InternalError", f"error forwarding port {port} to pod {worker.uid}, uid : {told}") from error

    def usage(self, namespace: str, pod: str) -> list[ContainerUsage]:
        """Of a pod's containers."""
        return self._usage.of_pod(self._worker(namespace, pod))

    def node_usage(self) -> ContainerUsage:
        """Of the node."""
        return self._usage.of_node()


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
        except VarkaError as error:
            await self._queue.put((2, f"{error}\n".encode()))
            return 137

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        """Until every stream has ended, or, when something that the command left behind holds them, the command has."""
        open_streams = len(self._readers)
        assert self._code is not None
        while open_streams:
            get = asyncio.create_task(self._queue.get())
            await asyncio.wait({get, self._code}, return_when=asyncio.FIRST_COMPLETED)
            if not get.done() and self._code.done():
                with suppress(TimeoutError):
                    await asyncio.wait_for(asyncio.shield(get), 0.2)
            if not get.done():
                get.cancel()
                return
            channel, data = get.result()
            if not data:
                open_streams -= 1
                continue
            yield channel, data

    async def write(self, data: bytes) -> None:
        """To the command's standard input."""
        if self._input >= 0:
            with suppress(OSError):
                await asyncio.to_thread(_write_all, self._input, data)

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

    def __init__(self, connection: socket.socket, runner: ContainerRunner) -> None:
        self._connection = connection
        self._runner = runner

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
        """The container's exit code."""
        for _ in range(50):
            ended = self._runner.state.ended or self._runner.state.last
            if ended is not None:
                return ended.code
            await asyncio.sleep(0.02)
        return 0

    async def close(self) -> None:
        """Leave; the container runs on."""
        self._connection.close()


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


async def _read_log(path: Path, options: LogOptions, running: Any) -> AsyncIterator[bytes]:
    """Lines in the form that the options ask for, followed while `running()`."""
    left = options.limit_bytes
    rotated = path.with_name(path.name + ".1")
    lines = _lines(rotated) if rotated.exists() else []
    with open(path, "rb") as file:
        lines += file.read().split(b"\n")
        rest = lines.pop()
        chosen = [text for line in lines if (text := _render(line, options)) is not None]
        if options.tail_lines is not None:
            chosen = chosen[-options.tail_lines :] if options.tail_lines else []
        for start in range(0, len(chosen), 512):
            data = b"".join(chosen[start : start + 512])
            if left is not None:
                data, left = data[:left], left - len(data[:left])
            if data:
                yield data
            if left == 0:
                return
        last_round = False
        while options.follow:
            more = file.read(CHUNK)
            if not more:
                if last_round:
                    return
                last_round = not running()
                await asyncio.sleep(0 if last_round else FOLLOW_SECONDS)
                continue
            parts = (rest + more).split(b"\n")
            rest = parts.pop()
            data = b"".join(text for line in parts if (text := _render(line, options)) is not None)
            if data:
                yield data


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1]


def _render(line: bytes, options: LogOptions) -> bytes | None:
    """One line of a log file (`time stream F text`) as the client sees it; None when it is too old."""
    stamp, _, rest = line.partition(b" ")
    _, _, rest = rest.partition(b" ")
    tag, _, text = rest.partition(b" ")
    if options.since is not None and parse_rfc3339(stamp.decode()[:26].rstrip("Z") + "Z") < options.since:
        return None
    end = b"" if tag == b"P" else b"\n"
    return (stamp + b" " if options.timestamps else b"") + text + end
