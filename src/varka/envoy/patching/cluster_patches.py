"""Patches of clusters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from varka.envoy.patching import changing, matching, merging
from varka.envoy.patching.changing import Record
from varka.model.patches import Operation, Patch


def concerned(patches: Iterable[Patch], name: str, hosts: tuple[str, ...]) -> tuple[Patch, ...]:
    """The patches of those given that change or remove a cluster; known by its name alone, so that others need not be read."""
    return tuple(patch for patch in patches if patch.operation in (Operation.MERGE, Operation.REMOVE) and matching.cluster(patch, name, hosts))


def apply(cluster: Any, patches: Iterable[Patch], record: Record) -> bool:
    """Patch a cluster in place; False when it is to be removed."""
    for patch in patches:
        if patch.operation is Operation.REMOVE:
            record.done(patch)
            return False
        changing.merge(cluster, patch, record, _sockets)
    return True


def _sockets(cluster: Any, change: Any) -> None:
    """A cluster that chooses its transport per endpoint takes the change into those choices of the same kind."""
    if not change.HasField("transport_socket") or cluster.HasField("transport_socket") or not cluster.transport_socket_matches:
        return
    same = [choice for choice in cluster.transport_socket_matches if choice.transport_socket.name == change.transport_socket.name]
    for choice in same:
        merging.merge(choice.transport_socket, change.transport_socket)
    if same:
        change.ClearField("transport_socket")
