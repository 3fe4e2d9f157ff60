"""Results kept for as long as their inputs are the same objects.

The stages are pure, so a result is known by its inputs, and comparing inputs by identity costs next to nothing. An
entry holds on to its inputs: their identities cannot be reused while the entry lives. Each memo keeps two
generations of bounded size; what was not asked for during a whole generation is let go.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Memo(Generic[T]):
    """A bounded map from (identities of objects, values) to a result."""

    __slots__ = ("_new", "_old", "_size")

    def __init__(self, size: int = 8192) -> None:
        self._size = size
        self._new: dict[Hashable, tuple[tuple[object, ...], T]] = {}
        self._old: dict[Hashable, tuple[tuple[object, ...], T]] = {}

    def get(self, objects: tuple[object, ...], values: Hashable, build: Callable[[], T]) -> T:
        """What `build` returned when it was last asked for with the very same objects and equal values, or returns now."""
        key = (tuple(map(id, objects)), values)
        entry = self._new.get(key)
        if entry is None:
            entry = self._old.get(key)
            if entry is None:
                entry = (objects, build())
            if len(self._new) >= self._size:
                self._old, self._new = self._new, {}
            self._new[key] = entry
        return entry[1]

    def clear(self) -> None:
        """Forget everything, as a test or a measurement of uncached cost needs."""
        self._new, self._old = {}, {}
