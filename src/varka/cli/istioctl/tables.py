"""Tables in the form of Go's text/tabwriter: columns as wide as their widest cell plus padding, the last one unpadded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

PADDING = 5


def render(rows: Iterable[Sequence[str]], padding: int = PADDING) -> str:
    """Lines with a newline each; rows may be shorter than the widest."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [0] * max((len(row) for row in cells), default=0)
    for row in cells:
        for column, cell in enumerate(row[:-1]):
            widths[column] = max(widths[column], len(cell))
    lines = ["".join(cell.ljust(widths[column] + padding) for column, cell in enumerate(row[:-1])) + (row[-1] if row else "") for row in cells]
    return "".join(line + "\n" for line in lines)
