"""Resource quantities such as `100m`, `128Mi` and `1e3`, as numbers."""

from __future__ import annotations

import re
from decimal import Decimal

_FORM = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(|[numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)")
_SCALE = {"n": "1e-9", "u": "1e-6", "m": "1e-3", "": "1", "k": "1e3", "M": "1e6", "G": "1e9", "T": "1e12", "P": "1e15", "E": "1e18"}
PATTERN_TEXT = "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(text: str) -> Decimal:
    """The number; ValueError when the text is no quantity."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise ValueError(PATTERN_TEXT)
    number, suffix = Decimal(found[1]), found[2]
    if suffix.endswith("i"):
        return number * Decimal(1024) ** ("KMGTPE".index(suffix[0].upper()) + 1)
    if suffix[:1] in ("e", "E") and len(suffix) > 1:
        return number * Decimal(f"1{suffix}")
    return number * Decimal(_SCALE[suffix])


def is_quantity(text: str) -> bool:
    """Whether a text is a quantity."""
    return _FORM.fullmatch(text) is not None
