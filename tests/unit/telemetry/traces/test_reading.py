from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.telemetry.traces.test_store import span

from varka.telemetry.traces import reading
from varka.telemetry.traces.questions import Question
from varka.telemetry.traces.store import Store


@pytest.fixture
def reader(tmp_path: Path) -> reading.Reader:
    """Two traces: a calls b calls c; and a alone, slow and failed."""
    store = Store(tmp_path / "traces.db")
    store.write(
        [
            span(1, trace=1, start=100, service="a", name="get", kind=3, attributes=(("code", 200),)),
            span(2, trace=1, start=101, service="b", name="serve", kind=2, parent="0000000000000001"),
            span(3, trace=1, start=102, service="c", name="store", kind=2, parent="0000000000000002"),
            span(4, trace=2, start=200, service="a", name="put", kind=2, error=True, attributes=(("ok", False),)),
        ]
    )
    store.close()
    return reading.Reader(tmp_path / "traces.db")


def found(reader: reading.Reader, **asked: object) -> list[int]:
    return [int(trace.id, 16) for trace in reader.find(Question(**asked))]  # type: ignore[arg-type]


def test_names(reader: reading.Reader) -> None:
    """Services and their operations, also by kind."""
    assert reader.services() == ["a", "b", "c"]
    assert [(one.name, one.kind) for one in reader.operations("a")] == [("get", "client"), ("put", "server")]
    assert [one.name for one in reader.operations("a", "server")] == ["put"]


def test_searches(reader: reading.Reader) -> None:
    """The latest trace is first; every condition narrows."""
    assert found(reader, service="a") == [2, 1]
    assert found(reader, service="a", limit=1) == [2]
    assert found(reader, service="a", operation="get") == [1]
    assert found(reader, service="c") == [1]
    assert found(reader, service="a", earliest=150) == [2]
    assert found(reader, service="a", min_duration=2) == []
    assert found(reader, service="a", tags=(("error", "true"),)) == [2]
    assert found(reader, service="a", tags=(("code", "200"), ("span.kind", "client"))) == [1]
    assert found(reader, service="a", tags=(("ok", "false"),)) == [2]
    assert found(reader, service="nobody") == []


def test_a_trace_has_all_its_spans_in_order_and_a_root(reader: reading.Reader) -> None:
    """The root is the span without a parent."""
    trace = reader.find(Question(service="c"))[0]
    assert [one.service for one in trace.spans] == ["a", "b", "c"]
    assert trace.root.name == "get"


def test_dependencies_count_calls_between_services(reader: reading.Reader) -> None:
    """Parent and child of different services make an edge."""
    assert [(one.parent, one.child, one.calls) for one in reader.dependencies(0, 1000)] == [("a", "b", 1), ("b", "c", 1)]
    assert reader.dependencies(500, 1000) == []
