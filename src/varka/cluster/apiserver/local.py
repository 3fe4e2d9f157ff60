"""The API in the node's own process: the same admission, checks and store as over HTTPS, without sockets and JSON.

What is handed in, and single objects that are handed out, are copies. Objects of lists and watches are shared with the store and
with other callers: copy before changing them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from varka.client.api import Gvr, Object, ObjectList, PatchType, WatchEvent
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.objects import intake
from varka.cluster.apiserver.objects.deletion import DeleteOptions
from varka.cluster.apiserver.objects.lists import ListOptions
from varka.cluster.apiserver.objects.writes import Options
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.request import ADMIN, Attributes, User

if TYPE_CHECKING:
    from varka.cluster.apiserver.core import Core

_Json = TypeVar("_Json")


def _copied(value: _Json) -> _Json:
    copy: _Json = msgspec.json.decode(msgspec.json.encode(value))
    return copy


class LocalApi:
    """`varka.client.api.Api` over the server's core, as one user and one field manager."""

    def __init__(self, core: Core, *, user: User = ADMIN, manager: str = "varka") -> None:
        self._core = core
        self._user = user
        self._manager = manager

    def named(self, manager: str) -> LocalApi:
        """The same API, with another field manager's name in what it writes."""
        return LocalApi(self._core, user=self._user, manager=manager)

    def _info(self, gvr: Gvr) -> ResourceInfo:
        info = self._core.registry.find(gvr.group, gvr.version, gvr.resource)
        if info is None:
            raise errors.path_not_found()
        return info

    def _attributes(self, gvr: Gvr, verb: str, namespace: str | None, name: str = "", subresource: str = "", dry_run: bool = False) -> Attributes:
        info = self._info(gvr)
        return Attributes(
            user=self._user,
            verb=verb,
            group=gvr.group,
            version=gvr.version,
            resource=gvr.resource,
            subresource=subresource,
            namespace=(namespace or "") if info.namespaced or gvr.resource == "namespaces" else "",
            name=name,
            path=gvr.prefix,
            dry_run=dry_run,
            info=info,
        )

    async def get(self, gvr: Gvr, name: str, namespace: str | None = None) -> Object:
        info = self._info(gvr)
        reader = self._core.extensions.readers.get((gvr.group, gvr.resource))
        if reader is not None:
            return await reader(self._core, self._attributes(gvr, "get", namespace, name))
        return _copied(intake.to_version(self._core.writes.entry(info, namespace or "", name).object, info))

    async def list(self, gvr: Gvr, namespace: str | None = None, *, label_selector: str = "", field_selector: str = "") -> ObjectList:
        info = self._info(gvr)
        reader = self._core.extensions.readers.get((gvr.group, gvr.resource))
        if reader is not None:
            answer = await reader(self._core, self._attributes(gvr, "list", namespace))
            return ObjectList(answer.get("items") or [], str(self._core.store.revision))
        options = ListOptions(label_selector=label_selector, field_selector=field_selector)
        page = self._core.lists.page(info, namespace or "", options)
        return ObjectList([intake.to_version(entry.object, info) for entry in page.entries], str(page.revision))

    async def create(self, gvr: Gvr, obj: Object, namespace: str | None = None, *, name: str = "", subresource: str = "", dry_run: bool = False) -> Object:
        space = namespace or (obj.get("metadata") or {}).get("namespace")
        attributes = self._attributes(gvr, "create", space, name, subresource, dry_run)
        return _copied((await self._core.create(attributes, _copied(obj), Options(manager=self._manager, validation=intake.IGNORE, dry_run=dry_run))).object)

    async def update(self, gvr: Gvr, obj: Object, *, subresource: str = "") -> Object:
        meta = obj["metadata"]
        attributes = self._attributes(gvr, "update", meta.get("namespace"), meta["name"], subresource)
        return _copied((await self._core.update(attributes, _copied(obj), Options(manager=self._manager, validation=intake.IGNORE))).object)

    async def patch(
        self,
        gvr: Gvr,
        name: str,
        patch: Any,
        namespace: str | None = None,
        *,
        type: PatchType = PatchType.MERGE,
        subresource: str = "",
        manager: str = "varka",
        force: bool = False,
    ) -> Object:
        attributes = self._attributes(gvr, "patch", namespace, name, subresource)
        chosen = manager if manager != "varka" else self._manager
        options = Options(manager=chosen, validation=intake.IGNORE, force=force)
        return _copied((await self._core.patch(attributes, type, _copied(patch), options)).object)

    async def delete(
        self, gvr: Gvr, name: str, namespace: str | None = None, *, propagation: str = "Background", grace_seconds: int | None = None, uid: str = ""
    ) -> Object:
        attributes = self._attributes(gvr, "delete", namespace, name)
        options = DeleteOptions(propagation=propagation, grace_seconds=grace_seconds, uid=uid)
        obj, _ = await self._core.deletion.delete(attributes, options)
        return _copied(obj)

    async def watch(
        self, gvr: Gvr, namespace: str | None = None, *, resource_version: str, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[WatchEvent]:
        info = self._info(gvr)
        options = ListOptions(label_selector=label_selector, field_selector=field_selector, resource_version=resource_version, bookmarks=True)
        async for batch in self._core.lists.watch(info, namespace or "", options):
            for event in batch:
                if event.entry is None:
                    meta = {"resourceVersion": str(event.revision)}
                    yield WatchEvent("BOOKMARK", {"kind": info.kind, "apiVersion": info.api_version, "metadata": meta})
                else:
                    yield WatchEvent(event.type, intake.to_version(event.entry.object, info))
