"""One measured number and the budget it is held against, and the statistics that make one number of many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A result. `budget` is None for numbers that are shown for orientation only."""

    name: str
    value: float
    unit: str
    budget: float | None = None
    at_least: bool = False
    """The budget is a floor, not a ceiling."""
    detail: str = ""

    @property
    def kept(self) -> bool | None:
        """Whether the budget is kept; None without one."""
        if self.budget is None:
            return None
        return self.value >= self.budget if self.at_least else self.value <= self.budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one measurement gave: figures, or the reason why there are none."""

    name: str
    figures: tuple[Figure, ...] = field(default=())
    error: str = ""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed (nearest rank); ValueError for none."""
    if not values:
        raise ValueError("no values")
    if not 0 <= share <= 1:
        raise ValueError(f"no share: {share}")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def median(values: Sequence[float]) -> float:
    """The 50th percentile by nearest rank."""
    return percentile(values, 0.5)
