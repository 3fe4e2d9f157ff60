"""Writes onto each of Istio's resources what is wrong with it, and which of its fields are accepted but not acted on.

A resource with which everything is in order is not touched. One replica writes: the one that holds the Lease
`istio-status-leader`; losing it does no harm, since all replicas would write the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from datetime import timedelta

from varka.base.clock import Clock, parse_rfc3339, rfc3339
from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Api, ApiError, Gvr, Object
from varka.control import validation
from varka.control.settings import Settings
from varka.control.state import ClusterState
from varka.resources.conditions import Condition, Severity

log = logging.getLogger("varka.control.status")

LEASE = "istio-status-leader"
LEASE_SECONDS = 15
QUIET_SECONDS = 0.3
ACCEPTED = "Accepted"


Further = Callable[[Object], list[Condition]]
"""What is known of a resource beyond the resource itself."""


class StatusWriter:
    """`changed` says that there may be something to write; `run` writes."""

    def __init__(self, api: Api, state: ClusterState, settings: Settings, clock: Clock, further: Further = lambda _: []) -> None:
        self._further = further
        self._api = api
        self._state = state
        self._settings = settings
        self._clock = clock
        self._dirty = asyncio.Event()
        self._seen: dict[str, tuple[object, list[Object]]] = {}

    def changed(self, reason: str) -> None:
        """A resource of the mesh may be different now."""
        if reason in ("config", "global"):
            self._dirty.set()

    async def run(self) -> None:
        """Write until cancelled."""
        self._dirty.set()
        while True:
            await self._dirty.wait()
            await self._clock.sleep(QUIET_SECONDS)
            self._dirty.clear()
            try:
                if await self._leading():
                    await self._write_all()
                elif self._state.mesh_informers():
                    await self._clock.sleep(LEASE_SECONDS)
                    self._dirty.set()
            except VarkaError as error:
                log.debug("no status was written: %s", error)

    async def _write_all(self) -> None:
        current: set[str] = set()
        for gvr, informer in list(self._state.mesh_informers().items()):
            for obj in informer:
                uid = str(obj["metadata"].get("uid") or "")
                current.add(uid)
                await self._write(gvr, uid, obj)
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in current}

    async def _write(self, gvr: Gvr, uid: str, obj: Object) -> None:
        further = self._further(obj)
        version = (obj["metadata"].get("generation"), obj["metadata"].get("annotations"), further)
        seen = self._seen.get(uid)
        wanted = seen[1] if seen is not None and seen[0] == version else conditions(obj, rfc3339(self._clock.now()), further)
        self._seen[uid] = (version, wanted)
        given = ((obj.get("status") or {}).get("conditions")) or []
        if [_content(one) for one in given if one.get("type") in OWN] == [_content(one) for one in wanted]:
            return
        others = [one for one in given if one.get("type") not in OWN]
        body = {
            "status": {"conditions": [*others, *wanted], "observedGeneration": obj["metadata"].get("generation", 0), "validationMessages": messages(wanted)}
        }
        try:
            await self._api.patch(gvr, obj["metadata"]["name"], body, obj["metadata"].get("namespace"), subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):
                log.warning("the status of %s/%s was not written: %s", gvr.resource, obj["metadata"]["name"], error)

    async def _leading(self) -> bool:
        """We hold the Lease, or have just taken it over from one who let it run out."""
        space, now = self._settings.namespace, self._clock.now()
        mine = {"holderIdentity": self._settings.pod_name, "leaseDurationSeconds": LEASE_SECONDS, "renewTime": f"{now:%Y-%m-%dT%H:%M:%S.%fZ}"}
        try:
            lease = await self._api.get(resources.LEASES, LEASE, space)
        except ApiError as error:
            if error.code != 404:
                raise
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": LEASE, "namespace": space}, "spec": mine}
            await self._api.create(resources.LEASES, body, space)
            return True
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") not in (None, "", self._settings.pod_name):
            renewed = spec.get("renewTime")
            if renewed and parse_rfc3339(renewed) + timedelta(seconds=LEASE_SECONDS) > now:
                return False
        lease["spec"] = {**spec, **mine}
        try:
            await self._api.update(resources.LEASES, lease)
        except ApiError as error:
            if error.code == 409:
                return False
            raise
        return True


OWN = frozenset({ACCEPTED, "Warning", "NotActedOn"})
"""The types of conditions that are ours."""


def conditions(obj: Object, now: str, further: Iterable[Condition] = ()) -> list[Object]:
    """The conditions of a resource; none when there is nothing to say."""
    found = list(dict.fromkeys([*validation.findings(obj), *further]))
    unused = validation.unused(obj)
    result: list[Object] = []
    errors = [one for one in found if one.severity is Severity.ERROR]
    warnings = [one for one in found if one.severity is Severity.WARNING]
    if errors:
        result.append(_condition(ACCEPTED, "False", errors[0].reason, errors, now))
    if warnings:
        result.append(_condition("Warning", "True", warnings[0].reason, warnings, now))
    if unused:
        result.append(_condition("NotActedOn", "True", unused[0].reason, unused, now))
    return result


def _condition(kind: str, status: str, reason: str, found: list[Condition], now: str) -> Object:
    return {"type": kind, "status": status, "reason": reason, "message": "; ".join(one.text for one in found), "lastTransitionTime": now}


def _content(condition: Object) -> Object:
    return {name: value for name, value in condition.items() if name not in ("lastTransitionTime", "lastProbeTime")}


def messages(found: list[Object]) -> list[Object]:
    """The same in the form of Istio's `validationMessages`."""
    levels = {ACCEPTED: "ERROR", "Warning": "WARNING", "NotActedOn": "INFO"}
    return [{"type": {"name": one["reason"], "code": "IST0106"}, "level": levels[one["type"]], "documentationUrl": ""} for one in found]
