"""Statistics and budgets."""

from __future__ import annotations

import pytest
from bench.figures import Figure, median, percentile


def test_percentile_is_a_measured_value() -> None:
    """Nearest rank, in any order of the values."""
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0, 0.2, 0.5, 0.99, 1)] == [1.0, 1.0, 3.0, 5.0, 5.0]


def test_percentile_of_many() -> None:
    """The 99th of a hundred is the last but one."""
    assert percentile([float(one) for one in range(100)], 0.99) == 98.0


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 1.5), ([1.0], -0.1)])
def test_percentile_refuses(values: list[float], share: float) -> None:
    """No values, no share."""
    with pytest.raises(ValueError):
        percentile(values, share)


def test_median_of_an_even_number() -> None:
    """The lower one of the two in the middle."""
    assert median([4.0, 1.0, 3.0, 2.0]) == 2.0


@pytest.mark.parametrize(("value", "at_least", "kept"), [(1.0, False, True), (1.1, False, False), (1.0, True, True), (0.9, True, False)])
def test_budget(value: float, at_least: bool, kept: bool) -> None:
    """A ceiling or a floor, itself included."""
    assert Figure(name="x", value=value, unit="s", budget=1, at_least=at_least).kept is kept


def test_figure_without_budget_is_neither_kept_nor_missed() -> None:
    """It is shown only."""
    assert Figure(name="x", value=1, unit="s").kept is None
