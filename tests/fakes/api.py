"""An API server in memory, for tests of whatever is written against `client.api.Api`.

It keeps what callers rely on: versions and conflicts, generateName, generation, finalizers, the status subresource, label and field
selectors, watches from a version, graceful deletion of bound pods. It validates and defaults nothing.
"""

from __future__ import annotations

import asyncio
import copy
import itertools
import uuid
from collections.abc import AsyncIterator
from typing import Any

import jsonpatch
from tests.fakes.clock import TurnedClock

from varka.base.clock import Clock, rfc3339
from varka.client.api import ApiError, Gvr, Object, ObjectList, PatchType, WatchEvent

_KINDS = {"endpointslices": "EndpointSlice", "networkpolicies": "NetworkPolicy", "ingresses": "Ingress", "endpoints": "Endpoints"}


class FakeApi:
    """Implements `client.api.Api`. `calls` records (verb, resource, name) of every write; `failures` are raised once each by the next writes."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.clock = clock or TurnedClock()
        self.calls: list[tuple[str, str, str]] = []
        self.failures: list[ApiError] = []
        self.oldest = 0
        self._objects: dict[Gvr, dict[tuple[str, str], Object]] = {}
        self._log: list[tuple[int, Gvr, WatchEvent, Object | None]] = []
        self._version = 1
        self._suffix = itertools.count()
        self._changed = asyncio.Event()
        self._hung_up = 0

    def hang_up(self) -> None:
        """End every running watch, as a server does that restarts."""
        self._hung_up += 1
        self._wake()

    def all(self, gvr: Gvr, namespace: str | None = None) -> list[Object]:
        """Copies of what is stored, in order of creation."""
        return [copy.deepcopy(obj) for (space, _), obj in self._objects.get(gvr, {}).items() if namespace is None or space == namespace]

    def one(self, gvr: Gvr, name: str, namespace: str = "") -> Object | None:
        """A copy of one object, None when it does not exist."""
        return copy.deepcopy(self._objects.get(gvr, {}).get((namespace, name)))

    def change(self, gvr: Gvr, name: str, namespace: str = "", **fields: Any) -> Object:
        """Set top-level fields (`status`, `spec`) of an object, as another actor would."""
        obj = copy.deepcopy(self._objects[gvr][namespace, name])
        obj.update(copy.deepcopy(fields))
        return self._store(gvr, obj, "MODIFIED")

    def remove(self, gvr: Gvr, name: str, namespace: str = "") -> None:
        """Take an object away at once, as the kubelet does with a pod that has ended."""
        self._remove(gvr, self._objects[gvr][namespace, name])

    async def get(self, gvr: Gvr, name: str, namespace: str | None = None) -> Object:
        return copy.deepcopy(self._need(gvr, name, namespace))

    async def list(self, gvr: Gvr, namespace: str | None = None, *, label_selector: str = "", field_selector: str = "") -> ObjectList:
        await asyncio.sleep(0)
        items = [obj for obj in self.all(gvr, namespace or None) if matches(obj, label_selector, field_selector)]
        return ObjectList(items, str(self._version))

    async def create(self, gvr: Gvr, obj: Object, namespace: str | None = None, *, name: str = "", subresource: str = "", dry_run: bool = False) -> Object:
        self._before("create", gvr, name or obj.get("metadata", {}).get("name", ""))
        if subresource:
            return self._post(gvr, name, namespace, subresource, obj)
        made = copy.deepcopy(obj)
        meta = made.setdefault("metadata", {})
        if namespace:
            meta.setdefault("namespace", namespace)
        if not meta.get("name"):
            meta["name"] = f"{meta['generateName']}{next(self._suffix):05d}"
        if (meta.get("namespace") or "", meta["name"]) in self._objects.get(gvr, {}):
            raise ApiError(409, "AlreadyExists", f'{gvr.resource} "{meta["name"]}" already exists')
        meta.update(uid=str(uuid.uuid4()), creationTimestamp=rfc3339(self.clock.now()), generation=1)
        if gvr.resource == "namespaces":
            made.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            made.setdefault("status", {"phase": "Active"})
            meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta["name"]
        if gvr.resource == "pods":
            made.setdefault("status", {"phase": "Pending"})
        return made if dry_run else self._store(gvr, made, "ADDED")

    async def update(self, gvr: Gvr, obj: Object, *, subresource: str = "") -> Object:
        meta = obj["metadata"]
        self._before("update" + (f"/{subresource}" if subresource else ""), gvr, meta["name"])
        current = self._need(gvr, meta["name"], meta.get("namespace"))
        if meta.get("resourceVersion") not in (None, "", current["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", f'Operation cannot be fulfilled on {gvr.resource} "{meta["name"]}": the object has been modified')
        return self._replace(gvr, current, copy.deepcopy(obj), subresource)

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
        self._before("patch", gvr, name)
        if type is PatchType.APPLY and (namespace or "", name) not in self._objects.get(gvr, {}):
            return await self.create(gvr, patch, namespace)
        current = self._need(gvr, name, namespace)
        if isinstance(patch, dict) and patch.get("metadata", {}).get("resourceVersion") not in (None, current["metadata"]["resourceVersion"]):
            raise ApiError(409, "Conflict", "the object has been modified")
        changed = jsonpatch.apply_patch(current, patch) if type is PatchType.JSON else merged(current, patch)
        return self._replace(gvr, current, changed, subresource)

    async def delete(
        self, gvr: Gvr, name: str, namespace: str | None = None, *, propagation: str = "Background", grace_seconds: int | None = None, uid: str = ""
    ) -> Object:
        self._before("delete", gvr, name)
        current = copy.deepcopy(self._need(gvr, name, namespace))
        meta = current["metadata"]
        if uid and meta["uid"] != uid:
            raise ApiError(409, "Conflict", "the UID in the precondition does not match")
        finalizer = {"Foreground": "foregroundDeletion", "Orphan": "orphan"}.get(propagation)
        if finalizer and finalizer not in meta.get("finalizers", []):
            meta.setdefault("finalizers", []).append(finalizer)
        running = gvr.resource == "pods" and current.get("spec", {}).get("nodeName") and current.get("status", {}).get("phase") not in ("Succeeded", "Failed")
        if meta.get("finalizers") or (running and grace_seconds != 0) or (gvr.resource == "namespaces" and current["spec"]["finalizers"]):
            if "deletionTimestamp" in meta:
                return current
            meta["deletionTimestamp"] = rfc3339(self.clock.now())
            meta["deletionGracePeriodSeconds"] = 0 if not running else 30
            if gvr.resource == "namespaces":
                current["status"] = {"phase": "Terminating"}
            return self._store(gvr, current, "MODIFIED")
        return self._remove(gvr, current)

    async def watch(
        self, gvr: Gvr, namespace: str | None = None, *, resource_version: str, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[WatchEvent]:
        seen, generation, position = int(resource_version or 0), self._hung_up, 0
        if seen < self.oldest:
            raise ApiError(410, "Expired", "too old resource version")
        while generation == self._hung_up:
            while position < len(self._log):
                version, kind, event, before = self._log[position]
                position += 1
                if version <= seen or kind != gvr or (namespace and event.object["metadata"].get("namespace") != namespace):
                    continue
                now = event.type != "DELETED" and matches(event.object, label_selector, field_selector)
                was = before is not None and matches(before, label_selector, field_selector)
                if now or was:
                    yield WatchEvent(("MODIFIED" if was else "ADDED") if now else "DELETED", copy.deepcopy(event.object))
            if generation != self._hung_up:
                return
            changed = self._changed
            await changed.wait()

    def _before(self, verb: str, gvr: Gvr, name: str) -> None:
        self.calls.append((verb, gvr.resource, name))
        if self.failures:
            raise self.failures.pop(0)

    def _post(self, gvr: Gvr, name: str, namespace: str | None, subresource: str, body: Object) -> Object:
        if subresource == "binding":
            pod = copy.deepcopy(self._need(gvr, name, namespace))
            if pod["spec"].get("nodeName"):
                raise ApiError(409, "Conflict", f"pod {name} is already assigned to node")
            pod["spec"]["nodeName"] = body["target"]["name"]
            conditions = pod.setdefault("status", {}).setdefault("conditions", [])
            conditions[:] = [one for one in conditions if one["type"] != "PodScheduled"] + [{"type": "PodScheduled", "status": "True"}]
            self._store(gvr, pod, "MODIFIED")
            return {"kind": "Status", "status": "Success"}
        raise ApiError(404, "NotFound", f"the fake has no {subresource}")

    def _need(self, gvr: Gvr, name: str, namespace: str | None) -> Object:
        try:
            return self._objects[gvr][namespace or "", name]
        except KeyError:
            raise ApiError(404, "NotFound", f'{gvr.resource} "{name}" not found') from None

    def _replace(self, gvr: Gvr, current: Object, wanted: Object, subresource: str) -> Object:
        new = copy.deepcopy(current)
        if subresource == "status":
            new["status"] = wanted.get("status", {})
        elif subresource == "finalize":
            new["spec"]["finalizers"] = wanted["spec"].get("finalizers", [])
        else:
            new = {**wanted, "metadata": {**wanted["metadata"]}}
            if "status" in current:
                new["status"] = current["status"]
            else:
                new.pop("status", None)
            for fixed in ("uid", "creationTimestamp", "generation", "deletionTimestamp", "deletionGracePeriodSeconds"):
                if fixed in current["metadata"]:
                    new["metadata"][fixed] = current["metadata"][fixed]
            if new.get("spec") != current.get("spec"):
                new["metadata"]["generation"] = current["metadata"]["generation"] + 1
        new["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
        meta = new["metadata"]
        if "deletionTimestamp" in meta and not meta.get("finalizers") and gvr.resource != "pods" and not new.get("spec", {}).get("finalizers"):
            return self._remove(gvr, new)
        return copy.deepcopy(current) if new == current else self._store(gvr, new, "MODIFIED")

    def _store(self, gvr: Gvr, obj: Object, event: str) -> Object:
        self._version += 1
        obj["metadata"]["resourceVersion"] = str(self._version)
        obj.setdefault("kind", _KINDS.get(gvr.resource) or gvr.resource[:-1].title())
        obj.setdefault("apiVersion", f"{gvr.group}/{gvr.version}".lstrip("/"))
        key = (obj["metadata"].get("namespace") or "", obj["metadata"]["name"])
        before = self._objects.setdefault(gvr, {}).get(key)
        self._objects[gvr][key] = obj
        self._record(gvr, event, obj, before)
        return copy.deepcopy(obj)

    def _remove(self, gvr: Gvr, obj: Object) -> Object:
        self._version += 1
        gone = copy.deepcopy(obj)
        gone["metadata"]["resourceVersion"] = str(self._version)
        before = self._objects[gvr].pop((gone["metadata"].get("namespace") or "", gone["metadata"]["name"]))
        self._record(gvr, "DELETED", gone, before)
        return copy.deepcopy(gone)

    def _record(self, gvr: Gvr, event: str, obj: Object, before: Object | None) -> None:
        self._log.append((self._version, gvr, WatchEvent(event, copy.deepcopy(obj)), before))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def merged(target: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def matches(obj: Object, label_selector: str, field_selector: str) -> bool:
    """Equality selectors (`a=b`, `a!=b`, `a`, `!a`) on labels and fields."""
    labels = obj["metadata"].get("labels") or {}
    return all(_holds(labels.get, term) for term in label_selector.split(",") if term) and all(
        _holds(lambda path: _field(obj, path), term) for term in field_selector.split(",") if term
    )


def _holds(value_of: Any, term: str) -> bool:
    if "!=" in term:
        name, value = term.split("!=")
        return bool((value_of(name) or "") != value)
    if "=" in term:
        name, value = term.replace("==", "=").split("=")
        return bool((value_of(name) or "") == value)
    return value_of(term.lstrip("!")) is None if term.startswith("!") else value_of(term) is not None


def _field(obj: Any, path: str) -> Any:
    for part in path.split("."):
        obj = obj.get(part) if isinstance(obj, dict) else None
    return obj
