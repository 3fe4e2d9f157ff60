"""The list of conditions in a status."""

from __future__ import annotations

from varka.client.api import Object


def find(obj: Object, kind: str) -> Object | None:
    """The condition of type `kind` in an object's status."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition["type"] == kind:
            found: Object = condition
            return found
    return None


def holds(obj: Object, kind: str) -> bool:
    """The condition of type `kind` is True."""
    condition = find(obj, kind)
    return condition is not None and condition["status"] == "True"


def put(conditions: list[Object], condition: Object, now: str) -> list[Object]:
    """`conditions` with `condition` in it; its transition time is kept while its status stays."""
    result: list[Object] = []
    placed = False
    for old in conditions:
        if old["type"] != condition["type"]:
            result.append(old)
            continue
        since = old.get("lastTransitionTime", now) if old["status"] == condition["status"] else now
        result.append({**condition, "lastTransitionTime": since})
        placed = True
    return result if placed else [*result, {**condition, "lastTransitionTime": now}]
