"""Patches of a route configuration, its virtual hosts and their routes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from varka.envoy.patching import changing, matching
from varka.envoy.patching.changing import Record
from varka.model.patches import Operation, Patch, Place

if TYPE_CHECKING:
    from varka.envoy.patching.listener_patches import Work

PLACES = (Place.ROUTE_CONFIGURATION, Place.VIRTUAL_HOST, Place.HTTP_ROUTE)


def apply(configuration: Any, work: Work) -> None:
    """Patch a route configuration in place."""
    for patch in _for(configuration, work, Place.ROUTE_CONFIGURATION):
        if patch.operation is Operation.MERGE:
            changing.merge(configuration, patch, work.record)
    for patch in _for(configuration, work, Place.VIRTUAL_HOST):
        _virtual_hosts(configuration, patch, work.record)
    patched = _for(configuration, work, Place.HTTP_ROUTE)
    if not patched:
        return
    for host in configuration.virtual_hosts:
        items = list(host.routes)
        for patch in patched:
            if matching.virtual_host(patch.route, host):
                items = changing.elements(items, patch, partial(matching.route, patch.route), matching.specific(patch), work.record)
        changing.replace_all(host.routes, items)


def _for(configuration: Any, work: Work, place: Place) -> list[Patch]:
    return [patch for patch in work.at(place) if matching.route_configuration(patch, configuration.name, work.context, work.ports)]


def _virtual_hosts(configuration: Any, patch: Patch, record: Record) -> None:
    if patch.operation is Operation.ADD:
        added = changing.value(patch, record)
        if added is None:
            return
        reason = _taken(configuration, added)
        if reason:
            record.refuse(patch, reason)
            return
        configuration.virtual_hosts.add().CopyFrom(added)
        record.done(patch)
        return
    kept = []
    for host in configuration.virtual_hosts:
        if matching.virtual_host(patch.route, host):
            if patch.operation is Operation.REMOVE:
                record.done(patch)
                continue
            if patch.operation is Operation.MERGE:
                changing.merge(host, patch, record)
            elif patch.operation is Operation.REPLACE and (other := changing.value(patch, record)) is not None:
                host.CopyFrom(other)
                record.done(patch)
        kept.append(host)
    if len(kept) != len(configuration.virtual_hosts):
        changing.replace_all(configuration.virtual_hosts, kept)


def _taken(configuration: Any, added: Any) -> str:
    """Envoy refuses a whole route configuration in which two virtual hosts share a name or a domain."""
    for host in configuration.virtual_hosts:
        if host.name == added.name:
            return f"route configuration {configuration.name} already has a virtual host {added.name}"
        shared = sorted(set(host.domains) & set(added.domains))
        if shared:
            return f"the domain {shared[0]} belongs to the virtual host {host.name} of route configuration {configuration.name}"
    return ""
