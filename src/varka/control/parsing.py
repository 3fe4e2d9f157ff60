"""Objects of the API as typed resources, each parsed once for as long as nothing in it changes that matters.

The very same `Parsed`, in the very same tuple, is handed on until then, because later stages recognise what is
unchanged by identity. Status updates of pods, which come many times a minute, therefore cost nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from varka import resources as typed
from varka.client.api import Gvr, Object
from varka.control.state import ASPECTS, ClusterState, all_but_status
from varka.model import inputs
from varka.resources import validation
from varka.resources.parsing import Parsed

Aspect = Callable[[Object], object]
_Key = tuple[str, str]


class _Kind:
    """One kind: the raw object and the typed one by namespace and name, and the tuple for the stages."""

    def __init__(self) -> None:
        self.version = -1
        self.kept: dict[_Key, tuple[Object, Parsed[Any]]] = {}
        self.typed: tuple[Parsed[Any], ...] = ()
        self.field: str | None = None

    def take(self, objects: Iterable[Object], aspect: Aspect) -> None:
        kept: dict[_Key, tuple[Object, Parsed[Any]]] = {}
        for obj in objects:
            meta = obj["metadata"]
            key = (meta.get("namespace") or "", meta["name"])
            old = self.kept.get(key)
            if old is not None and (old[0] is obj or (old[0]["metadata"].get("uid") == meta.get("uid") and aspect(old[0]) == aspect(obj))):
                kept[key] = (obj, old[1])
            else:
                kept[key] = (obj, validation.usable(typed.parse(obj)))
        self.kept = kept
        found = tuple(kept[key][1] for key in sorted(kept) if kept[key][1].spec is not None)
        if len(found) != len(self.typed) or any(one is not other for one, other in zip(found, self.typed, strict=True)):
            self.typed = found
        first = next(iter(kept.values()), None)
        if first is not None:
            self.field = inputs.FIELDS.get((first[1].group, first[1].kind))


class ParsedObjects:
    """The typed form of everything in a ClusterState."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._kinds: dict[Gvr, _Kind] = {}

    def current(self) -> dict[str, tuple[Parsed[Any], ...]]:
        """By field of `model.inputs.Inputs`: the resources that can be used, in order of namespace and name."""
        served = self._state.mesh_informers()
        for gvr, aspect in ASPECTS.items():
            self._look(gvr, aspect, self._state.objects)
        for gvr in served:
            self._look(gvr, all_but_status, lambda wanted: [obj for obj in served[wanted].items.values() if self._state.ours(obj)])
        for gone in [gvr for gvr in self._kinds if gvr not in ASPECTS and gvr not in served]:
            del self._kinds[gone]
        return {kind.field: kind.typed for kind in self._kinds.values() if kind.field is not None}

    def all(self) -> tuple[Parsed[Any], ...]:
        """Every usable resource as it was at the last `current`, of all kinds."""
        return tuple(item for kind in self._kinds.values() for item in kind.typed)

    def _look(self, gvr: Gvr, aspect: Aspect, objects: Callable[[Gvr], list[Object]]) -> None:
        kind = self._kinds.setdefault(gvr, _Kind())
        version = self._state.versions[gvr]
        if version != kind.version:
            kind.take(objects(gvr), aspect)
            kind.version = version
