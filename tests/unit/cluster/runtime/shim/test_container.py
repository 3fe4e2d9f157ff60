"""How the shim keeps a container's output."""

from __future__ import annotations

from pathlib import Path

import pytest

from varka.cluster.runtime import logfiles
from varka.cluster.runtime.shim import container as shim_container
from varka.cluster.runtime.shim.container import Log


def kept(path: Path) -> list[tuple[int, bytes, bool]]:
    """Channel, text, whole or not."""
    return [(entry.channel, entry.text, entry.full) for entry in logfiles.stored(path)]


def test_lines_are_put_together_for_each_stream(tmp_path: Path) -> None:
    """Pieces of standard output and standard error may come in any order."""
    log = Log(str(tmp_path / "0.log"))
    for channel, data in ((1, b"on"), (2, b"bad\nwor"), (1, b"e\ntwo\n\n"), (2, b"se\n")):
        log.write(channel, data)
    log.close()
    assert kept(tmp_path / "0.log") == [(2, b"bad", True), (1, b"one", True), (1, b"two", True), (1, b"", True), (2, b"worse", True)]


def test_the_last_line_may_lack_its_end(tmp_path: Path) -> None:
    """It is kept when the container ends, as it is."""
    log = Log(str(tmp_path / "0.log"))
    log.write(1, b"prompt> ")
    assert (kept(tmp_path / "0.log"), log.partial[1]) == ([], b"prompt> ")
    log.close()
    assert kept(tmp_path / "0.log") == [(1, b"prompt> ", False)]


def test_long_lines_are_stored_in_parts(tmp_path: Path) -> None:
    """Nothing is held in memory without bound, nothing is lost."""
    log = Log(str(tmp_path / "0.log"))
    log.write(1, b"x" * (2 * shim_container.LINE_LIMIT + 3) + b"y" * shim_container.LINE_LIMIT)
    log.write(1, b"\n")
    log.close()
    found = kept(tmp_path / "0.log")
    assert b"".join(text for _, text, _ in found) == b"x" * (2 * shim_container.LINE_LIMIT + 3) + b"y" * shim_container.LINE_LIMIT
    assert [full for _, _, full in found] == [False, False, False, True]


def test_a_full_log_is_rotated_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files at most; the newest lines are kept."""
    monkeypatch.setattr(shim_container, "LOG_LIMIT", 100)
    log = Log(str(tmp_path / "0.log"))
    for number in range(20):
        log.write(1, b"line %d\n" % number)
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.log", "0.log.1"]
    texts = [text for _, text, _ in kept(tmp_path / "0.log")]
    assert texts == [b"line %d" % number for number in range(20 - len(texts), 20)]
    assert 3 <= len(texts) <= 8


def test_a_log_is_continued(tmp_path: Path) -> None:
    """Opening appends."""
    for text in (b"a\n", b"b\n"):
        log = Log(str(tmp_path / "0.log"))
        log.write(1, text)
        log.close()
    assert [text for _, text, _ in kept(tmp_path / "0.log")] == [b"a", b"b"]
