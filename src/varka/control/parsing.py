"""Objects of the API as typed resources, each parsed once for as long as nothing in it changes that matters.

The very same `Parsed` is handed on until then, because later stages recognise what is unchanged by identity. Status
updates of pods, which come many times a minute, therefore cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from varka import resources as typed
from varka.client.api import Object
from varka.control.state import ASPECTS, ClusterState, all_but_status
from varka.resources.parsing import Parsed

Aspect = Callable[[Object], object]


class ParsedObjects:
    """The typed form of everything in a ClusterState."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._kept: dict[tuple[str, str, str], tuple[Object, Parsed[Any]]] = {}

    def current(self) -> list[Parsed[Any]]:
        """All resources, by kind, namespace and name."""
        kept: dict[tuple[str, str, str], tuple[Object, Parsed[Any]]] = {}
        for gvr, aspect in ASPECTS.items():
            self._take(self._state.objects(gvr), aspect, kept)
        self._take(self._state.mesh_objects(), all_but_status, kept)
        self._kept = kept
        return [kept[key][1] for key in sorted(kept)]

    def _take(self, objects: Iterable[Object], aspect: Aspect, kept: dict[tuple[str, str, str], tuple[Object, Parsed[Any]]]) -> None:
        for obj in objects:
            meta = obj["metadata"]
            key = (f"{obj['kind']}.{obj['apiVersion'].partition('/')[0]}", meta.get("namespace") or "", meta["name"])
            old = self._kept.get(key)
            if old is not None and (old[0] is obj or (old[0]["metadata"].get("uid") == meta.get("uid") and aspect(old[0]) == aspect(obj))):
                kept[key] = (obj, old[1])
            else:
                kept[key] = (obj, typed.parse(obj))
