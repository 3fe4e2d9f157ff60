"""Durations as Go and Istio write them: `1h30m`, `45s`, `500ms`."""

from __future__ import annotations

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def seconds(text: str) -> float:
    """The seconds that a duration stands for; ValueError when it is none."""
    total, number, rest = 0.0, "", text.strip()
    if rest == "0":
        return 0.0
    if not rest:
        raise ValueError("an empty text is not a duration; write, for example, 30s")
    while rest:
        if rest[0].isdigit() or rest[0] == ".":
            number, rest = number + rest[0], rest[1:]
            continue
        unit = rest[:2] if rest[:2] in _UNITS else rest[:1]
        if unit not in _UNITS or not number:
            raise ValueError(f"{text!r} is not a duration; write, for example, 1h30m, 45s or 500ms")
        total, number, rest = total + float(number) * _UNITS[unit], "", rest[len(unit) :]
    if number:
        raise ValueError(f"{text!r} is not a duration: it lacks a unit such as s")
    return total


def has_fraction(text: str, unit: float = 1.0) -> bool:
    """Whether a duration is no whole number of a unit (in seconds); a text that is no duration has none."""
    try:
        count = seconds(text) / unit
    except ValueError:
        return False
    return abs(count - round(count)) > 1e-6
