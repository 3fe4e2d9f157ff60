"""Where a validation puts what it finds."""

from __future__ import annotations

from collections.abc import Iterable

from varka.resources import conditions
from varka.resources.conditions import Condition, Severity

_ORDER = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.INFO: 2}


class Findings:
    """Errors and warnings with their paths, in the order in which they were met."""

    def __init__(self, known: Iterable[Condition] = ()) -> None:
        self._items: list[Condition] = list(known)

    def error(self, path: str, message: str) -> None:
        """Note that a field is wrong."""
        self._add(conditions.error(path, message))

    def warning(self, path: str, message: str, reason: str = "Questionable") -> None:
        """Note that a field is doubtful."""
        self._add(conditions.warning(path, message, reason))

    def info(self, path: str, message: str, reason: str = "Note") -> None:
        """Note what the status tells, and nothing warns of."""
        self._add(conditions.info(path, message, reason))

    def _add(self, item: Condition) -> None:
        if item not in self._items:
            self._items.append(item)

    def sorted(self) -> tuple[Condition, ...]:
        """All of it, errors first."""
        return tuple(sorted(self._items, key=lambda item: _ORDER[item.severity]))
