"""Spans on disk: one SQLite database, written by one thread, read by others.

A row has what questions ask by (trace, service, operation, times) and the span itself as MessagePack. What is oldest goes
first: by age, and when the file is larger than it may be. Deleted pages are used again, so the file does not grow on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from varka.base.errors import VarkaError
from varka.telemetry.traces.spans import Span

_SCHEMA = """
CREATE TABLE IF NOT EXISTS spans (
  trace_id TEXT NOT NULL, span_id TEXT NOT NULL, kind INTEGER NOT NULL, parent TEXT NOT NULL,
  service TEXT NOT NULL, name TEXT NOT NULL, start INTEGER NOT NULL, duration INTEGER NOT NULL, error INTEGER NOT NULL,
  body BLOB NOT NULL, PRIMARY KEY (trace_id, span_id, kind)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_service ON spans (service, start);
CREATE INDEX IF NOT EXISTS by_start ON spans (start);
CREATE TABLE IF NOT EXISTS operations (service TEXT NOT NULL, name TEXT NOT NULL, kind INTEGER NOT NULL, last INTEGER NOT NULL,
  PRIMARY KEY (service, name, kind)) WITHOUT ROWID;
"""
_VERSION = 1
_BATCH = 5000
"""Rows that one step of clearing removes: short enough that writing goes on in between."""

_SKEW = 3600 * 1_000_000_000
"""How far ahead (ns) another machine's clock may be."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Span).decode


def decode(body: bytes) -> Span:
    """The span of a row."""
    return _decode(body)


class Store:
    """The writing side; used from one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            self._database = _opened(path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise VarkaError(f"the trace store {path} cannot be opened: {error}", "see that its folder can be written") from error
            # Spans are a cache of what happened: a damaged file is put aside, and collecting goes on.
            for suffix in ("", "-wal", "-shm"):
                damaged = path.with_name(path.name + suffix)
                if damaged.exists():
                    damaged.replace(path.with_name(path.name + suffix + ".damaged"))
            self._database = _opened(path)

    def close(self) -> None:
        self._database.close()

    def write(self, batch: Iterable[Span]) -> None:
        """Keep spans, all or none; sqlite3.Error when the disk does not take them."""
        rows = []
        operations: dict[tuple[str, str, int], int] = {}
        for span in batch:
            rows.append(
                (span.trace_id, span.span_id, span.kind, span.parent, span.service, span.name, span.start, span.duration, int(span.error), _encode(span))
            )
            operation = (span.service, span.name, span.kind)
            operations[operation] = max(operations.get(operation, 0), span.start)
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO spans VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)
            self._database.executemany(
                "INSERT INTO operations VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET last = max(last, excluded.last)",
                [(*operation, last) for operation, last in operations.items()],
            )

    def expire(self, now: int, max_age: int, max_bytes: int) -> int:
        """Remove what began longer than `max_age` ago (ns), then the oldest until at most `max_bytes` are in use; how many spans went.

        Spans of the future, which a clock ahead of ours has sent, go first of all: new ones would otherwise make room for them.
        """
        removed = self._remove("start < ?", (now - max_age,))
        while self.size() > max_bytes:
            gone = self._remove_oldest(now + _SKEW)
            if not gone:
                break
            removed += gone
        with self._database:
            self._database.execute("DELETE FROM operations WHERE last < ?", (now - max_age,))
        return removed

    def size(self) -> int:
        """Bytes in use: the pages of the file but for the free ones."""
        pages = [int(self._database.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "freelist_count", "page_size")]
        return (pages[0] - pages[1]) * pages[2]

    def count(self) -> int:
        """How many spans are kept."""
        return int(self._database.execute("SELECT count(*) FROM spans").fetchone()[0])

    def _remove(self, where: str, parameters: Sequence[int]) -> int:
        removed = 0
        while True:
            with self._database:
                gone = self._database.execute(
                    f"DELETE FROM spans WHERE (trace_id, span_id, kind) IN (SELECT trace_id, span_id, kind FROM spans WHERE {where} LIMIT {_BATCH})",  # noqa: S608
                    parameters,
                ).rowcount
            removed += gone
            if gone < _BATCH:
                return removed

    def _remove_oldest(self, latest: int) -> int:
        """A batch of those after `latest`, which is in the future, or else of the oldest."""
        with self._database:
            for chosen in ("WHERE start > ? ORDER BY start DESC", "WHERE start <= ? ORDER BY start"):
                gone = self._database.execute(
                    f"DELETE FROM spans WHERE (trace_id, span_id, kind) IN (SELECT trace_id, span_id, kind FROM spans {chosen} LIMIT {_BATCH})",  # noqa: S608
                    (latest,),
                ).rowcount
                if gone:
                    return gone
        return 0


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, for one question."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5.0)
    try:
        yield database
    finally:
        database.close()


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=5.0, check_same_thread=False)
    try:
        path.chmod(0o600)
        database.execute("PRAGMA journal_mode = WAL")
        # A crash of the machine may cost the last second of spans, never the file.
        database.execute("PRAGMA synchronous = NORMAL")
        database.executescript(_SCHEMA)
        database.execute(f"PRAGMA user_version = {_VERSION}")
    except BaseException:
        database.close()
        raise
    return database
