"""Reading containers' logs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from varka.cluster.apiserver.podruntime import LogOptions
from varka.cluster.runtime import logfiles


def line(second: int, text: str, tag: str = "F", stream: str = "stdout") -> bytes:
    """One stored line."""
    return f"2026-01-01T00:00:{second:02d}.000000001Z {stream} {tag} {text}\n".encode()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Three lines, the second written in two parts and to standard error."""
    path = tmp_path / "0.log"
    path.write_bytes(line(1, "one") + line(2, "tw", "P", "stderr") + line(2, "o", "F", "stderr") + line(3, "three"))
    return path


async def read(path: Path, *, ended: bool = True, **options: object) -> bytes:
    """What a client gets."""
    wanted = LogOptions(container="c", **options)  # type: ignore[arg-type]
    return b"".join([chunk async for chunk in logfiles.read(path, wanted, lambda: ended)])


async def test_parts_become_lines(log: Path) -> None:
    """What was cut in two is one line again; both streams are shown."""
    assert await read(log) == b"one\ntwo\nthree\n"


async def test_last_words_without_newline(log: Path) -> None:
    """Nothing is added to what the program wrote."""
    log.write_bytes(log.read_bytes() + line(4, "end", "P"))
    assert await read(log, tail_lines=1) == b"end"


@pytest.mark.parametrize(("tail", "expected"), [(0, b""), (1, b"three\n"), (2, b"two\nthree\n"), (9, b"one\ntwo\nthree\n")])
async def test_tail_counts_lines_not_parts(log: Path, tail: int, expected: bytes) -> None:
    """The last lines."""
    assert await read(log, tail_lines=tail) == expected


async def test_since(log: Path) -> None:
    """Lines of that moment and later."""
    assert await read(log, since=datetime(2026, 1, 1, 0, 0, 3, tzinfo=UTC)) == b"three\n"


async def test_timestamps(log: Path) -> None:
    """Each line begins with its time."""
    assert await read(log, tail_lines=1, timestamps=True) == b"2026-01-01T00:00:03.000000001Z three\n"


async def test_limit_bytes(log: Path) -> None:
    """Not one byte more."""
    assert await read(log, limit_bytes=5) == b"one\nt"


async def test_the_file_before_a_rotation_is_read_first(log: Path) -> None:
    """A rotation loses nothing that is kept."""
    log.with_name("0.log.1").write_bytes(line(0, "zero"))
    assert await read(log, tail_lines=4) == b"zero\none\ntwo\nthree\n"


async def test_a_damaged_line_is_left_out(log: Path) -> None:
    """A crash in the middle of a write does not spoil the rest."""
    log.write_bytes(b"garbage\n" + log.read_bytes() + b"2026-01-01T00:00:04Z stdout F unfinis")
    assert await read(log) == b"one\ntwo\nthree\n"


async def test_follow_across_a_rotation(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A follower reads the old file to its end and goes on in the new one, and ends with the container."""
    monkeypatch.setattr(logfiles, "_LOOK", 0)
    ended = False
    received = bytearray()

    async def follow() -> None:
        async for chunk in logfiles.read(log, LogOptions(container="c", follow=True, tail_lines=1), lambda: ended):
            received.extend(chunk)

    task = asyncio.create_task(follow())
    while b"three\n" not in received:  # noqa: ASYNC110
        await asyncio.sleep(0)
    with log.open("ab") as file:
        file.write(line(4, "four"))
    log.rename(log.with_name("0.log.1"))
    log.write_bytes(line(5, "five"))
    while b"five\n" not in received:  # noqa: ASYNC110
        await asyncio.sleep(0)
    with log.open("ab") as file:
        file.write(line(6, "six"))
    ended = True
    await asyncio.wait_for(task, 5)
    assert bytes(received) == b"three\nfour\nfive\nsix\n"


async def test_following_from_the_end_leaves_out_what_is_there(log: Path) -> None:
    """`--tail=0 -f` begins with the next line, though a file of before a rotation is there too."""
    log.with_name("0.log.1").write_bytes(line(0, "nought"))
    written = False

    def ended() -> bool:
        nonlocal written
        if not written:
            with log.open("ab") as more:
                more.write(line(4, "four"))
            written = True
            return False
        return True

    wanted = LogOptions(container="c", follow=True, tail_lines=0)
    assert b"".join([chunk async for chunk in logfiles.read(log, wanted, ended)]) == b"four\n"


async def test_follow_stops_at_its_limit(log: Path) -> None:
    """Also when the container runs on."""
    assert await asyncio.wait_for(read(log, ended=False, follow=True, limit_bytes=4), 5) == b"one\n"
