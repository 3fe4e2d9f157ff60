"""Answers from the store. Each question opens the database for reading, so it never waits for the writer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection

from varka.telemetry.traces import spans, store
from varka.telemetry.traces.questions import Question
from varka.telemetry.traces.spans import Span, TraceId

MAX_SPANS = 20_000
"""Most spans of a trace that are shown; a loop in a mesh makes endless traces."""
_MAX_LOOKED_AT = 200_000
"""Most spans that a search by tag reads before it gives what it has found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """An operation that a service has done, as which kind of span."""

    name: str
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """How often spans of one service had children of another."""

    parent: str
    child: str
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The spans of one trace, the earliest first."""

    id: TraceId
    spans: tuple[Span, ...]
    truncated: bool = False

    @property
    def root(self) -> Span:
        """The span without a parent, or the first whose parent is not here."""
        known = {span.span_id for span in self.spans}
        return next((span for span in self.spans if span.parent not in known), self.spans[0])


class Reader:
    """Questions to the store at `path`; used from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def services(self) -> list[str]:
        """The names of all services."""
        with store.reading(self._path) as database:
            return [name for (name,) in database.execute("SELECT DISTINCT service FROM operations ORDER BY service")]

    def operations(self, service: str, kind: str = "") -> list[Operation]:
        """What `service` has done; only as `kind` where one is named."""
        with store.reading(self._path) as database:
            rows = database.execute("SELECT name, kind FROM operations WHERE service = ? ORDER BY name, kind", (service,))
            found = [Operation(name=name, kind=spans.KINDS[number]) for name, number in rows]
        return [one for one in found if not kind or one.kind == kind]

    def trace(self, trace_id: TraceId) -> Trace | None:
        """One trace, if there is any of its spans."""
        with store.reading(self._path) as database:
            return _trace(database, trace_id)

    def find(self, question: Question) -> list[Trace]:
        """The traces that fit, the latest first."""
        with store.reading(self._path) as database:
            ids: dict[TraceId, None] = {}
            for trace_id in _matches(database, question):
                ids[trace_id] = None
                if len(ids) >= question.limit:
                    break
            return [trace for one in ids if (trace := _trace(database, one)) is not None]

    def dependencies(self, earliest: int, latest: int) -> list[Dependency]:
        """Who called whom between two times (ns)."""
        with store.reading(self._path) as database:
            rows = database.execute(
                "SELECT p.service, c.service, count(*) FROM spans c JOIN spans p ON p.trace_id = c.trace_id AND p.span_id = c.parent"
                " WHERE c.start BETWEEN ? AND ? AND p.service != c.service GROUP BY 1, 2 ORDER BY 1, 2",
                (earliest, latest),
            )
            return [Dependency(parent=parent, child=child, calls=calls) for parent, child, calls in rows]


def _trace(database: Connection, trace_id: TraceId) -> Trace | None:
    rows = database.execute("SELECT body FROM spans WHERE trace_id = ? ORDER BY start, span_id LIMIT ?", (trace_id, MAX_SPANS + 1)).fetchall()
    if not rows:
        return None
    return Trace(id=trace_id, spans=tuple(store.decode(body) for (body,) in rows[:MAX_SPANS]), truncated=len(rows) > MAX_SPANS)


def _matches(database: Connection, question: Question) -> Iterator[TraceId]:
    where = ["service = ?", "start BETWEEN ? AND ?", "duration BETWEEN ? AND ?"]
    values: list[str | int] = [question.service, question.earliest, question.latest, question.min_duration, question.max_duration]
    if question.operation:
        where.append("name = ?")
        values.append(question.operation)
    if question.kind:
        where.append("kind = ?")
        values.append(spans.KINDS.index(question.kind))
    column = "body" if question.tags else "NULL"
    rows = database.execute(
        f"SELECT trace_id, {column} FROM spans WHERE {' AND '.join(where)} ORDER BY start DESC LIMIT ?",  # noqa: S608
        (*values, _MAX_LOOKED_AT),
    )
    for trace_id, body in rows:
        if body is None or _has(store.decode(body), question.tags):
            yield trace_id


def _has(span: Span, tags: tuple[tuple[str, str], ...]) -> bool:
    """Every tag is one of the span, of its process or of one of its events."""
    known = {(key, text(value)) for key, value in (*span.attributes, *span.resource)}
    known |= {(key, text(value)) for event in span.events for key, value in event.attributes}
    if span.error:
        known.add(("error", "true"))
    if span.kind:
        known.add(("span.kind", spans.KINDS[span.kind]))
    return all(tag in known for tag in tags)


def text(value: spans.Value) -> str:
    """A value as Jaeger compares it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
