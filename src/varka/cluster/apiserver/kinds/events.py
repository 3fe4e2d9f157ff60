"""Events have two forms, that of the core group and that of events.k8s.io; they are kept in the first and shown in both."""

from __future__ import annotations

from varka.client.api import Object

_NEW_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "reportingComponent": "reportingController",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
}
_OLD_NAMES = {new: old for old, new in _NEW_NAMES.items()}


def to_new(obj: Object) -> Object:
    """A core event as events.k8s.io/v1 shows it."""
    return {_NEW_NAMES.get(key, key): value for key, value in obj.items()} | {"apiVersion": "events.k8s.io/v1"}


def to_core(obj: Object) -> Object:
    """An event of events.k8s.io/v1 in the core group's form."""
    return {_OLD_NAMES.get(key, key): value for key, value in obj.items()} | {"apiVersion": "v1"}
