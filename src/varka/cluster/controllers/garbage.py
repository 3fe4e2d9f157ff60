"""Garbage collection: what has lost all its owners goes, and an owner deleted in the foreground waits for what it owns.

The graph is kept in memory: every object by uid, and by owner's uid what depends on it. An owner that is not in the
graph is asked for at the server before anything is deleted on its account.
"""

from __future__ import annotations

from typing import Any

from varka.client.api import ApiError, Object
from varka.client.informers import Key
from varka.client.resources import Resource
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.kinds import StoredKinds
from varka.cluster.controllers.queues import Reconciler

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"


class Garbage:
    """The collector; keys of its queue are uids."""

    def __init__(self, context: Context, kinds: StoredKinds) -> None:
        self._context = context
        self._kinds = kinds
        self._nodes: dict[str, tuple[Resource, Object]] = {}
        self._dependents: dict[str, set[str]] = {}
        self.reconciler = Reconciler("garbage", self.reconcile, context.clock)
        kinds.add_handler(self._changed)

    def _changed(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        if old is not None:
            uid = old["metadata"]["uid"]
            for owner in _owners(old):
                self._dependents.get(owner["uid"], set()).discard(uid)
                if new is None and owner["uid"] in self._nodes and _marked(self._nodes[owner["uid"]][1], FOREGROUND):
                    self._add(owner["uid"])
            if new is None:
                self._nodes.pop(uid, None)
                for dependent in self._dependents.pop(uid, ()):
                    self._add(dependent)
        if new is not None:
            uid = new["metadata"]["uid"]
            self._nodes[uid] = (resource, new)
            for owner in _owners(new):
                self._dependents.setdefault(owner["uid"], set()).add(uid)
                held = self._nodes.get(owner["uid"])
                if held is None or _marked(held[1], FOREGROUND):
                    self._add(uid)
            if _marked(new, FOREGROUND) or _marked(new, ORPHAN):
                self._add(uid)

    def _add(self, uid: str) -> None:
        self.reconciler.add(Key("", uid))

    async def reconcile(self, key: Key) -> None:
        """Do for one object what its owners' or its own deletion asks."""
        resource, obj = self._nodes.get(key.name, (None, None))
        if resource is None or obj is None:
            return
        if _marked(obj, ORPHAN):
            await self._orphan(resource, obj)
        elif _marked(obj, FOREGROUND):
            await self._foreground(resource, obj)
        elif "deletionTimestamp" not in obj["metadata"] and _owners(obj):
            await self._judge(resource, obj)

    async def _judge(self, resource: Resource, obj: Object) -> None:
        solid, waiting, lost = [], [], []
        for owner in _owners(obj):
            held = self._nodes.get(owner["uid"])
            if held is None and not await self._exists(owner, obj):
                lost.append(owner)
            elif held is not None and _marked(held[1], FOREGROUND):
                waiting.append(owner)
            else:
                solid.append(owner)
        if solid and (lost or waiting):
            await self._patch(resource, obj, {"ownerReferences": solid})
        elif not solid:
            policy = "Foreground" if waiting and self._dependents.get(obj["metadata"]["uid"]) else "Background"
            await self._delete(resource, obj, policy)

    async def _exists(self, owner: Object, dependent: Object) -> bool:
        """Ask the server; an owner of an unknown kind is taken to exist."""
        resource = self._kinds.find(owner["apiVersion"], owner["kind"])
        if resource is None:
            return True
        try:
            found = await self._context.api.get(resource.gvr, owner["name"], dependent["metadata"].get("namespace") if resource.namespaced else None)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return bool(found["metadata"]["uid"] == owner["uid"])

    async def _foreground(self, resource: Resource, obj: Object) -> None:
        blocking = False
        for uid in sorted(self._dependents.get(obj["metadata"]["uid"], ())):
            child = self._nodes.get(uid)
            if child is None:
                continue
            blocking = blocking or any(one["uid"] == obj["metadata"]["uid"] and one.get("blockOwnerDeletion") for one in _owners(child[1]))
            self._add(uid)
        if not blocking:
            await self._drop_finalizer(resource, obj, FOREGROUND)

    async def _orphan(self, resource: Resource, obj: Object) -> None:
        for uid in sorted(self._dependents.get(obj["metadata"]["uid"], ())):
            child = self._nodes.get(uid)
            if child is not None:
                rest = [one for one in _owners(child[1]) if one["uid"] != obj["metadata"]["uid"]]
                await self._patch(child[0], child[1], {"ownerReferences": rest or None})
        await self._drop_finalizer(resource, obj, ORPHAN)

    async def _drop_finalizer(self, resource: Resource, obj: Object, finalizer: str) -> None:
        rest = [one for one in obj["metadata"]["finalizers"] if one != finalizer]
        await self._patch(resource, obj, {"finalizers": rest or None})

    async def _patch(self, resource: Resource, obj: Object, metadata: dict[str, Any]) -> None:
        meta = obj["metadata"]
        patch = {"metadata": {**metadata, "resourceVersion": meta["resourceVersion"]}}
        try:
            await self._context.api.patch(resource.gvr, meta["name"], patch, meta.get("namespace"), manager="garbage-collector")
        except ApiError as error:
            if error.code != 404:
                raise

    async def _delete(self, resource: Resource, obj: Object, policy: str) -> None:
        meta = obj["metadata"]
        try:
            await self._context.api.delete(resource.gvr, meta["name"], meta.get("namespace"), uid=meta["uid"], propagation=policy)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _owners(obj: Object) -> list[Object]:
    return obj["metadata"].get("ownerReferences") or []


def _marked(obj: Object, finalizer: str) -> bool:
    return "deletionTimestamp" in obj["metadata"] and finalizer in (obj["metadata"].get("finalizers") or ())
