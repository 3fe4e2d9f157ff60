"""A pod runtime in memory, and one whose containers are processes of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from varka.client.api import ApiError
from varka.cluster.apiserver.podruntime import ContainerUsage, LogOptions


class FakeSession:
    """Implements `ExecSession`: what is put into `out` comes out, None with the exit code ends it; everything written is kept."""

    def __init__(self) -> None:
        self.out: asyncio.Queue[tuple[int, bytes] | None] = asyncio.Queue()
        self.code = 0
        self.written = b""
        self.sizes: list[tuple[int, int]] = []
        self.stdin_closed = asyncio.Event()
        self.closed = asyncio.Event()

    def end(self, code: int = 0) -> None:
        """Let the process end."""
        self.code = code
        self.out.put_nowait(None)

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        while (piece := await self.out.get()) is not None:
            yield piece

    async def write(self, data: bytes) -> None:
        self.written += data

    async def close_stdin(self) -> None:
        self.stdin_closed.set()

    async def resize(self, width: int, height: int) -> None:
        self.sizes.append((width, height))

    async def wait(self) -> int:
        return self.code

    async def close(self) -> None:
        self.closed.set()


class FakePodRuntime:
    """Implements `PodRuntime`. `log` is what `logs` yields (None: hang), `ports` where `port_forward` leads; errors come from `failure`."""

    def __init__(self) -> None:
        self.session = FakeSession()
        self.started: list[tuple[str, ...]] = []
        self.log: list[bytes | None] = []
        self.log_options: LogOptions | None = None
        self.log_closed = asyncio.Event()
        self.ports: dict[int, int] = {}
        self.failure: ApiError | None = None

    async def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]:
        self.log_options = options
        if self.failure:
            raise self.failure
        try:
            for piece in self.log:
                if piece is None:
                    await asyncio.Event().wait()
                else:
                    yield piece
        finally:
            self.log_closed.set()

    async def exec(self, namespace: str, pod: str, container: str, command: list[str], *, stdin: bool, tty: bool) -> FakeSession:
        if self.failure:
            raise self.failure
        self.started.append((namespace, pod, container, *command))
        return self.session

    async def attach(self, namespace: str, pod: str, container: str, *, stdin: bool, tty: bool) -> FakeSession:
        return await self.exec(namespace, pod, container, [], stdin=stdin, tty=tty)

    async def port_forward(self, namespace: str, pod: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if port not in self.ports:
            raise ConnectionRefusedError
        return await asyncio.open_connection("127.0.0.1", self.ports[port])

    def usage(self, namespace: str, pod: str) -> list[ContainerUsage]:
        if self.failure:
            raise self.failure
        return [
            ContainerUsage(container="istio-proxy", cpu_nanocores=5_000_000, memory_bytes=64 << 20),
            ContainerUsage(container="app", cpu_nanocores=1_250_000, memory_bytes=3 << 20),
        ]

    def node_usage(self) -> ContainerUsage:
        return ContainerUsage(container="", cpu_nanocores=200_000_000, memory_bytes=1 << 30)


class ProcessSession:
    """Implements `ExecSession` over a process of this machine, without a terminal."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def output(self) -> AsyncIterator[tuple[int, bytes]]:
        pieces: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue(8)

        async def read(channel: int, stream: asyncio.StreamReader | None) -> None:
            while stream is not None and (data := await stream.read(16384)):
                await pieces.put((channel, data))
            await pieces.put((channel, b""))

        tasks = [asyncio.create_task(read(1, self._process.stdout)), asyncio.create_task(read(2, self._process.stderr))]
        try:
            open_streams = 2
            while open_streams:
                channel, data = await pieces.get()
                if data:
                    yield channel, data
                else:
                    open_streams -= 1
        finally:
            for task in tasks:
                task.cancel()

    async def write(self, data: bytes) -> None:
        if self._process.stdin is not None:
            self._process.stdin.write(data)
            await self._process.stdin.drain()

    async def close_stdin(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()

    async def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int:
        return await self._process.wait()

    async def close(self) -> None:
        if self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


class ProcessPodRuntime(FakePodRuntime):
    """Runs commands of `exec` as processes of this machine."""

    def __init__(self, folder: str) -> None:
        super().__init__()
        self._folder = folder

    async def exec(self, namespace: str, pod: str, container: str, command: list[str], *, stdin: bool, tty: bool) -> ProcessSession:  # type: ignore[override]
        if self.failure:
            raise self.failure
        self.started.append((namespace, pod, container, *command))
        pipe = asyncio.subprocess.PIPE
        into = pipe if stdin else asyncio.subprocess.DEVNULL
        return ProcessSession(await asyncio.create_subprocess_exec(*command, cwd=self._folder, stdin=into, stdout=pipe, stderr=pipe))
