"""ReferenceGrants: who may refer to an object of another namespace."""

from __future__ import annotations

from collections.abc import Iterable

from varka.resources import Parsed
from varka.resources.gateway_api import gateways as written
from varka.resources.gateway_api.kinds import GROUP


class Grants:
    """All grants of the cluster."""

    def __init__(self, sources: Iterable[Parsed[written.ReferenceGrant]]) -> None:
        self._known: set[tuple[str, str, str, str, str, str | None]] = set()
        for source in sources:
            if source.spec is None:
                continue
            for who in source.spec.from_:
                for what in source.spec.to:
                    self._known.add((who.group, who.kind, who.namespace, f"{what.group}/{what.kind}", source.meta.namespace, what.name or None))

    def permit(self, kind: str, namespace: str, target: str, target_namespace: str, name: str) -> bool:
        """Whether an object of the Gateway API may refer to `target` (such as `/Service` or `/Secret`) of another namespace."""
        if namespace == target_namespace:
            return True
        asked = (GROUP, kind, namespace, target, target_namespace)
        return (*asked, None) in self._known or (*asked, name) in self._known
