"""Incremental computing by identity: a result is kept for as long as its inputs are the very same objects.

A `Memo` is the memory of one chain of snapshots. It has named stages; a stage whose inputs did not change is not run at
all, and one that runs finds its earlier pieces in a `Kept`. Nothing here knows what depends on what: the inputs that a
computation is given are the whole of its dependencies.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from operator import is_
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
Inputs = tuple[object, ...]


def same(left: Inputs, right: Inputs) -> bool:
    """Whether two tuples hold the same objects in the same order."""
    if left is right:
        return True
    if len(left) != len(right):
        return False
    return all(map(is_, left, right))


class Kept:
    """Pieces of one stage by key, each with the inputs that it was made from."""

    __slots__ = ("_new", "_old")

    def __init__(self, previous: Kept | None = None) -> None:
        self._old: dict[Hashable, tuple[Inputs, Any]] = previous._new if previous is not None else {}
        self._new: dict[Hashable, tuple[Inputs, Any]] = {}

    def get(self, key: Hashable, inputs: Inputs, make: Callable[[], T]) -> T:
        """The piece made from these very inputs, this time or last time; made now when there is none."""
        hit = self._new.get(key) or self._old.get(key)
        if hit is None or not same(hit[0], inputs):
            hit = (inputs, make())
        self._new[key] = hit
        return cast(T, hit[1])

    def revise(self, key: Hashable, inputs: Inputs, make: Callable[[T | None], T]) -> T:
        """Like `get`, but `make` is shown the piece of last time, whose unchanged parts it takes over."""
        hit = self._new.get(key) or self._old.get(key)
        if hit is None or not same(hit[0], inputs):
            hit = (inputs, make(hit[1] if hit is not None else None))
        self._new[key] = hit
        return cast(T, hit[1])

    def equal(self, key: Hashable, value: T) -> T:
        """The object of last time when it equals this one, so that its identity says that nothing changed."""
        hit = self._old.get(key)
        if hit is None or hit[1] != value:
            hit = ((), value)
        self._new[key] = hit
        return cast(T, hit[1])

    def tuple(self, key: Hashable, items: tuple[T, ...]) -> tuple[T, ...]:
        """The tuple of last time when it holds the same objects."""
        hit = self._old.get(key)
        if hit is None or not same(hit[1], items):
            hit = ((), items)
        self._new[key] = hit
        return cast("tuple[T, ...]", hit[1])

    def settle(self) -> None:
        """Forget last time."""
        self._old = {}


class Stage(Generic[T]):
    """The last run of a stage."""

    __slots__ = ("inputs", "kept", "result")

    def __init__(self, inputs: Inputs, result: T, kept: Kept) -> None:
        self.inputs = inputs
        self.result = result
        self.kept = kept


class Memo:
    """The stages of one snapshot; made from those of the snapshot before it."""

    __slots__ = ("_stages",)

    def __init__(self, previous: Memo | None = None) -> None:
        self._stages: dict[str, Stage[Any]] = dict(previous._stages) if previous is not None else {}

    def stage(self, name: str, inputs: Inputs, run: Callable[[Kept], T]) -> T:
        """The result of a stage; it runs only when one of its inputs is another object than last time."""
        last = self._stages.get(name)
        if last is not None and same(last.inputs, inputs):
            return cast(T, last.result)
        kept = Kept(last.kept if last is not None else None)
        result = run(kept)
        kept.settle()
        self._stages[name] = Stage(inputs, result, kept)
        return result
