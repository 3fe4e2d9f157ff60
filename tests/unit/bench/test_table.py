"""The table of a run."""

from __future__ import annotations

from bench import table
from bench.figures import Figure, Outcome

KEPT = Figure(name="start", value=1.234, unit="s", budget=2)
MISSED = Figure(name="ratio", value=0.5, unit="", budget=0.9, at_least=True, detail="three rounds")


def test_number_has_few_digits() -> None:
    """As many as can be trusted."""
    assert [table.number(value, "MB") for value in (0.123, 12.34, 1234.5)] == ["0.12 MB", "12.3 MB", "1,234 MB"]


def test_rows() -> None:
    """The budget's direction, and whether it was kept."""
    assert table.rows([Outcome(name="all", figures=(KEPT, MISSED))]) == [
        ("start", "1.23 s", "≤ 2.00 s", "kept", ""),
        ("ratio", "0.50", "≥ 0.90", "MISSED", "three rounds"),
    ]


def test_failure_is_a_row() -> None:
    """With its reason, beside the figures of the others."""
    rows = table.rows([Outcome(name="memory", error="no cluster"), Outcome(name="all", figures=(KEPT,))])
    assert rows[0] == ("memory", "failed: no cluster", "", "FAILED", "") and len(rows) == 2


def test_render_lines_up() -> None:
    """Every column begins in the same place."""
    lines = table.render([Outcome(name="all", figures=(KEPT, MISSED))]).splitlines()
    assert len(lines) == 4 and lines[0].index("how") == lines[3].index("three")


def test_markdown() -> None:
    """One line a figure below the head."""
    assert table.markdown([Outcome(name="all", figures=(KEPT,))]).splitlines()[2] == "| start | 1.23 s | ≤ 2.00 s | kept |  |"
