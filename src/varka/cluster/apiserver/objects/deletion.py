"""Deleting objects: preconditions, grace periods of pods, finalizers and propagation, namespaces and CRDs with what is in them.

An object goes at once when nothing holds it. Otherwise it gets a deletionTimestamp, and goes when its last finalizer is
removed (or, for a pod, when the runtime deletes it with grace 0).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from varka.base.clock import rfc3339
from varka.client.api import ApiError, Object
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.kinds.customresources import CRDS
from varka.cluster.apiserver.objects import intake
from varka.cluster.apiserver.objects.writes import MAX_ATTEMPTS, Writes
from varka.cluster.apiserver.registry import ResourceInfo
from varka.cluster.apiserver.request import Attributes, NoAdmission
from varka.cluster.store.log import Entry
from varka.cluster.store.store import RevisionConflict, StoreFailed

FOREGROUND, ORPHAN = "foregroundDeletion", "orphan"
CRD_CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
"""The finalizer that holds a CRD until its objects are gone."""
_PROTECTED = frozenset(["default", "kube-system", "kube-public"])


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteOptions:
    """DeleteOptions of the API; `propagation` is Background, Foreground, Orphan or empty."""

    propagation: str = ""
    grace_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""
    dry_run: bool = False

    @classmethod
    def parse(cls, body: Any, query: dict[str, str]) -> DeleteOptions:
        """From a request's body and query; ApiError 422 for an unknown propagation policy."""
        body = body if isinstance(body, dict) else {}
        conditions = body.get("preconditions") or {}
        propagation = body.get("propagationPolicy") or query.get("propagationPolicy", "")
        if body.get("orphanDependents") is True:
            propagation = "Orphan"
        if propagation not in ("", "Background", "Foreground", "Orphan"):
            text = f'DeleteOptions "" is invalid: propagationPolicy: Unsupported value: "{propagation}": supported values: "Background", "Foreground", "Orphan"'
            raise ApiError(422, "Invalid", text)
        grace = body.get("gracePeriodSeconds")
        if grace is None and "gracePeriodSeconds" in query:
            try:
                grace = int(query["gracePeriodSeconds"])
            except ValueError:
                raise errors.bad_request("gracePeriodSeconds must be a number") from None
        if grace is not None and (not isinstance(grace, int) or isinstance(grace, bool)):
            raise errors.bad_request("gracePeriodSeconds must be a number")
        return cls(
            propagation=propagation,
            grace_seconds=grace,
            uid=conditions.get("uid") or "",
            resource_version=conditions.get("resourceVersion") or "",
            dry_run=bool(body.get("dryRun")) or query.get("dryRun") == "All",
        )


class Deletion:
    """Deletes through the same store and admission as `Writes`."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        writes.remove = self.remove

    async def delete(self, attributes: Attributes, options: DeleteOptions) -> tuple[Object, bool]:
        """Delete an object; the answer is the object as it was left or went, and whether it has gone."""
        info = attributes.info
        if info is None:
            raise errors.path_not_found()
        admission = self._writes.extensions.admission or NoAdmission()
        for attempt in range(MAX_ATTEMPTS):
            entry = self._writes.entry(info, attributes.namespace, attributes.name)
            self._check(info, entry.object, options)
            if attempt == 0:
                shown = intake.to_version(entry.object, info)
                await admission.mutate(attributes, "DELETE", None, shown)
                await admission.validate(attributes, "DELETE", None, shown)
            if options.dry_run:
                return intake.to_version(entry.object, info), False
            try:
                return await self._delete(info, entry, options)
            except RevisionConflict:
                continue
        raise errors.conflict(info, attributes.name)

    def _check(self, info: ResourceInfo, obj: Object, options: DeleteOptions) -> None:
        meta = obj["metadata"]
        if options.uid and options.uid != meta["uid"]:
            text = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {meta['uid']}"
            raise errors.conflict(info, meta["name"], text)
        if options.resource_version and options.resource_version != meta["resourceVersion"]:
            text = (
                f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, ResourceVersion in object meta: {meta['resourceVersion']}"
            )
            raise errors.conflict(info, meta["name"], text)
        if info.key == "namespaces" and meta["name"] in _PROTECTED:
            raise errors.forbidden(info, meta["name"], "this namespace may not be deleted")

    async def _delete(self, info: ResourceInfo, entry: Entry, options: DeleteOptions) -> tuple[Object, bool]:
        old = entry.object
        meta = dict(old["metadata"])
        finalizers = _finalizers(list(meta.get("finalizers") or ()), options.propagation)
        if info.key == CRDS and not meta.get("deletionTimestamp") and CRD_CLEANUP not in finalizers:
            finalizers.append(CRD_CLEANUP)
        grace = self._grace(info, old, options)
        held = bool(finalizers) or grace > 0 or (info.key == "namespaces" and bool((old.get("spec") or {}).get("finalizers")))
        if not held:
            gone = await self.remove(info, entry)
            return intake.to_version(gone.object, info), True
        if finalizers:
            meta["finalizers"] = finalizers
        else:
            meta.pop("finalizers", None)
        already = meta.get("deletionTimestamp")
        if not already or grace < meta.get("deletionGracePeriodSeconds", 0):
            meta["deletionTimestamp"] = rfc3339(self._writes.clock.now() + timedelta(seconds=grace))
            meta["deletionGracePeriodSeconds"] = grace
            if "generation" in meta and not already:
                meta["generation"] += 1
        new = {**old, "metadata": meta}
        if info.key == "namespaces":
            new["status"] = {**(old.get("status") or {}), "phase": "Terminating"}
        if new == old:
            return intake.to_version(old, info), False
        stored = await self._writes.put(info, new, entry.revision)
        return intake.to_version(stored.object, info), False

    def _grace(self, info: ResourceInfo, obj: Object, options: DeleteOptions) -> int:
        """Seconds that a pod is given to end; nothing else has a grace period."""
        if info.key != "pods":
            return 0
        spec, phase = obj["spec"], (obj.get("status") or {}).get("phase")
        grace = options.grace_seconds if options.grace_seconds is not None else spec.get("terminationGracePeriodSeconds", 30)
        if not spec.get("nodeName") or phase in ("Succeeded", "Failed"):
            grace = 0
        current = obj["metadata"].get("deletionGracePeriodSeconds")
        if obj["metadata"].get("deletionTimestamp") and current is not None:
            return min(current, grace) if options.grace_seconds is not None else int(current)
        return max(0, grace)

    async def remove(self, info: ResourceInfo, entry: Entry) -> Entry:
        """Take an object out of the store and give back what it held."""
        meta = entry.object["metadata"]
        try:
            gone = await self._writes.store.delete(self._writes.key(info, meta.get("namespace", ""), meta["name"]), entry.revision)
        except StoreFailed as error:
            raise errors.internal(str(error)) from error
        self._writes.preparation.release(info, entry.object)
        return gone


def _finalizers(current: list[str], propagation: str) -> list[str]:
    if propagation:
        current = [name for name in current if name not in (FOREGROUND, ORPHAN)]
    if propagation == "Foreground":
        current.append(FOREGROUND)
    elif propagation == "Orphan":
        current.append(ORPHAN)
    return current
