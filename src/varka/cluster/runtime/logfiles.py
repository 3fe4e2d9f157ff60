"""Reading containers' logs: lines with a time and a stream, in one file and, after a rotation, in its predecessor.

Each line is `<time> stdout|stderr F|P <text>`: F ends a line, P is a part whose rest follows. The shim writes `LOG` and moves
it to `LOG.1` when it is full; a follower notices by the file's identity.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from varka.cluster.apiserver.podruntime import LogOptions

_CHUNK = 1 << 16
_LOOK = 0.05
"""Seconds between two looks of a follower."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One stored line: its time as written, 1 for stdout and 2 for stderr, the text without newline, and whether it is whole."""

    stamp: bytes
    channel: int
    text: bytes
    full: bool

    def render(self, timestamps: bool) -> bytes:
        """As `kubectl logs` shows it."""
        return (self.stamp + b" " if timestamps else b"") + self.text + (b"\n" if self.full else b"")


def parse(line: bytes) -> Entry | None:
    """A stored line; None when it is damaged, as the last one after a crash may be."""
    parts = line.rstrip(b"\n").split(b" ", 3)
    if len(parts) < 3 or parts[1] not in (b"stdout", b"stderr"):
        return None
    return Entry(stamp=parts[0], channel=1 if parts[1] == b"stdout" else 2, text=parts[3] if len(parts) > 3 else b"", full=parts[2] == b"F")


def moment(stamp: bytes) -> datetime:
    """The time of a line; the fraction's nanoseconds are cut to microseconds."""
    seconds, _, fraction = stamp.decode().rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{seconds}.{fraction[:6].ljust(6, '0')}").replace(tzinfo=UTC)


def stored(path: Path) -> Iterator[Entry]:
    """Everything that is kept of a log, oldest first."""
    for file in (path.with_name(path.name + ".1"), path):
        try:
            with file.open("rb") as lines:
                yield from (entry for line in lines if line.endswith(b"\n") and (entry := parse(line)))
        except FileNotFoundError:
            continue


def chosen(entries: Iterator[Entry], options: LogOptions) -> list[Entry]:
    """What `since` and `tail` leave. All entries are taken, also for a tail of nothing: a follower goes on from where that ends."""
    from collections import deque

    wanted = (entry for entry in entries if options.since is None or moment(entry.stamp) >= options.since)
    if options.tail_lines is None:
        return list(wanted)
    kept: deque[list[Entry]] = deque(maxlen=max(0, options.tail_lines))
    open_line: list[Entry] | None = None
    for entry in wanted:
        if open_line is None:
            open_line = []
            kept.append(open_line)
        open_line.append(entry)
        if entry.full:
            open_line = None
    return [entry for line in kept for entry in line]


async def read(path: Path, options: LogOptions, ended: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The log in chunks; with `follow` until `ended` says that nothing more will be written."""
    left = options.limit_bytes if options.limit_bytes is not None else -1
    follower = _Follower(path) if options.follow else None
    try:
        first = await asyncio.to_thread(_first, path, options, follower)
        async for chunk in _limited(first, left):
            left = left - len(chunk) if left >= 0 else left
            yield chunk
        while follower is not None and left != 0:
            over = ended()
            data = b"".join(entry.render(options.timestamps) for entry in follower.more())
            if left >= 0:
                data = data[:left]
                left -= len(data)
            if data:
                yield data
            elif over:
                return
            else:
                await asyncio.sleep(_LOOK)
    finally:
        if follower is not None:
            follower.close()


def _first(path: Path, options: LogOptions, follower: _Follower | None) -> bytes:
    """What is there already; the follower starts exactly behind it."""
    entries = follower.backlog() if follower is not None else stored(path)
    return b"".join(entry.render(options.timestamps) for entry in chosen(entries, options))


async def _limited(data: bytes, left: int) -> AsyncIterator[bytes]:
    data = data[:left] if left >= 0 else data
    for start in range(0, len(data), _CHUNK):
        yield data[start : start + _CHUNK]


class _Follower:
    """Reads on where it stopped, across rotations."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None
        self._rest = b""

    def backlog(self) -> Iterator[Entry]:
        """The kept lines; leaves the position at their end."""
        before = self._path.with_name(self._path.name + ".1")
        if before.exists():
            with before.open("rb") as lines:
                yield from (entry for line in lines if (entry := parse(line)))
        yield from self.more()

    def more(self) -> list[Entry]:
        """The lines written since the last look."""
        found: list[Entry] = []
        while True:
            rotated = self._rotated()
            found.extend(self._drain())
            if not rotated:
                return found
            self.close()

    def _rotated(self) -> bool:
        """Whether the file in hand is no longer the one at the path; opens the first."""
        if self._file is None:
            try:
                self._file = self._path.open("rb")
            except OSError:
                return False
        try:
            return os.stat(self._path).st_ino != os.fstat(self._file.fileno()).st_ino
        except OSError:
            return False

    def _drain(self) -> list[Entry]:
        if self._file is None:
            return []
        lines = (self._rest + self._file.read()).split(b"\n")
        self._rest = lines.pop()
        return [entry for line in lines if (entry := parse(line))]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            self._rest = b""
