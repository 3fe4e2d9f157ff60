"""The disk half of the store: a thread that writes batches to SQLite and says when they are safe.

Every write is in a transaction with `synchronous=FULL`, so what was acknowledged survives `kill -9` and power loss.
Writes that arrive while a transaction is being synced share the next one (group commit).
"""

from __future__ import annotations

import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from varka.base.errors import VarkaError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
  resource TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, revision INTEGER NOT NULL, body BLOB NOT NULL,
  PRIMARY KEY (resource, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
"""
_MAX_BATCH = 512


class Key(NamedTuple):
    """An object's place; `namespace` is empty for cluster-scoped resources."""

    resource: str
    namespace: str
    name: str


class Write(NamedTuple):
    """One write: the object's body, or None to remove it. `done` is called in the writer's thread with the failure, if any."""

    key: Key
    revision: int
    body: bytes | None
    done: Callable[[Exception | None], None]


class Database:
    """One SQLite file. `load` before `start`, `close` at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._queue: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            self._connection.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise VarkaError(f"cannot open the store {path}: {error}", "check that the state folder is writable and has space left") from error

    def load(self) -> tuple[int, list[tuple[Key, int, bytes]]]:
        """The revision of the last write, and every object."""
        rows = self._connection.execute("SELECT resource, namespace, name, revision, body FROM objects").fetchall()
        last = self._connection.execute("SELECT value FROM meta WHERE name = 'revision'").fetchone()
        objects = [(Key(resource, namespace, name), revision, bytes(body)) for resource, namespace, name, revision, body in rows]
        return (last[0] if last else 0), objects

    def start(self) -> None:
        """Start the writer's thread."""
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def submit(self, write: Write) -> None:
        """Hand a write over; its `done` is called once it is on disk."""
        self._queue.put(write)

    def close(self) -> None:
        """Finish what was submitted and close the file."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout=30)
        self._connection.close()

    def _run(self) -> None:
        ended = False
        while not ended:
            batch: list[Write] = []
            item = self._queue.get()
            while True:
                if item is None:
                    ended = True
                    break
                batch.append(item)
                if len(batch) >= _MAX_BATCH:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            if batch:
                failure = self._write(batch)
                for write in batch:
                    write.done(failure)

    def _write(self, batch: list[Write]) -> Exception | None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            for write in batch:
                if write.body is None:
                    connection.execute("DELETE FROM objects WHERE resource = ? AND namespace = ? AND name = ?", write.key)
                else:
                    connection.execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?)", (*write.key, write.revision, write.body))
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('revision', ?)", (batch[-1].revision,))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            return error
        return None
