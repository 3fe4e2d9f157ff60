"""What can be said of a patch before it meets a configuration."""

from __future__ import annotations

from dataclasses import dataclass

from varka.envoy.patching import constraints, values
from varka.model.patches import Operation, Patch, Place

BESIDE = frozenset({Operation.INSERT_BEFORE, Operation.INSERT_AFTER, Operation.INSERT_FIRST})
_LISTS = frozenset({Place.LISTENER_FILTER, Place.NETWORK_FILTER, Place.HTTP_FILTER, Place.HTTP_ROUTE})
_MERGED_ONLY = frozenset({Place.ROUTE_CONFIGURATION, Place.BOOTSTRAP})


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`serious`: no such message exists, so the patch can do nothing. Otherwise the patch, or a part of it, is without effect."""

    message: str
    serious: bool = False


def check(patch: Patch) -> tuple[Finding, ...]:
    """Everything that is wrong with one patch by itself."""
    found = _operation(patch)
    if patch.operation is Operation.REMOVE:
        return found
    try:
        value = values.of(patch)
    except values.Unusable as problem:
        return (*found, Finding(message=str(problem), serious=True))
    if value.ignored:
        found = (*found, Finding(message=f"{value.ignored}; it is left out"))
    if patch.operation is not Operation.MERGE and (reason := constraints.broken(value.message)):
        found = (*found, Finding(message=f"Envoy would refuse it: {reason}; the patch is not sent"))
    return found


def _operation(patch: Patch) -> tuple[Finding, ...]:
    place, operation = patch.place, patch.operation
    if operation in BESIDE | {Operation.REPLACE} and place not in _LISTS and not (place is Place.VIRTUAL_HOST and operation is Operation.REPLACE):
        return (Finding(message=f"{operation} does nothing for {place}; use MERGE, ADD or REMOVE"),)
    if place in _MERGED_ONLY and operation is not Operation.MERGE:
        return (Finding(message=f"{operation} does nothing for {place}; use MERGE"),)
    if place is Place.EXTENSION_CONFIG and operation is not Operation.ADD:
        return (Finding(message=f"{operation} does nothing for {place}; use ADD"),)
    return ()
