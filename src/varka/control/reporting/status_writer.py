"""Writes onto each of Istio's resources what is wrong with it, with what it refers to, and which of its fields are accepted but not acted on.

A resource with which everything is in order is not touched. One replica writes: the one that holds the Lease
`istio-status-leader`; losing it does no harm, since all replicas would write the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from varka.base.clock import Clock, parse_rfc3339, rfc3339
from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Api, ApiError, Gvr, Object
from varka.control import validation
from varka.control.reporting import statuses
from varka.control.reporting.diagnosis import Diagnosis
from varka.control.settings import Settings
from varka.control.state import GATEWAY_API, ClusterState
from varka.resources.conditions import Condition

log = logging.getLogger("varka.control.status")

LEASE = "istio-status-leader"
LEASE_SECONDS = 15
QUIET_SECONDS = 0.3
DIAGNOSIS_SECONDS = 1.0
"""How long proxies go first."""

Further = Callable[[Object], list[Condition]]
"""What is known of a resource beyond the resource itself."""


class StatusWriter:
    """`changed` says that there may be something to write; `run` writes."""

    def __init__(
        self, api: Api, state: ClusterState, settings: Settings, clock: Clock, diagnosis: Diagnosis | None = None, further: Further = lambda _: []
    ) -> None:
        self._diagnosis = diagnosis
        self._further = further
        self._api = api
        self._state = state
        self._settings = settings
        self._clock = clock
        self._dirty = asyncio.Event()
        self._stale = asyncio.Event()
        self._leader = asyncio.Event()
        self._seen: dict[str, tuple[object, tuple[Condition, ...], tuple[Condition, ...]]] = {}

    def changed(self, reason: str) -> None:
        """A resource of the mesh, or what it refers to, may be different now."""
        if reason in ("config", "global"):
            self._dirty.set()
        if reason != "endpoint":
            self._stale.set()

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            if self._diagnosis is not None:
                tasks.create_task(self._diagnose(self._diagnosis), name="diagnosis")
            await self._follow()

    async def _diagnose(self, diagnosis: Diagnosis) -> None:
        self._stale.set()
        while True:
            await self._leader.wait()
            await self._stale.wait()
            await self._clock.sleep(DIAGNOSIS_SECONDS)
            self._stale.clear()
            try:
                if await diagnosis.refresh():
                    self._dirty.set()
            except Exception:
                log.exception("the mesh could not be analyzed; the statuses say nothing of it")
            await self._clock.sleep(diagnosis.rest)

    async def _follow(self) -> None:
        self._dirty.set()
        while True:
            await self._dirty.wait()
            await self._clock.sleep(QUIET_SECONDS)
            self._dirty.clear()
            try:
                if await self._leading():
                    self._leader.set()
                    await self._write_all()
                    continue
                self._leader.clear()
                if self._state.mesh_informers():
                    await self._clock.sleep(LEASE_SECONDS)
                    self._dirty.set()
            except VarkaError as error:
                log.debug("no status was written: %s", error)

    async def _write_all(self) -> None:
        current: set[str] = set()
        for gvr, informer in list(self._state.mesh_informers().items()):
            if gvr.group == GATEWAY_API:
                continue
            for obj in informer:
                uid = str(obj["metadata"].get("uid") or "")
                current.add(uid)
                await self._write(gvr, uid, obj)
        self._seen = {uid: seen for uid, seen in self._seen.items() if uid in current}

    async def _write(self, gvr: Gvr, uid: str, obj: Object) -> None:
        meta = obj["metadata"]
        known = self._known(uid, obj)
        status = statuses.of(known, obj.get("status"), rfc3339(self._clock.now()))
        if status is None:
            return
        body = {"status": {**status, "observedGeneration": meta.get("generation", 0)}}
        try:
            await self._api.patch(gvr, obj["metadata"]["name"], body, obj["metadata"].get("namespace"), subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):
                log.warning("the status of %s/%s was not written: %s", gvr.resource, obj["metadata"]["name"], error)

    def _known(self, uid: str, obj: Object) -> statuses.Known:
        """What the resource says by itself is worked out once for each version of it."""
        meta = obj["metadata"]
        version = (meta.get("generation"), meta.get("annotations"), meta.get("labels"))
        seen = self._seen.get(uid)
        if seen is None or seen[0] != version:
            seen = self._seen[uid] = (version, tuple(validation.findings(obj)), tuple(validation.unused(obj)))
        further = tuple(one for one in dict.fromkeys(self._further(obj)) if one not in seen[1])
        ref = (str(obj.get("kind") or ""), str(meta.get("namespace") or ""), str(meta["name"]))
        diagnosis = self._diagnosis
        return statuses.Known(
            found=(*seen[1], *further),
            unused=seen[2],
            references=diagnosis.references.get(ref, ()) if diagnosis is not None else (),
            messages=diagnosis.messages.get(ref, ()) if diagnosis is not None else (),
        )

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
