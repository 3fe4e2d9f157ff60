"""Workloads outside of the cluster come and go: their WorkloadEntries are made from a WorkloadGroup, and taken away again.

A proxy that names its group when it connects gets an entry with its address, for as long as it is connected and a while
longer, so that a proxy that only changes its control plane is not forgotten.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime

from varka.base.clock import Clock, parse_rfc3339, rfc3339
from varka.base.errors import VarkaError
from varka.client.api import Api, ApiError, Gvr, Object
from varka.control.state import NETWORKING, ClusterState
from varka.model import proxies
from varka.model.view import Proxy
from varka.xds.server import Client

log = logging.getLogger("varka.control.registration")

GROUP = "istio.io/autoRegistrationGroup"
CONNECTED, DISCONNECTED, CONTROLLER = "istio.io/connectedAt", "istio.io/disconnectedAt", "istio.io/workloadController"
SWEEP_SECONDS = 2.0
METADATA = "AUTO_REGISTER_GROUP"


class Registrar:
    """Told of every stream that opens and ends; `run` does what follows from it."""

    def __init__(self, api: Api, state: ClusterState, clock: Clock, *, name: str, grace: float) -> None:
        self._api = api
        self._state = state
        self._clock = clock
        self._name = name
        self._grace = grace
        self._here: dict[str, Proxy] = {}
        self._wake = asyncio.Event()

    def connected(self, client: Client) -> None:
        """A stream has opened, and its certificate fits its node."""
        proxy = proxies.parse(client.node.id, client.node.metadata, client.node.locality)
        if proxy is not None and proxy.metadata.get(METADATA):
            self._here[client.id] = proxy
            self._wake.set()

    def disconnected(self, client: Client) -> None:
        """A stream has ended."""
        if self._here.pop(client.id, None) is not None:
            self._wake.set()

    async def run(self) -> None:
        """Create and delete until cancelled."""
        while True:
            try:
                await self._sweep()
            except (VarkaError, TimeoutError) as error:
                log.warning("workload entries were not brought up to date: %s", error)
            if not self._here and not self._ours():
                await self._wake.wait()
            else:
                await self._pause()
            self._wake.clear()

    async def _pause(self) -> None:
        waking, pausing = asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self._clock.sleep(SWEEP_SECONDS))
        try:
            await asyncio.wait({waking, pausing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waking.cancel()
            pausing.cancel()

    def _kind(self, plural: str) -> Gvr | None:
        return next((gvr for gvr in self._state.mesh_informers() if gvr.group == NETWORKING and gvr.resource == plural), None)

    def _ours(self) -> dict[tuple[str, str], Object]:
        kind = self._kind("workloadentries")
        found = self._state.mesh_informers()[kind] if kind is not None else ()
        return {(obj["metadata"]["namespace"], obj["metadata"]["name"]): obj for obj in found if GROUP in (obj["metadata"].get("annotations") or {})}

    async def _sweep(self) -> None:
        kind = self._kind("workloadentries")
        if kind is None:
            return
        wanted = {(proxy.namespace, entry_name(proxy)): proxy for proxy in self._here.values()}
        known = self._ours()
        for key, proxy in wanted.items():
            if key not in known:
                await self._create(kind, proxy)
            elif DISCONNECTED in known[key]["metadata"]["annotations"]:
                await self._note(kind, known[key], {DISCONNECTED: None, CONNECTED: rfc3339(self._clock.now()), CONTROLLER: self._name})
        for key, obj in known.items():
            if key not in wanted:
                await self._release(kind, obj)

    async def _create(self, kind: Gvr, proxy: Proxy) -> None:
        group_name = proxy.metadata[METADATA]
        groups = self._kind("workloadgroups")
        group = self._state.mesh_informers()[groups].get(group_name, proxy.namespace) if groups is not None else None
        if group is None:
            log.warning("%s asks for the workloadgroup/%s/%s, which does not exist; it is not registered", proxy.id, proxy.namespace, group_name)
            return
        account = str(((group.get("spec") or {}).get("template") or {}).get("serviceAccount") or "default")
        if account != proxy.service_account:
            log.warning(
                "%s is %s, the workloadgroup/%s/%s is for %s; it is not registered", proxy.id, proxy.service_account, proxy.namespace, group_name, account
            )
            return
        try:
            await self._api.create(kind, entry(group, proxy, self._name, self._clock.now()), proxy.namespace)
            log.info("registered workloadentry/%s/%s", proxy.namespace, entry_name(proxy))
        except ApiError as error:
            if error.code != 409:
                raise

    async def _release(self, kind: Gvr, obj: Object) -> None:
        """Note that a workload is gone, and take its entry away when the time is up."""
        meta = obj["metadata"]
        since = meta["annotations"].get(DISCONNECTED)
        if since is None:
            await self._note(kind, obj, {DISCONNECTED: rfc3339(self._clock.now())})
        elif (self._clock.now() - parse_rfc3339(since)).total_seconds() >= self._grace:
            try:
                await self._api.delete(kind, meta["name"], meta["namespace"])
                log.info("removed workloadentry/%s/%s: its workload is gone", meta["namespace"], meta["name"])
            except ApiError as error:
                if error.code != 404:
                    raise

    async def _note(self, kind: Gvr, obj: Object, annotations: dict[str, str | None]) -> None:
        meta = obj["metadata"]
        try:
            await self._api.patch(kind, meta["name"], {"metadata": {"annotations": annotations}}, meta["namespace"])
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def entry_name(proxy: Proxy) -> str:
    """`<group>-<address>`, with the network where there is one, as Istio names them."""
    parts = [proxy.metadata[METADATA], proxy.ip.replace(":", "-"), *([proxy.network] if proxy.network else [])]
    return "-".join(parts).lower()


def entry(group: Object, proxy: Proxy, controller: str, now: datetime) -> Object:
    """The WorkloadEntry of a proxy, from the template of its group."""
    spec, meta = group.get("spec") or {}, group["metadata"]
    common, template = spec.get("metadata") or {}, dict(spec.get("template") or {})
    labels = {**(template.get("labels") or {}), **(common.get("labels") or {}), "security.istio.io/tlsMode": "istio"}
    annotations = {**(common.get("annotations") or {}), GROUP: meta["name"], CONTROLLER: controller, CONNECTED: rfc3339(now)}
    owner = {"apiVersion": group["apiVersion"], "kind": "WorkloadGroup", "name": meta["name"], "uid": meta.get("uid", ""), "controller": True}
    body = {
        **template,
        "address": proxy.ip,
        "labels": labels,
        "serviceAccount": proxy.service_account or "default",
        **({"network": proxy.network} if proxy.network else {}),
    }
    return {
        "apiVersion": group["apiVersion"],
        "kind": "WorkloadEntry",
        "metadata": {"name": entry_name(proxy), "namespace": proxy.namespace, "labels": labels, "annotations": annotations, "ownerReferences": [owner]},
        "spec": body,
    }
