"""What is wrong with the mesh's resources together: the analyzers of `istioctl analyze`, run by the control plane itself.

An analysis of a large mesh takes a second of computing. It runs in a thread, on values that nobody changes, well after
the proxies have what they need, and never more than a small part of the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from varka import resources
from varka.analysis import analyzers
from varka.analysis.context import Context, Surroundings
from varka.analysis.messages import Message
from varka.base.clock import Clock
from varka.client.api import Object
from varka.control.pipeline import MeshPipeline
from varka.control.state import ClusterState
from varka.model.routing import references
from varka.model.routing.references import Ref
from varka.model.snapshot import Snapshot
from varka.resources import Condition, Parsed

_ELSEWHERE = (
    "annotations.",
    "conditions.",
    "deployment.",
    "externalcontrolplane.",
    "injection.",
    "multicluster.",
    "schema.",
    "service.",
    "webhook.",
)
"""Analyzers that speak of other kinds than Istio's, or of what validation or a status says already."""
NAMES = tuple(name for name in analyzers.ANALYZERS if not name.startswith(_ELSEWHERE))
PART = 20
"""The analysis takes at most one part in so many of the time."""
LEAST_SECONDS = 2.0


class Diagnosis:
    """`refresh` looks at the mesh as it is in the newest snapshot; `references` and `messages` have what it found last."""

    def __init__(self, state: ClusterState, pipeline: MeshPipeline, clock: Clock) -> None:
        self._state = state
        self._pipeline = pipeline
        self._clock = clock
        self.references: Mapping[Ref, tuple[Condition, ...]] = {}
        self.messages: Mapping[Ref, tuple[Message, ...]] = {}
        self.rest = LEAST_SECONDS
        """How long to wait before the next."""

    async def refresh(self) -> bool:
        """Whether anything is different from last time."""
        snapshot = self._pipeline.snapshot
        if snapshot is None or not any(informer.items for informer in self._state.mesh_informers().values()):
            found: tuple[Mapping[Ref, Any], Mapping[Ref, Any]] = {}, {}
        else:
            around = Surroundings(mesh_config=self._state.mesh_config, now=self._clock.now().timestamp())
            secrets = [*self._state.secrets.items.values()]
            started = self._clock.monotonic()
            found = await asyncio.to_thread(diagnose, self._pipeline.parsed(), snapshot, around, secrets)
            self.rest = max(LEAST_SECONDS, PART * (self._clock.monotonic() - started))
        if (self.references, self.messages) == found:
            return False
        self.references, self.messages = found
        return True


def diagnose(
    parsed: Sequence[Parsed[Any]], snapshot: Snapshot, around: Surroundings, secrets: Sequence[Object] = ()
) -> tuple[dict[Ref, tuple[Condition, ...]], dict[Ref, tuple[Message, ...]]]:
    """Conditions about references, and messages of analyzers, by resource."""
    read = [resources.parse({**secret, "apiVersion": "v1", "kind": "Secret"}) for secret in secrets]
    found: dict[Ref, list[Message]] = {}
    for message in analyzers.run(Context.read([*parsed, *read], snapshot, around), NAMES):
        found.setdefault((message.kind, message.namespace, message.name), []).append(message)
    return dict(references.find(snapshot)), {ref: tuple(items) for ref, items in found.items()}
