"""What became of the patches of EnvoyFilters on the proxies that are connected, for the filters' own status.

Some mistakes show only where a patch meets a configuration: typed configuration of another type, a second virtual host
with the same domain, or nothing that matches at all.
"""

from __future__ import annotations

from collections.abc import Callable

from varka.client.api import Object
from varka.envoy.generate import ProxyConfig
from varka.resources import conditions
from varka.resources.conditions import Condition


class PatchReports:
    """`changed` is called when there is something new to say."""

    def __init__(self) -> None:
        self.changed: Callable[[], None] = lambda: None
        self._of: object = None
        self._problems: dict[str, dict[tuple[int, str], None]] = {}
        self._selected: set[tuple[str, int]] = set()
        self._applied: set[tuple[str, int]] = set()

    def begin(self, filters: object) -> None:
        """A push begins; other EnvoyFilters than last time make all that was known void."""
        if filters is not self._of:
            self._of = filters
            self._problems.clear()
            self._selected.clear()
            self._applied.clear()

    def note(self, selected: frozenset[tuple[str, int]], config: ProxyConfig) -> None:
        """The configuration of one proxy was computed."""
        if not selected:
            return
        before = (len(self._selected), len(self._applied), sum(map(len, self._problems.values())))
        self._selected |= selected
        self._applied |= config.applied
        for problem in config.problems:
            self._problems.setdefault(problem.origin, {})[problem.index, problem.message] = None
        if before != (len(self._selected), len(self._applied), sum(map(len, self._problems.values()))):
            self.changed()

    def of(self, obj: Object) -> list[Condition]:
        """The findings for one resource, patches in order."""
        if obj.get("kind") != "EnvoyFilter":
            return []
        origin = f"{obj['metadata'].get('namespace') or ''}/{obj['metadata']['name']}"
        found = [
            conditions.warning(f"spec.configPatches[{index}]", f"not applied: {message}", "PatchNotApplied")
            for index, message in sorted(self._problems.get(origin, {}))
        ]
        idle = sorted(index for name, index in self._selected - self._applied if name == origin)
        found += [conditions.warning(f"spec.configPatches[{index}]", "matches nothing in the proxies that it is for", "PatchMatchesNothing") for index in idle]
        return found
