"""The node's pod runtime: follows the pods that are bound to this node and gives each a worker."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from varka.base.clock import Clock, SystemClock, parse_rfc3339
from varka.client import resources
from varka.client.api import Api, ApiError, Object
from varka.client.informers import Informer
from varka.cluster.runtime import accounting, events, streams
from varka.cluster.runtime.catalog import Catalog
from varka.cluster.runtime.pods import PodWorker
from varka.cluster.runtime.programs import fallbacks
from varka.cluster.runtime.shim import client as shim_client
from varka.cluster.runtime.telling import retries

log = logging.getLogger("varka.runtime")


class Network(Protocol):
    """Links pods to the node; `cluster.network.pods.PodNetwork` is one."""

    async def attach(self, uid: str, pid: int) -> str:
        """Link the network namespace of a process, or find the link that is there; the pod's address."""
        ...

    async def detach(self, uid: str) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeSettings:
    """What the runtime has to know of its node."""

    node_name: str
    """Pods bound to this name are ours."""
    node_ip: str
    """The node's address; that of pods with hostNetwork, too."""
    folder: Path
    """Where pods' files lie, a folder for each uid."""
    programs: Path
    """A folder for the stand-ins of programs that the host lacks; it comes last in every container's PATH."""
    hidden: tuple[Path, ...] = ()
    """Folders of the host that no container may see."""
    visible: tuple[Path, ...] = ()
    """Folders that every container sees although they lie in one that is private to it, such as a project below `/tmp`."""
    cluster_domain: str = "cluster.local"
    backoff_first: float = 10.0
    """Seconds before the second restart of a failing container; it doubles from there."""


class Runtime:
    """Runs the pods of one node."""

    def __init__(
        self,
        api: Api,
        settings: RuntimeSettings,
        network: Network,
        catalog: Catalog,
        resolv_conf: Callable[[str, str, Mapping[str, Any] | None], str],
        clock: Clock | None = None,
    ) -> None:
        self.api = api
        self.settings = settings
        self.network = network
        self.catalog = catalog
        self.resolv_conf = resolv_conf
        self.clock = clock or SystemClock()
        self.events = events.Recorder(api, self.clock, settings.node_name)
        self.workers: dict[str, PodWorker] = {}
        self.usage = accounting.Usage(self.workers)
        self.streams = streams.Streams(self.workers, self.usage)
        self.http: aiohttp.ClientSession
        self._pods = Informer(api, resources.PODS, field_selector=f"spec.nodeName={settings.node_name}")
        self._services = Informer(api, resources.SERVICES)
        self._objects = {"configmap": Informer(api, resources.CONFIGMAPS), "secret": Informer(api, resources.SECRETS)}
        self._listeners: dict[PodWorker, asyncio.Event] = {}
        self._group: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Until cancelled. Pods keep running then, and the next Runtime with the same folder takes them back."""
        self.settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        await asyncio.to_thread(fallbacks.install, self.settings.programs)
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as self.http:
            async with asyncio.TaskGroup() as group:
                self._group = group
                followed = [self._pods, self._services, *self._objects.values()]
                for informer in followed:
                    group.create_task(informer.run())
                group.create_task(self.events.run())
                group.create_task(self.usage.run())
                for informer in followed:
                    await informer.synced.wait()
                await self._clear()
                for kind, informer in self._objects.items():
                    informer.add_handler(lambda old, new, kind=kind: self._object_changed(kind, old, new))  # type: ignore[misc]
                self._pods.add_handler(self._pod_changed)

    async def _clear(self) -> None:
        """End what earlier node processes left of pods that are gone."""
        known = {pod["metadata"]["uid"] for pod in self._pods}
        for folder in sorted(self.settings.folder.iterdir()):
            if folder.is_dir() and folder.name not in known:
                shim_client.end(folder)
                await self.network.detach(folder.name)
                await asyncio.to_thread(self.forget_folder, folder)

    def forget_folder(self, folder: Path) -> None:
        """Remove a pod's files."""
        shutil.rmtree(folder, ignore_errors=True)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new or old
        assert pod is not None and self._group is not None
        uid = pod["metadata"]["uid"]
        worker = self.workers.get(uid)
        if new is None:
            if worker is not None:
                worker.vanished()
            return
        if worker is None:
            worker = PodWorker(self, new)
            self.workers[uid] = worker
            self._group.create_task(self._keep(worker), name=f"pod {worker.namespace}/{worker.name}")
        worker.update(new)

    async def _keep(self, worker: PodWorker) -> None:
        """One pod's trouble is its own: a worker that fails is replaced by a fresh one for the same pod."""
        try:
            for wait in retries():
                try:
                    await worker.run()
                    return
                except Exception as error:
                    log.exception("the worker of pod/%s/%s failed", worker.namespace, worker.name)
                    worker.event("Warning", "FailedSync", f"error syncing pod, retrying: {error}")
                await asyncio.sleep(wait)
                pod = self._pods.get(worker.name, worker.namespace)
                gone = pod is None or pod["metadata"]["uid"] != worker.uid
                worker = PodWorker(self, worker.pod if pod is None or gone else pod)
                self.workers[worker.uid] = worker
                worker.update(worker.pod)
                if gone:
                    worker.vanished()
        finally:
            self.workers.pop(worker.uid, None)

    def _object_changed(self, kind: str, old: Object | None, new: Object | None) -> None:
        obj = new or old
        assert obj is not None
        meta = obj["metadata"]
        for worker, changed in self._listeners.items():
            if worker.namespace == meta["namespace"] and (kind, meta["name"]) in worker.references:
                changed.set()

    def subscribe(self, worker: PodWorker) -> asyncio.Event:
        """An event that is set whenever a ConfigMap or Secret of the worker's volumes changes."""
        return self._listeners.setdefault(worker, asyncio.Event())

    def unsubscribe(self, worker: PodWorker) -> None:
        self._listeners.pop(worker, None)

    def services(self) -> list[Object]:
        """All services, for containers' variables."""
        return list(self._services)

    async def find(self, kind: str, namespace: str, name: str) -> Object | None:
        """A ConfigMap or Secret; asked from the server when the cache does not have it yet."""
        found = self._objects[kind].get(name, namespace)
        if found is not None:
            return found
        try:
            return await self.api.get(resources.CONFIGMAPS if kind == "configmap" else resources.SECRETS, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    async def mint(self, pod: Object, audience: str, seconds: int) -> tuple[str, float]:
        """A service-account token bound to the pod."""
        meta = pod["metadata"]
        spec = {
            "audiences": [audience] if audience else [],
            "expirationSeconds": seconds,
            "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": meta["name"], "uid": meta["uid"]},
        }
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        account = pod["spec"].get("serviceAccountName") or "default"
        answer = await self.api.create(resources.SERVICE_ACCOUNTS, body, meta["namespace"], name=account, subresource="token")
        return answer["status"]["token"], parse_rfc3339(answer["status"]["expirationTimestamp"]).timestamp()
