"""Resource quantities."""

from __future__ import annotations

from decimal import Decimal

import pytest

from varka.cluster.apiserver import quantity


@pytest.mark.parametrize(
    ("text", "value"), [("100m", "0.1"), ("1Ki", "1024"), ("1.5Gi", "1610612736"), ("2k", "2000"), ("1e3", "1000"), ("0", "0"), ("3E", "3e18")]
)
def test_parse(text: str, value: str) -> None:
    """Every suffix scales."""
    assert quantity.parse(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "abc", "1 Gi", "1Kib", "--1"])
def test_refuse(text: str) -> None:
    """What is no quantity is refused."""
    with pytest.raises(ValueError, match="quantities must match"):
        quantity.parse(text)
