"""How far a proxy has got with each discovery service, as `istioctl proxy-status` shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from varka.xds import types
from varka.xds.resource_set import ResourceSet
from varka.xds.streams import StreamState, Subscription


class Sync(StrEnum):
    """The words of `proxy-status`."""

    SYNCED = "SYNCED"
    STALE = "STALE"
    NOT_SENT = "NOT SENT"
    ERROR = "ERROR"


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeStatus:
    """One type on one stream. `rejected` maps a resource to the proxy's reason for refusing it."""

    type_url: str
    sync: Sync
    nonce_sent: str
    nonce_acked: str
    error: str
    rejected: Mapping[str, str]
    resources: int
    """How many the proxy has been told of."""


def of(state: StreamState, resources: Mapping[str, ResourceSet]) -> dict[str, TypeStatus]:
    """Every type, by its short name (`cds`, …)."""
    return {short: _one(type_url, state.types.get(type_url), resources.get(type_url)) for type_url, short in types.SHORT.items()}


def _one(type_url: str, subscription: Subscription | None, current: ResourceSet | None) -> TypeStatus:
    if subscription is None:
        return TypeStatus(type_url=type_url, sync=Sync.NOT_SENT, nonce_sent="", nonce_acked="", error="", rejected={}, resources=0)
    base = subscription.base
    count = 0 if base is None else len(base) if subscription.wildcard else sum(1 for name in subscription.names if base.get(name) is not None)
    return TypeStatus(
        type_url=type_url,
        sync=_sync(subscription, current),
        nonce_sent=subscription.nonce_sent,
        nonce_acked=subscription.nonce_acked,
        error=subscription.error,
        rejected={name: error for name, (_, error) in sorted(subscription.rejected.items())},
        resources=count,
    )


def _sync(subscription: Subscription, current: ResourceSet | None) -> Sync:
    if subscription.rejected or (subscription.error and subscription.outstanding is None):
        return Sync.ERROR
    if not subscription.nonce_sent:
        return Sync.SYNCED if subscription.restored and subscription.base is not None else Sync.NOT_SENT
    if subscription.outstanding is not None:
        return Sync.STALE
    if current is not None and subscription.base is not None:
        updated, removed = subscription.differences(current)
        if updated or removed:
            return Sync.STALE
    return Sync.SYNCED
