"""One patch carried out on one message or on a list of them; what cannot be done is recorded and leaves no trace."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct, field

from varka.envoy import memo
from varka.envoy.patching import constraints, merging, values
from varka.model.patches import Operation, Patch, Place

AUTHENTICATION = frozenset({"envoy.filters.http.jwt_authn"})
AUTHORIZATION = frozenset({"envoy.filters.http.rbac", "envoy.filters.http.ext_authz"})


class Problem(Struct, frozen=True, kw_only=True):
    """Why a patch, or a part of it, is not in the configuration."""

    origin: str
    index: int
    message: str


class Record(Struct, kw_only=True):
    """What became of the patches while one resource was worked on."""

    applied: set[tuple[str, int]] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)

    def done(self, patch: Patch) -> None:
        self.applied.add((patch.origin, patch.index))

    def refuse(self, patch: Patch, message: str) -> None:
        self.done(patch)
        self.problems.append(Problem(origin=patch.origin, index=patch.index, message=message))


_rules: memo.Memo[str] = memo.Memo(2048)


def value(patch: Patch, record: Record) -> Any | None:
    """The message to put in: None, and recorded, when it is none or breaks one of Envoy's rules."""
    try:
        message = values.of(patch).message
    except values.Unusable as problem:
        record.refuse(patch, str(problem))
        return None
    reason = _rules.get((patch,), None, lambda: constraints.broken(message)) if patch.operation is not Operation.MERGE else ""
    if reason:
        record.refuse(patch, reason)
        return None
    return message


def merge(target: Any, patch: Patch, record: Record, prepare: Callable[[Any, Any], None] | None = None) -> None:
    """Merge a patch into a message, unless that is impossible or Envoy would refuse the result."""
    change = value(patch, record)
    if change is None:
        return
    result, own = type(target)(), type(change)()
    result.CopyFrom(target)
    own.CopyFrom(change)
    try:
        if prepare is not None:
            prepare(result, own)
        merging.merge(result, own)
    except merging.Conflict as problem:
        record.refuse(patch, str(problem))
        return
    reason = constraints.newly_broken(target, result)
    if reason:
        record.refuse(patch, f"after the merge {reason}")
        return
    target.CopyFrom(result)
    record.done(patch)


def elements(items: list[Any], patch: Patch, matches: Callable[[Any], bool], named: bool, record: Record) -> list[Any]:
    """The list with the patch carried out on the elements that match, or beside them; `named`: the patch names an element."""
    operation = patch.operation
    found = [index for index, item in enumerate(items) if matches(item)]
    if operation is Operation.REMOVE:
        if found:
            record.done(patch)
        return [item for index, item in enumerate(items) if index not in set(found)]
    if operation is Operation.MERGE:
        for index in found:
            merge(items[index], patch, record)
        return items
    if operation is Operation.REPLACE and not found:
        return items
    beside = named and operation in (Operation.INSERT_BEFORE, Operation.INSERT_AFTER)
    if beside and not found:
        return items
    change = value(patch, record)
    if change is None:
        return items
    record.done(patch)
    if operation is Operation.REPLACE:
        return [change if index in set(found) else item for index, item in enumerate(items)]
    at = position(items, patch, found[0] if beside else None)
    return [*items[:at], change, *items[at:]]


def position(items: list[Any], patch: Patch, beside: int | None) -> int:
    """Where a new element goes."""
    if patch.place is Place.HTTP_FILTER and patch.filter_class and beside is None:
        return _of_class(items, patch.filter_class)
    if beside is not None:
        return beside + (patch.operation is Operation.INSERT_AFTER)
    return 0 if patch.operation in (Operation.INSERT_FIRST, Operation.INSERT_BEFORE) else len(items)


def _of_class(items: Iterable[Any], wanted: str) -> int:
    """Behind the filters that authenticate, behind those that authorize, or in front of the router."""
    listed = [item.name for item in items]
    if wanted == "STATS":
        return len(listed)
    after = AUTHENTICATION if wanted == "AUTHN" else AUTHENTICATION | AUTHORIZATION
    return max((index + 1 for index, name in enumerate(listed) if name in after), default=0)


def replace_all(repeated: Any, items: Iterable[Any]) -> None:
    """Give a repeated field these messages."""
    kept = [type(item).FromString(item.SerializeToString(deterministic=True)) for item in items]
    del repeated[:]
    repeated.extend(kept)
