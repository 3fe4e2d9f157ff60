"""Patches of a listener and of all that is in it: listener filters, chains, network filters, HTTP filters, inline routes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from varka.envoy import messages
from varka.envoy.listeners import http_filters
from varka.envoy.patching import changing, matching, route_patches, values
from varka.envoy.patching.changing import Record
from varka.model.patches import Context, Operation, Patch, Place

MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
ROUTER = "envoy.extensions.filters.http.router.v3.Router"
TERMINAL = frozenset(
    f"envoy.extensions.filters.network.{name}"
    for name in (
        "http_connection_manager.v3.HttpConnectionManager",
        "tcp_proxy.v3.TcpProxy",
        "redis_proxy.v3.RedisProxy",
        "thrift_proxy.v3.ThriftProxy",
        "dubbo_proxy.v3.DubboProxy",
        "generic_proxy.v3.GenericProxy",
        "echo.v3.Echo",
        "direct_response.v3.Config",
    )
)
"""Network filters that must stand at the end of a chain."""

Grouped = Mapping[Place, tuple[Patch, ...]]
_INSIDE = (Place.NETWORK_FILTER, Place.HTTP_FILTER, Place.ROUTE_CONFIGURATION, Place.VIRTUAL_HOST, Place.HTTP_ROUTE)


class Work(Struct, frozen=True, kw_only=True):
    """The patches of one context, by place, and where their outcome is recorded."""

    grouped: Grouped
    context: Context
    record: Record
    ports: matching.Ports = matching.NO_PORTS

    def at(self, place: Place) -> tuple[Patch, ...]:
        return tuple(patch for patch in self.grouped.get(place, ()) if matching.in_context(patch, self.context))


def apply(listener: Any, work: Work) -> bool:
    """Patch a listener in place; False when it is to be removed."""
    for patch in work.at(Place.LISTENER):
        if not matching.listener(patch, listener):
            continue
        if patch.operation is Operation.REMOVE:
            work.record.done(patch)
            return False
        if patch.operation is Operation.MERGE:
            changing.merge(listener, patch, work.record)
    _listener_filters(listener, work)
    for patch in work.at(Place.FILTER_CHAIN):
        if matching.listener(patch, listener):
            _chains(listener, patch, work.record)
    if any(work.at(place) for place in _INSIDE):
        for chain in (*listener.filter_chains, *([listener.default_filter_chain] if listener.HasField("default_filter_chain") else ())):
            _inside(listener, chain, work)
    return True


def _listener_filters(listener: Any, work: Work) -> None:
    items = list(listener.listener_filters)
    patched = work.at(Place.LISTENER_FILTER)
    for patch in patched:
        if matching.listener(patch, listener):
            wanted = patch.listener.listener_filter if patch.listener is not None else ""
            items = changing.elements(items, patch, partial(_is_named, wanted), matching.specific(patch), work.record)
    if patched:
        changing.replace_all(listener.listener_filters, items)


def _is_named(wanted: str, item: Any) -> bool:
    return bool(wanted) and matching.same_name(wanted, item.name)


def _may_be_named(wanted: str, item: Any) -> bool:
    return matching.same_name(wanted, item.name)


def _chains(listener: Any, patch: Patch, record: Record) -> None:
    if patch.operation is Operation.ADD:
        added = changing.value(patch, record)
        if added is None:
            return
        taken = {_condition(chain) for chain in listener.filter_chains}
        if _condition(added) in taken:
            record.refuse(patch, f"listener {listener.name} already has a filter chain with the same filterChainMatch")
            return
        listener.filter_chains.add().CopyFrom(added)
        record.done(patch)
        return
    kept = []
    for chain in listener.filter_chains:
        if matching.chain(patch, listener.name, chain):
            if patch.operation is Operation.REMOVE:
                record.done(patch)
                continue
            if patch.operation is Operation.MERGE:
                changing.merge(chain, patch, record)
        kept.append(chain)
    if len(kept) != len(listener.filter_chains):
        changing.replace_all(listener.filter_chains, kept)
    if listener.HasField("default_filter_chain") and matching.chain(patch, listener.name, listener.default_filter_chain):
        if patch.operation is Operation.MERGE:
            changing.merge(listener.default_filter_chain, patch, record)
        elif patch.operation is Operation.REMOVE:
            listener.ClearField("default_filter_chain")
            record.done(patch)


def _condition(chain: Any) -> bytes:
    return bytes(chain.filter_chain_match.SerializeToString(deterministic=True))


def _inside(listener: Any, chain: Any, work: Work) -> None:
    before = list(chain.filters)
    items = before
    for patch in work.at(Place.NETWORK_FILTER):
        if matching.listener(patch, listener) and matching.chain(patch, listener.name, chain):
            wanted = patch.listener.filter if patch.listener is not None else ""
            changed = changing.elements(
                [_copy(item) for item in items],
                patch,
                partial(_may_be_named, wanted),
                matching.specific(patch),
                work.record,
            )
            items = _terminated(changed, items, patch, work.record)
    for item in items:
        if item.typed_config.type_url == messages.TYPE_PREFIX + MANAGER:
            _manager(listener, chain, item, work)
    if items is not before:
        changing.replace_all(chain.filters, items)


def _copy(item: Any) -> Any:
    result = type(item)()
    result.CopyFrom(item)
    return result


def _terminated(changed: list[Any], before: list[Any], patch: Patch, record: Record) -> list[Any]:
    """The filter that ends the chain stays at its end, wherever the new one was put; there must be exactly one."""
    ends = [item for item in changed if values.message_name(item.typed_config) in TERMINAL]
    if len(ends) > 1 and patch.operation is not Operation.MERGE:
        record.refuse(patch, f"the filter chain already ends with {ends[0].name}; use REPLACE")
        return before
    if not ends and changed and any(values.message_name(item.typed_config) in TERMINAL for item in before) and patch.operation is Operation.REMOVE:
        record.refuse(patch, "a filter chain cannot do without the filter at its end; use REPLACE")
        return before
    return [*(item for item in changed if item not in ends), *ends]


def _manager(listener: Any, chain: Any, network_filter: Any, work: Work) -> None:
    """Patch what is inside of one connection manager, and pack it again when something was."""
    wanted = [
        patch
        for patch in work.at(Place.HTTP_FILTER)
        if matching.listener(patch, listener)
        and matching.chain(patch, listener.name, chain)
        and matching.same_name(patch.listener.filter if patch.listener is not None else "", network_filter.name)
    ]
    routed = any(work.at(place) for place in route_patches.PLACES)
    if not wanted and not routed:
        return
    manager = values.unpacked(network_filter.typed_config)
    before = [_copy(item) for item in manager.http_filters]
    http_filters.awake(before)
    items = before
    for patch in wanted:
        name = patch.listener.sub_filter if patch.listener is not None else ""
        changed = changing.elements(
            [_copy(item) for item in items],
            patch,
            partial(_is_named, name),
            matching.specific(patch),
            work.record,
        )
        items = _routed(changed, items, patch, work.record)
    if items != before:
        changing.replace_all(manager.http_filters, items)
    if routed and manager.HasField("route_config"):
        route_patches.apply(manager.route_config, work)
    network_filter.typed_config.CopyFrom(messages.packed(manager))


def _routed(changed: list[Any], before: list[Any], patch: Patch, record: Record) -> list[Any]:
    """The router stays at the end; without one no request would be answered."""
    ends = [item for item in changed if values.message_name(item.typed_config) == ROUTER]
    if len(ends) != 1:
        record.refuse(patch, "an HTTP connection manager needs exactly one router, at the end")
        return before
    return [*(item for item in changed if item is not ends[0]), ends[0]]
