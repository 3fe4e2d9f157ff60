"""What some kinds need from the rest of the cluster when they are written: a namespace, a service account, an address."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from varka.client.api import Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.errors import Cause
from varka.cluster.apiserver.kinds import defaults, pods, rules, services
from varka.cluster.apiserver.kinds.customresources import CRDS, accept, resources
from varka.cluster.apiserver.registry import ResourceInfo

if TYPE_CHECKING:
    from varka.cluster.store.store import Store

ACCOUNT_WAIT = 3.0
"""Seconds for the namespace's default service account to appear, since a controller makes it."""
_POLL = 0.02
_NAMESPACES = ResourceInfo(group="", version="v1", resource="namespaces", kind="Namespace", namespaced=False)
keep_service = services.carry_over


class Preparation:
    """Looks things up in the store and keeps the addresses in use."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._allocator: services.Allocator | None = None
        self.needs_account = True
        """Whether pods are refused when their service account does not exist; off in a server without controllers."""

    @property
    def allocator(self) -> services.Allocator:
        """The addresses and ports in use, read from the store at first."""
        if self._allocator is None:
            self._allocator = services.Allocator(entry.object for entry in self._store.list("services"))
        return self._allocator

    def check_namespace(self, info: ResourceInfo, obj: Object) -> None:
        """ApiError when an object's namespace is not there or is being deleted."""
        if not info.namespaced:
            return
        name = obj["metadata"].get("namespace", "")
        found = self._store.get("namespaces", "", name)
        if found is None:
            raise errors.not_found(_NAMESPACES, name)
        if found.object["metadata"].get("deletionTimestamp"):
            text = f"unable to create new content in namespace {name} because it is being terminated"
            cause = {"reason": "NamespaceTerminating", "message": f"namespace {name} is being terminated", "field": "metadata.namespace"}
            raise errors.forbidden(info, obj["metadata"].get("name", ""), text, [cause])

    async def admit(self, info: ResourceInfo, obj: Object) -> None:
        """What a new pod is given: its service account, tolerations, priority and QoS class, in place."""
        if info.key != "pods":
            return
        spec = obj["spec"]
        name = spec.get("serviceAccountName") or "default"
        spec["serviceAccountName"] = spec["serviceAccount"] = name
        if (obj["metadata"].get("annotations") or {}).get("kubernetes.io/config.mirror") is None:
            account = await self._account(info, obj, name)
            if account is not None:
                pods.add_service_account(obj, account)
        pods.add_tolerations(spec)
        defaults.pod_spec(spec)
        obj["status"]["qosClass"] = pods.qos_class(spec)

    async def _account(self, info: ResourceInfo, obj: Object, name: str) -> Object | None:
        namespace = obj["metadata"]["namespace"]
        found = self._store.get("serviceaccounts", namespace, name)
        if not self.needs_account:
            return found.object if found else None
        waited = 0.0
        while found is None and name == "default" and waited < ACCOUNT_WAIT:
            await asyncio.sleep(_POLL)
            waited += _POLL
            found = self._store.get("serviceaccounts", namespace, name)
        if found is None:
            text = f'error looking up service account {namespace}/{name}: serviceaccount "{name}" not found'
            raise errors.forbidden(info, obj["metadata"].get("name", ""), text)
        return found.object

    def finish(self, info: ResourceInfo, obj: Object, old: Object | None, *, dry_run: bool) -> list[Cause]:
        """Last things before an object is checked, in place: a service's address, a CRD's conditions. Causes when they cannot be had."""
        if info.key == "services" and not services.validate(obj):
            return self.allocator.assign(obj, dry_run=dry_run)
        if info.key == CRDS and not rules.of(CRDS).check(obj):
            try:
                list(resources(obj))
            except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
                return [Cause("spec.versions", "FieldValueInvalid", f"Invalid value: the schema cannot be used: {error}")]
            accept(obj, obj["metadata"].get("creationTimestamp", ""))
        return []

    def release(self, info: ResourceInfo, obj: Object) -> None:
        """Give back what was reserved for a new object that was not stored, or that has gone."""
        if info.key == "services":
            self.allocator.release(obj["metadata"]["uid"])
