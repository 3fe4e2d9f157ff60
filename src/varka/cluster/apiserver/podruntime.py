"""What the API server asks of the pod runtime to answer the streaming subresources: log, exec, attach, port-forward, usage.

The runtime implements it and is handed to the server when the node is put together.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOptions:
    """The query parameters of `pods/log`."""

    container: str
    follow: bool = False
    previous: bool = False
    tail_lines: int | None = None
    limit_bytes: int | None = None
    since: datetime | None = None
    timestamps: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerUsage:
    """Of one container now: `cpu_nanocores` over the last window, resident memory in bytes.

    `cpu_seconds` are all that its processes have used so far, `disk_bytes` what it has written to its log.
    """

    container: str
    cpu_nanocores: int
    memory_bytes: int
    cpu_seconds: float = 0.0
    disk_bytes: int = 0
    processes: int = 0


class ExecSession(Protocol):
    """One running command or attached container.

    `output` yields (channel, bytes) with channel 1 for stdout and 2 for stderr (a terminal has only 1) and ends with
    the process; `wait` gives its exit code, 128 + n after signal n.
    """

    def output(self) -> AsyncIterator[tuple[int, bytes]]: ...

    async def write(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...

    async def resize(self, width: int, height: int) -> None: ...

    async def wait(self) -> int: ...

    async def close(self) -> None:
        """The client has gone: end an exec'd command, leave an attached container running."""
        ...


class PodRuntime(Protocol):
    """Errors are ApiError with the code and message that the kubelet would give."""

    def logs(self, namespace: str, pod: str, options: LogOptions) -> AsyncIterator[bytes]: ...

    async def exec(self, namespace: str, pod: str, container: str, command: list[str], *, stdin: bool, tty: bool) -> ExecSession: ...

    async def attach(self, namespace: str, pod: str, container: str, *, stdin: bool, tty: bool) -> ExecSession: ...

    async def port_forward(self, namespace: str, pod: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the pod's own loopback, as the kubelet makes it."""
        ...

    def usage(self, namespace: str, pod: str) -> list[ContainerUsage]: ...

    def node_usage(self) -> ContainerUsage:
        """Of the whole node, `container` being empty."""
        ...
