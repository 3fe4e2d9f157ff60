"""The server without its sockets: store, registry and verbs put together, dispatching subresources to who answers them."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from typing import Any

from varka.base.clock import Clock
from varka.client.api import Api, ApiError, Object, PatchType
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.kinds import builtin, customresources
from varka.cluster.apiserver.local import LocalApi
from varka.cluster.apiserver.objects.deletion import CRD_CLEANUP, DeleteOptions, Deletion
from varka.cluster.apiserver.objects.lists import Lists
from varka.cluster.apiserver.objects.subresources import Subresources
from varka.cluster.apiserver.objects.writes import Options, Writes, Written
from varka.cluster.apiserver.podruntime import PodRuntime
from varka.cluster.apiserver.registry import Registry, ResourceInfo
from varka.cluster.apiserver.request import ADMIN, Attributes, Extensions
from varka.cluster.store.database import Key
from varka.cluster.store.log import Change
from varka.cluster.store.store import Store

_log = logging.getLogger(__name__)
_CRD = ("apiextensions.k8s.io", "v1", "customresourcedefinitions")


class Core:
    """Everything that answers requests; a `ServerContext`. Call `start` when the store has started."""

    def __init__(self, store: Store, extensions: Extensions, clock: Clock, runtime: PodRuntime | None = None) -> None:
        self.store = store
        self.extensions = extensions
        self.clock = clock
        self.runtime = runtime
        self.registry = Registry([*builtin.infos(), *extensions.virtual])
        self.writes = Writes(store, self.registry, extensions, clock)
        self.deletion = Deletion(self.writes)
        self.lists = Lists(store, self.registry)
        self.subresources = Subresources(self.writes, self.deletion)
        self._tasks: set[asyncio.Task[None]] = set()
        store.observers.append(self._changed)

    @property
    def api(self) -> Api:
        """The API in this process, as system:masters."""
        return LocalApi(self)

    def start(self) -> None:
        """Serve the stored CRDs."""
        for entry in self.store.list(customresources.CRDS):
            self._serve(entry.object)

    async def stop(self) -> None:
        """End background work."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def create(self, attributes: Attributes, body: Any, options: Options) -> Written:
        """`create` of a resource or subresource that answers with an object."""
        info = attributes.info
        if info is None:
            raise errors.path_not_found()
        creator = self.extensions.creators.get((attributes.group, attributes.resource, attributes.subresource))
        if creator is not None:
            parent = self.writes.entry(info, attributes.namespace, attributes.name).object if attributes.subresource else None
            return Written(object=await creator(self, attributes, _body(body), parent), created=True)
        if attributes.group == "" and attributes.resource == "pods" and attributes.subresource in ("binding", "eviction"):
            if attributes.subresource == "binding":
                return Written(object=await self.subresources.bind(attributes, body, options), created=True)
            return Written(object=await self.subresources.evict(attributes, body), created=True)
        if attributes.subresource or info.verbs == ("create",):
            raise errors.method_not_allowed()
        return await self.writes.create(attributes, body, options)

    async def update(self, attributes: Attributes, body: Any, options: Options) -> Written:
        """`update` of an object or subresource."""
        if attributes.subresource == "scale":
            return await self.subresources.set_scale(attributes, None, body, options)
        return await self.writes.update(attributes, body, options)

    async def patch(self, attributes: Attributes, kind: PatchType, patch: Any, options: Options) -> Written:
        """`patch` of an object or subresource."""
        if attributes.subresource == "scale":
            return await self.subresources.set_scale(attributes, kind, patch, options)
        return await self.writes.patch(attributes, kind, patch, options)

    async def delete_collection(self, info: ResourceInfo, attributes: Attributes, matches: list[str], options: DeleteOptions) -> list[Object]:
        """Delete the named objects (`namespace/name`); what is already gone is passed over."""

        async def delete(place: str) -> Object | None:
            namespace, _, name = place.partition("/")
            try:
                return (await self.deletion.delete(dataclasses.replace(attributes, namespace=namespace, name=name), options))[0]
            except ApiError as error:
                if error.code == 404:
                    return None
                raise

        answers = await asyncio.gather(*(delete(place) for place in matches), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer
        return [answer for answer in answers if isinstance(answer, dict)]

    def _changed(self, key: Key, change: Change) -> None:
        if key.resource != customresources.CRDS:
            return
        crd = change.entry.object
        if change.type == "DELETED":
            self.registry.remove(crd["spec"]["group"], crd["spec"]["names"]["plural"])
        else:
            self._serve(crd)

    def _serve(self, crd: Object) -> None:
        customresources.register(self.registry, crd)
        if crd["metadata"].get("deletionTimestamp"):
            task = asyncio.get_running_loop().create_task(self._clean(crd["metadata"]["name"]))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _clean(self, name: str) -> None:
        """Delete all objects of a CRD that is being deleted, and then let it go."""
        definition = self.registry.find(*_CRD)
        entry = self.store.get(customresources.CRDS, "", name)
        if definition is None or entry is None or CRD_CLEANUP not in (entry.object["metadata"].get("finalizers") or ()):
            return
        spec = entry.object["spec"]
        info = next((item for item in self.registry.in_group(spec["group"]) if item.resource == spec["names"]["plural"]), None)
        log = self.store.log(f"{spec['names']['plural']}.{spec['group']}")
        while info is not None and (left := self.store.list(info.key)):
            at = log.last
            attributes = Attributes(user=ADMIN, verb="delete", group=info.group, version=info.version, resource=info.resource, info=info)
            places = [f"{item.object['metadata'].get('namespace', '')}/{item.object['metadata']['name']}" for item in left]
            try:
                await self.delete_collection(info, attributes, places, DeleteOptions())
            except ApiError as error:
                _log.warning("cannot delete all objects of customresourcedefinition %s: %s", name, error.message)
            if self.store.list(info.key):
                await log.wait(at, 30)
        target = Attributes(user=ADMIN, verb="patch", group=_CRD[0], version=_CRD[1], resource=_CRD[2], name=name, info=definition)
        entry = self.store.get(customresources.CRDS, "", name)
        if entry is not None:
            kept = [item for item in entry.object["metadata"].get("finalizers") or () if item != CRD_CLEANUP]
            await self.writes.patch(target, PatchType.MERGE, {"metadata": {"finalizers": kept or None}}, Options(manager="kube-apiserver"))


def _body(body: Any) -> Object:
    if not isinstance(body, dict):
        raise errors.bad_request("the body of the request must be an object")
    return body
