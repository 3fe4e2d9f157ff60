from __future__ import annotations

import stat
from pathlib import Path

import pytest

from varka.base.errors import VarkaError
from varka.telemetry.traces import reading, spans
from varka.telemetry.traces.spans import Span
from varka.telemetry.traces.store import Store


def span(number: int, *, trace: int = 1, start: int = 0, **fields: object) -> Span:
    return Span(trace_id=spans.trace_id(f"{trace:x}"), span_id=spans.span_id(f"{number:x}"), start=start, duration=1, **fields)  # type: ignore[arg-type]


def test_spans_are_there_after_a_restart(tmp_path: Path) -> None:
    """The store is a file, readable for its owner only."""
    store = Store(tmp_path / "deep" / "traces.db")
    written = span(1, service="a", name="op", attributes=(("k", 1), ("t", "ü")))
    store.write([written])
    store.close()
    again = Store(tmp_path / "deep" / "traces.db")
    assert again.count() == 1
    assert stat.S_IMODE(again.path.stat().st_mode) == 0o600
    found = reading.Reader(again.path).trace(written.trace_id)
    again.close()
    assert found is not None
    assert found.spans == (written,)


def test_a_span_sent_twice_is_kept_once_and_a_shared_id_twice(tmp_path: Path) -> None:
    """An exporter may send again; Zipkin's client and server may share an id."""
    store = Store(tmp_path / "traces.db")
    store.write([span(1, kind=2), span(1, kind=2), span(1, kind=3)])
    store.write([span(1, kind=2)])
    assert store.count() == 2
    store.close()


def test_what_is_too_old_goes_and_its_operations_with_it(tmp_path: Path) -> None:
    """Retention by age."""
    store = Store(tmp_path / "traces.db")
    store.write([span(1, trace=1, start=100, service="old"), span(2, trace=2, start=200, service="new")])
    assert store.expire(250, 100, 1 << 40) == 1
    assert reading.Reader(store.path).services() == ["new"]
    assert store.count() == 1
    store.close()


def test_the_oldest_go_when_the_store_is_too_large(tmp_path: Path) -> None:
    """Retention by size leaves the latest."""
    store = Store(tmp_path / "traces.db")
    store.write(span(number, trace=number, start=number, name="x" * 500) for number in range(1, 12_001))
    before = store.size()
    removed = store.expire(12_000, 12_000, before // 2)
    assert removed in (5000, 10_000)
    assert store.size() <= before // 2
    reader = reading.Reader(store.path)
    assert reader.trace(spans.trace_id("1")) is None
    assert reader.trace(spans.trace_id(f"{12_000:x}")) is not None
    store.close()


def test_spans_of_the_future_make_room_first(tmp_path: Path) -> None:
    """A clock that was ahead for a while cannot fill the store so that new spans go at once; as long as there is room, they stay."""
    now, hour = 1_000 * 3600 * 10**9, 3600 * 10**9
    store = Store(tmp_path / "traces.db")
    store.write(span(number, trace=1, start=now + 24 * hour + number, name="x" * 500) for number in range(1, 5001))
    store.write([span(1, trace=2, start=now - hour), span(2, trace=2, start=now), span(3, trace=2, start=now + hour // 2)])
    assert store.expire(now, 48 * hour, 1 << 40) == 0
    assert store.expire(now, 48 * hour, store.size() // 2) == 5000
    reader = reading.Reader(store.path)
    assert reader.trace(spans.trace_id("1")) is None
    kept = reader.trace(spans.trace_id("2"))
    store.close()
    assert kept is not None
    assert [one.start for one in kept.spans] == [now - hour, now, now + hour // 2]


def test_a_damaged_file_is_put_aside(tmp_path: Path) -> None:
    """Collecting goes on with a new file; the damaged one is left to look at."""
    path = tmp_path / "traces.db"
    path.write_bytes(b"this is no database" * 1000)
    store = Store(path)
    store.write([span(1)])
    assert store.count() == 1
    assert (tmp_path / "traces.db.damaged").read_bytes().startswith(b"this is no database")
    store.close()


def test_a_folder_that_cannot_be_used_is_said(tmp_path: Path) -> None:
    """The error names the file and the mend."""
    (tmp_path / "traces.db").mkdir()
    with pytest.raises(VarkaError, match="cannot be opened"):
        Store(tmp_path / "traces.db")
