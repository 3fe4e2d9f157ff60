"""Follows the API server and keeps the files with targets as its objects say."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from varka.client import resources
from varka.client.api import Api, Gvr, Object
from varka.client.informers import Informers
from varka.telemetry.prometheus import targets
from varka.telemetry.prometheus.configuration import Discovery

NEEDED: dict[str, tuple[Gvr, ...]] = {
    "node": (resources.NODES,),
    "service": (resources.SERVICES,),
    "pod": (resources.PODS,),
    "endpoints": (resources.ENDPOINTS, resources.SERVICES, resources.PODS),
    "endpointslice": (resources.ENDPOINT_SLICES, resources.SERVICES, resources.PODS),
    "ingress": (),
}
LOOK_SECONDS = 1.0


class Follower:
    """Writes the targets of some discoveries into a folder, a file each, whenever they change."""

    def __init__(self, api: Api, namespace: str, folder: Path) -> None:
        self._informers = Informers(api)
        self._namespace = namespace
        self._folder = folder
        self._wanted: tuple[Discovery, ...] = ()
        self._written: dict[str, str] = {}

    def want(self, discoveries: tuple[Discovery, ...]) -> None:
        """From now on keep the files of these; files that are not there yet are made empty at once."""
        self._wanted = discoveries
        for discovery in discoveries:
            for gvr in NEEDED[discovery.role]:
                self._informers.of(gvr)
            if not (self._folder / discovery.file).exists():
                self._write(discovery.file, "[]")

    async def run(self) -> None:
        """Until cancelled; nothing is written before the first lists are here, so that a restart loses no target."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._informers.run(), name="informers")
            while True:
                for discovery in self._wanted:
                    if all(self._informers.of(gvr).synced.is_set() for gvr in NEEDED[discovery.role]):
                        self._write(discovery.file, json.dumps(targets.of(discovery.role, self._known(discovery)), indent=1))
                await asyncio.sleep(LOOK_SECONDS)

    def _known(self, discovery: Discovery) -> targets.Known:
        known = targets.Known(
            pods=self._objects(resources.PODS, discovery),
            services=self._objects(resources.SERVICES, discovery),
            endpoints=self._objects(resources.ENDPOINTS, discovery),
            slices=self._objects(resources.ENDPOINT_SLICES, discovery),
            nodes=self._objects(resources.NODES, discovery, cluster=True),
        )
        index = {
            (kind, each["metadata"]["namespace"], each["metadata"]["name"]): each
            for kind, found in (("Pod", known.pods), ("Service", known.services))
            for each in found
        }
        return replace(known, index=index)

    def _objects(self, gvr: Gvr, discovery: Discovery, cluster: bool = False) -> tuple[Object, ...]:
        if gvr not in NEEDED[discovery.role]:
            return ()
        names = {*discovery.namespaces, *((self._namespace,) if discovery.own_namespace else ())}
        own = gvr == NEEDED[discovery.role][0]
        found: Iterable[Object] = (
            each
            for each in self._informers.of(gvr)
            if (cluster or not names or each["metadata"]["namespace"] in names)
            and (not own or _selected(discovery.labels, each["metadata"].get("labels") or {}))
        )
        return tuple(sorted(found, key=lambda each: (each["metadata"].get("namespace") or "", each["metadata"]["name"])))

    def _write(self, name: str, text: str) -> None:
        if self._written.get(name) == text:
            return
        draft = self._folder / f".{name}"
        draft.write_text(text)
        draft.replace(self._folder / name)
        self._written[name] = text


def _selected(selector: str, labels: dict[str, str]) -> bool:
    """Whether labels fit a selector of the forms `a=b`, `a!=b`, `a`, `!a`."""
    for part in filter(None, (each.strip() for each in selector.split(","))):
        key, unequal, value = part.partition("!=")
        if unequal:
            fits = labels.get(key) != value
        elif "=" in part:
            key, _, value = part.replace("==", "=").partition("=")
            fits = labels.get(key) == value
        else:
            fits = (part.removeprefix("!") in labels) is not part.startswith("!")
        if not fits:
            return False
    return True
