"""What the shim keeps of a container: its process, its streams, its log. Standard library only."""

from __future__ import annotations

import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from typing import Any

    Json = dict[str, Any]

LOG_LIMIT = 10 << 20
"""Bytes of a log file before it becomes `LOG.1`, in place of the one before."""
LINE_LIMIT = 16 << 10


class Log:
    """One container's log in the format of the container runtime interface, rotated once when it is full."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.file = open(path, "ab", buffering=0)  # noqa: SIM115
        self.partial = {1: b"", 2: b""}

    def write(self, channel: int, data: bytes) -> None:
        """Keep whole lines, and the rest until its end comes or it is too long."""
        lines = (self.partial[channel] + data).split(b"\n")
        rest = lines.pop()
        out = [self.entry(channel, b"F", line) for line in lines]
        while len(rest) > LINE_LIMIT:
            out.append(self.entry(channel, b"P", rest[:LINE_LIMIT]))
            rest = rest[LINE_LIMIT:]
        self.partial[channel] = rest
        if out:
            self.emit(b"".join(out))

    def entry(self, channel: int, tag: bytes, text: bytes) -> bytes:
        """One stored line; P marks a part of a line."""
        return b"%s %s %s %s\n" % (now().encode(), b"stdout" if channel == 1 else b"stderr", tag, text)

    def emit(self, data: bytes) -> None:
        """Append, rotating first when the file is full; a full disk loses output, never the container."""
        try:
            if self.file.tell() > LOG_LIMIT:
                self.file.close()
                os.replace(self.path, self.path + ".1")
                self.file = open(self.path, "ab", buffering=0)  # noqa: SIM115
            self.file.write(data)
        except OSError:
            pass

    def close(self) -> None:
        """Keep the last words, too, when no newline ends them."""
        for channel, rest in self.partial.items():
            if rest:
                self.emit(self.entry(channel, b"P", rest))
        self.file.close()


def now() -> str:
    """The moment, in RFC 3339 with nanoseconds."""
    moment = time.time_ns()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment // 10**9)) + f".{moment % 10**9:09d}Z"


class Container:
    """One started container; `mounts` names its mount namespace, by which its processes are known."""

    def __init__(self, spec: Json, pid: int, mounts: str, streams: dict[int, int], stdin: int | None) -> None:
        self.spec = spec
        self.name = spec["name"]
        self.pid = pid
        self.mounts = mounts
        self.streams = streams
        self.stdin = stdin
        self.log = Log(spec["log"])
        self.watchers: list[socket.socket] = []
        self.started = time.time()
        self.ended = False
