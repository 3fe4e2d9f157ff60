from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from tests.unit.telemetry.traces.test_store import span

from varka.telemetry.traces import metrics
from varka.telemetry.traces.intake import Intake
from varka.telemetry.traces.settings import Settings
from varka.telemetry.traces.spans import Span
from varka.telemetry.traces.store import Store


def dropped(reason: str) -> float:
    return metrics.REGISTRY.get_sample_value("jaeger_collector_spans_dropped_total", {"reason": reason}) or 0.0


def test_what_finds_no_room_is_dropped_and_counted(tmp_path: Path) -> None:
    """The queue is bounded and offering never waits."""
    store = Store(tmp_path / "traces.db")
    intake = Intake(store, Settings(queue_spans=3))
    before = dropped("queue-full")
    assert intake.offer([span(number) for number in range(1, 6)]) == 2
    assert intake.offer([span(9)]) == 1
    assert dropped("queue-full") - before == 3
    store.close()


def test_stopping_writes_what_was_accepted(tmp_path: Path) -> None:
    """No accepted span is lost by an orderly end."""
    store = Store(tmp_path / "traces.db")
    intake = Intake(store, Settings(max_age=4e9))
    intake.offer([span(number) for number in range(1, 6)])
    intake.start()
    intake.stop()
    assert store.count() == 5
    store.close()


class FullDisk(Store):
    """A store whose disk is full until it is not."""

    full = True

    def write(self, batch: object) -> None:
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        super().write(batch)  # type: ignore[arg-type]


def test_a_full_disk_costs_spans_not_the_process(tmp_path: Path) -> None:
    """The trouble is told while it lasts; afterwards spans are kept again."""
    store = FullDisk(tmp_path / "traces.db")
    intake = Intake(store, Settings(max_age=4e9))
    before = dropped("storage")
    intake.start()
    intake.offer([span(1), span(2)])
    assert intake.settled(10)
    assert intake.trouble == "database or disk is full"
    assert dropped("storage") - before == 2
    store.full = False
    intake.offer([span(3)])
    assert intake.settled(10)
    assert intake.trouble == ""
    intake.stop()
    assert store.count() == 1
    store.close()


@pytest.mark.parametrize("given", [Span(trace_id="0" * 31 + "1", span_id="0" * 15 + "1", start=2**63, duration=1)])  # type: ignore[arg-type]
def test_a_value_that_sqlite_has_no_room_for_is_no_crash(tmp_path: Path, given: Span) -> None:
    """Whatever gets past the readers cannot stop the writer."""
    store = Store(tmp_path / "traces.db")
    intake = Intake(store, Settings(max_age=4e9))
    intake.start()
    intake.offer([given])
    assert intake.settled(10)
    intake.offer([span(3)])
    assert intake.settled(10)
    intake.stop()
    assert store.count() == 1
    store.close()
