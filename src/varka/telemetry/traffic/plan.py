"""What to send: a rate, a time, and shares of paths, errors, delays and headers. The seed says where picks begin.

A delay is asked for, not made: `{delay}` in a path becomes its seconds, and a path without it gets the query parameter
`delay`, which the product page of Bookinfo honours. `httpbin` has `/delay/{delay}`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Generic, TypeVar

import msgspec

from varka.base import durations
from varka.base.errors import VarkaError

MAX_RATE = 5000.0
MAX_SECONDS = 24 * 3600.0
T = TypeVar("T")


class Weighted(msgspec.Struct, Generic[T], frozen=True):
    """A value and how often it comes, against the others."""

    value: T
    weight: float = 1.0


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One run. `url` has scheme, host and port; times are seconds."""

    url: str
    rate: float = 10.0
    seconds: float = 60.0
    method: str = "GET"
    paths: tuple[Weighted[str], ...] = (Weighted("/"),)
    error_share: float = 0.0
    error_path: str = "/non-existent-page"
    delays: tuple[Weighted[float], ...] = ()
    headers: tuple[Weighted[tuple[tuple[str, str], ...]], ...] = ()
    connections: int = 64
    timeout: float = 15.0
    seed: int = 0


class Pick(msgspec.Struct, frozen=True):
    """One request to send."""

    path: str
    headers: tuple[tuple[str, str], ...] = ()


_STEPS = (5**0.5 / 2 - 0.5, 2**0.5 - 1, 13**0.5 / 2 - 1.5, 29**0.5 / 2 - 2.5)
"""Metallic means: their multiples fill a range evenly, and none falls into step with another."""


class _Even:
    """Numbers from 0 to 1 that fill the range evenly, so that even a few requests keep to the shares that were asked for."""

    def __init__(self, start: float, step: float) -> None:
        self._at = start
        self._step = step

    def next(self) -> float:
        self._at = (self._at + self._step) % 1.0
        return self._at


class Picker:
    """The requests of a plan, one after another; the same seed gives the same ones.

    Errors, paths, delays and headers are picked by even sequences of their own.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        start = random.Random(plan.seed)
        self._errors, self._paths, self._delays, self._headers = (_Even(start.random(), step) for step in _STEPS)

    def pick(self) -> Pick:
        """The next request."""
        plan = self._plan
        if self._errors.next() < plan.error_share:
            return Pick(plan.error_path, _one(plan.headers, self._headers) or ())
        path = _one(plan.paths, self._paths) or "/"
        delay = _one(plan.delays, self._delays) or 0.0
        if "{delay}" in path:
            path = path.replace("{delay}", f"{delay:g}")
        elif delay:
            path = f"{path}{'&' if '?' in path else '?'}delay={delay:g}"
        return Pick(path, _one(plan.headers, self._headers) or ())


def _one(choices: Sequence[Weighted[T]], numbers: _Even) -> T | None:
    if not choices:
        return None
    left = numbers.next() * sum(one.weight for one in choices)
    for one in choices:
        left -= one.weight
        if left < 0:
            return one.value
    return choices[-1].value


def paths(texts: Sequence[str]) -> tuple[Weighted[str], ...]:
    """Paths from `/a` or `/a=3`; VarkaError for one without a slash or with no weight."""
    found = []
    for text in texts:
        path, weight = _weight(text)
        if not path.startswith("/") or any(character <= " " for character in path):
            raise VarkaError(f"{text!r} is no path", "write one such as /productpage, with a weight as /productpage=3")
        found.append(Weighted(path, weight))
    return tuple(found)


def delays(text: str) -> tuple[Weighted[float], ...]:
    """Delays from a mix such as `0s=80,1s=15,3s=5`; empty for an empty text."""
    found = []
    for part in filter(None, text.split(",")):
        value, weight = _weight(part.strip())
        try:
            found.append(Weighted(durations.seconds(value), weight))
        except ValueError as error:
            raise VarkaError(f"{part!r} is no delay with a weight: {error}", "write a mix such as 0s=80,1s=15,3s=5") from error
    return tuple(found)


def headers(texts: Sequence[str]) -> tuple[Weighted[tuple[tuple[str, str], ...]], ...]:
    """Header mixes from `end-user: jason` or `end-user: jason=20`; what is left of 100 goes without them."""
    found: list[Weighted[tuple[tuple[str, str], ...]]] = []
    for text in texts:
        head, equals, tail = text.rpartition("=")
        weight = float(tail) if equals and tail.strip().isdigit() else 100.0
        line = head if equals and tail.strip().isdigit() else text
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or any(character < " " for character in line):
            raise VarkaError(f"{text!r} is no header", "write one such as 'end-user: jason', with a share of 100 as 'end-user: jason=20'")
        found.append(Weighted(((name.strip(), value.strip()),), weight))
    rest = 100.0 - sum(one.weight for one in found)
    return (*found, Weighted((), rest)) if found and rest > 0 else tuple(found)


def share(text: str) -> float:
    """A share from `5%` or `0.05`."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise VarkaError(f"{text!r} is no share", "write one such as 5% or 0.05") from error
    if not 0 <= value <= 1:
        raise VarkaError(f"{text!r} is no share between 0% and 100%", "write one such as 5% or 0.05")
    return value


def _weight(text: str) -> tuple[str, float]:
    value, equals, weight = text.rpartition("=")
    if not equals or not weight.replace(".", "", 1).isdigit():
        return text, 1.0
    return value, float(weight)
