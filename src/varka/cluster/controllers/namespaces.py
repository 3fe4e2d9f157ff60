"""Namespaces: the four that every cluster has, and the emptying of those that are being deleted."""

from __future__ import annotations

import asyncio

from varka.client.api import ApiError, Object
from varka.client.informers import Key
from varka.client.resources import EVENTS, NAMESPACES, Resource
from varka.cluster.controllers import conditions
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.kinds import StoredKinds
from varka.cluster.controllers.queues import Reconciler

SYSTEM = ("default", "kube-system", "kube-public", "kube-node-lease")
FIRST = ("Deployment", "StatefulSet", "DaemonSet", "CronJob", "Job", "ReplicaSet", "Service", "Pod")
"""Kinds that make others go before what they make."""


async def create_system(context: Context) -> None:
    """Create the namespaces of every cluster where they are missing."""
    for name in SYSTEM:
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
        try:
            await context.create(NAMESPACES, body)
        except ApiError as error:
            if error.code != 409:
                raise


class Namespaces:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, kinds: StoredKinds) -> None:
        self._context = context
        self._kinds = kinds
        self._namespaces = context.informer(NAMESPACES)
        self.reconciler = Reconciler("namespaces", self.reconcile, context.clock)
        self._namespaces.add_handler(self.reconciler.on_change())
        kinds.add_handler(self._content_changed)

    def _content_changed(self, resource: Resource, old: Object | None, new: Object | None) -> None:
        if new is None and old is not None and resource.namespaced:
            namespace = self._namespaces.get(old["metadata"]["namespace"])
            if namespace is not None and "deletionTimestamp" in namespace["metadata"]:
                self.reconciler.add(Key("", namespace["metadata"]["name"]))

    async def reconcile(self, key: Key) -> float | None:
        """Empty a namespace that is being deleted, then let it go."""
        namespace = self._namespaces.items.get(key)
        if namespace is None:
            return None
        if "deletionTimestamp" not in namespace["metadata"]:
            await self._label(namespace)
            return None
        if (namespace.get("status") or {}).get("phase") != "Terminating":
            namespace = await self._context.update_status(NAMESPACES, namespace, {**(namespace.get("status") or {}), "phase": "Terminating"})
        remaining = await self._empty(key.name)
        if remaining:
            await self._report(namespace, remaining)
            return self._context.settings.namespace_timeout
        finalizers = (namespace.get("spec") or {}).get("finalizers") or []
        if "kubernetes" in finalizers:
            rest = [one for one in finalizers if one != "kubernetes"]
            await self._context.api.update(NAMESPACES, {**namespace, "spec": {**namespace["spec"], "finalizers": rest}}, subresource="finalize")
        return None

    async def _label(self, namespace: Object) -> None:
        name = namespace["metadata"]["name"]
        if (namespace["metadata"].get("labels") or {}).get("kubernetes.io/metadata.name") != name:
            await self._context.patch(NAMESPACES, namespace, {"metadata": {"labels": {"kubernetes.io/metadata.name": name}}})

    async def _empty(self, name: str) -> dict[str, list[Object]]:
        """Delete what is in the namespace; gives what is not gone yet, by resource."""
        remaining: dict[str, list[Object]] = {}
        namespaced = [resource for resource in self._kinds.all if resource.namespaced]
        for resource in sorted(namespaced, key=lambda one: FIRST.index(one.kind) if one.kind in FIRST else len(FIRST)):
            left = await self._delete_all(resource, name)
            if left:
                remaining[f"{resource.gvr.resource}.{resource.gvr.group}".rstrip(".")] = left
        if not remaining:
            await self._delete_all(Resource(EVENTS, "Event", True), name)
        return remaining

    async def _delete_all(self, resource: Resource, namespace: str) -> list[Object]:
        context = self._context

        async def delete(obj: Object) -> Object | None:
            if "deletionTimestamp" in obj["metadata"]:
                return obj
            try:
                await context.api.delete(resource.gvr, obj["metadata"]["name"], namespace)
            except ApiError as error:
                if error.code not in (404, 409):
                    raise
            return None

        try:
            found = (await context.api.list(resource.gvr, namespace)).items
            await asyncio.gather(*(delete(obj) for obj in found))
            return (await context.api.list(resource.gvr, namespace)).items if found else []
        except ApiError as error:
            if error.code in (404, 405):
                return []
            raise

    async def _report(self, namespace: Object, remaining: dict[str, list[Object]]) -> None:
        """Say in the status what holds the deletion up, as Kubernetes does."""
        counts = ", ".join(f"{resource} has {len(objects)} resource instances" for resource, objects in sorted(remaining.items()))
        held: dict[str, int] = {}
        for objects in remaining.values():
            for obj in objects:
                for finalizer in obj["metadata"].get("finalizers") or ():
                    held[finalizer] = held.get(finalizer, 0) + 1
        finalizers = ", ".join(f"{name} in {count} resource instances" for name, count in sorted(held.items()))
        status = namespace.get("status") or {}
        now, listed = self._context.timestamp(), list(status.get("conditions") or ())
        for condition in (
            ("NamespaceDeletionContentFailure", "False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"),
            ("NamespaceContentRemaining", "True", "SomeResourcesRemain", f"Some resources are remaining: {counts}"),
            (
                ("NamespaceFinalizersRemaining", "True", "SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {finalizers}")
                if held
                else ("NamespaceFinalizersRemaining", "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished")
            ),
        ):
            listed = conditions.put(listed, dict(zip(("type", "status", "reason", "message"), condition, strict=True)), now)
        await self._context.update_status(NAMESPACES, namespace, {**status, "conditions": listed})
