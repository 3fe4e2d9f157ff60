"""The table that a run prints."""

from __future__ import annotations

from collections.abc import Iterable

from bench.figures import Figure, Outcome

HEAD = ("measurement", "value", "budget", "", "how")


def number(value: float, unit: str) -> str:
    """Three significant digits or whole numbers, with the unit."""
    text = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
    return f"{text} {unit}".strip()


def row(figure: Figure) -> tuple[str, ...]:
    """The cells of one figure."""
    bound = "" if figure.budget is None else f"{'≥' if figure.at_least else '≤'} {number(figure.budget, figure.unit)}"
    mark = {True: "kept", False: "MISSED", None: ""}[figure.kept]
    return (figure.name, number(figure.value, figure.unit), bound, mark, figure.detail)


def rows(outcomes: Iterable[Outcome]) -> list[tuple[str, ...]]:
    """All cells; a measurement that failed is one row."""
    found: list[tuple[str, ...]] = []
    for outcome in outcomes:
        if outcome.error:
            found.append((outcome.name, f"failed: {outcome.error}", "", "FAILED", ""))
        found += [row(figure) for figure in outcome.figures]
    return found


def render(outcomes: Iterable[Outcome]) -> str:
    """Columns of plain text."""
    cells = [HEAD, *rows(outcomes)]
    widths = [max((len(line[column]) for line in cells if "failed:" not in line[1]), default=0) for column in range(len(HEAD))]
    lines = [
        "  ".join(cell.rjust(width) if column in (1, 2) else cell.ljust(width) for column, (cell, width) in enumerate(zip(line, widths, strict=True)))
        for line in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def markdown(outcomes: Iterable[Outcome]) -> str:
    """The same as a table for a document."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---|---:|---:|---|---|"]
    return "\n".join([*lines, *("| " + " | ".join(line) + " |" for line in rows(outcomes))])
