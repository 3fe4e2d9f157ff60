from __future__ import annotations

import io

import pytest
from rich.console import Console
from tests.unit.telemetry.graph.test_building import series

from varka.cli import graph
from varka.telemetry.graph import building
from varka.telemetry.graph.building import Answers, Wish


@pytest.mark.parametrize(
    ("columns", "titles"),
    [(80, ["from", "to", "rate", "errors", "p95 ms", "mTLS"]), (120, ["from", "to", "rate", "errors", "p50 ms", "p95 ms", "p99 ms", "share", "mTLS"])],
)
def test_the_table_fits_the_terminal(columns: int, titles: list[str]) -> None:
    """A narrow one has fewer numbers and names on several lines; nothing is cut off."""
    made = building.build(Answers(requests=(series(3.0, "istio_ingressgateway-latest", "productpage-v1"),)), Wish())
    screen = io.StringIO()
    Console(file=screen, width=columns).print(graph._table(made, wide=columns >= 120))
    shown = [line for line in screen.getvalue().splitlines() if line.strip()]
    assert " ".join(shown[0].split()) == " ".join(titles)
    assert "…" not in screen.getvalue()
    assert all(len(line) <= columns for line in shown)
    row = " ".join(" ".join(shown[2:]).split())
    assert "istio_ingressgateway" in row
    assert "3.00/s" in row
