"""The access logs of all proxies, followed through the Kubernetes API: one log stream a pod, one stream of requests.

Pods come and go while it runs. The queue between the logs and the reader is bounded: when the reader is slower than the
mesh, requests are left out and counted, and no proxy notices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Protocol

from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import Object
from varka.client.informers import Informers, Key, key_of
from varka.telemetry.requests import parsing
from varka.telemetry.requests.callers import Callers
from varka.telemetry.requests.record import Line, Request, Workload

_log = logging.getLogger("varka.requests")
PROXY = "istio-proxy"
QUEUE = 5000
"""Requests that may wait for the reader."""
_PAUSE = 1.0
"""Seconds before a log that ended or was refused is asked for again."""
HOLD_SECONDS = 2.5
"""How long a forwarded request waits for its caller's line; Envoy writes its log once a second."""
_LOOK_SECONDS = 0.25


class Logs(Protocol):
    """The part of an API client that gives logs."""

    def logs(self, namespace: str, pod: str, container: str = "", *, follow: bool = False, tail: int | None = None) -> AsyncIterator[bytes]: ...


class Follower:
    """Requests of the mesh as they come. `pods` are all pods; `both` gives each request as often as proxies tell it."""

    def __init__(self, logs: Logs, informers: Informers, *, namespace: str = "", both: bool = False, tail: int = 0) -> None:
        self._logs = logs
        self._pods = informers.of(resources.PODS)
        self._namespace = namespace
        self._both = both
        self._tail = tail
        self._queue: asyncio.Queue[Request] = asyncio.Queue(QUEUE)
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._addresses: dict[str, Workload] = {}
        self._proxies: set[str] = set()
        self._gateways: set[str] = set()
        self._callers = Callers(HOLD_SECONDS)
        self.lost = 0
        """Requests left out because the reader was too slow."""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[AsyncIterator[Request]]:
        """Follow while the block runs, and give the requests."""
        async with asyncio.TaskGroup() as group:
            handler: Callable[[Object | None, Object | None], None] = lambda old, new: self._changed(group, old, new)  # noqa: E731
            self._pods.add_handler(handler)
            releasing = group.create_task(self._release())
            try:
                yield self._requests()
            finally:
                releasing.cancel()
                for task in self._tasks.values():
                    task.cancel()

    async def _requests(self) -> AsyncIterator[Request]:
        while True:
            yield await self._queue.get()

    def _changed(self, group: asyncio.TaskGroup, old: Object | None, new: Object | None) -> None:
        pod = new or old
        if pod is None:
            return
        address = pod.get("status", {}).get("podIP", "")
        proxied = _has_proxy(pod)
        if new is None:
            self._addresses.pop(address, None)
            self._proxies.discard(address)
        elif address and not pod["spec"].get("hostNetwork"):
            self._addresses[address] = workload_of(pod)
            if proxied:
                self._proxies.add(address)
            if _is_gateway(pod):
                self._gateways.add(pod["metadata"]["name"])
        key = key_of(pod)
        wanted = new is not None and proxied and self._namespace in ("", key.namespace) and _proxy_runs(pod)
        task = self._tasks.get(key)
        if wanted and (task is None or task.done()):
            self._tasks[key] = group.create_task(self._follow(workload_of(pod), None if self._pods.synced.is_set() else self._tail))
        elif new is None and task is not None:
            task.cancel()
            del self._tasks[key]

    async def _follow(self, reporter: Workload, tail: int | None) -> None:
        """One pod's log, again when it ends while the pod is there; `tail` None is all of it, which a new pod's is."""
        while True:
            try:
                async for raw in self._logs.logs(reporter.namespace, reporter.pod, PROXY, follow=True, tail=tail):
                    line = parsing.line(raw)
                    if line is not None:
                        self._tell(reporter, line)
            except VarkaError as error:
                _log.debug("the log of %s ended: %s", reporter.pod, error)
            tail = 0
            await asyncio.sleep(_PAUSE)

    def _tell(self, reporter: Workload, line: Line) -> None:
        # What no filter chain took names no cluster: then the caller's address tells which side of the proxy it is.
        inbound = line.direction == "inbound" or (not line.upstream_cluster and self._whose(line.downstream_remote_address).pod != reporter.pod)
        if not inbound and _host(line.upstream_host) in self._proxies:
            if line.x_forwarded_for:
                for request in self._callers.called((line.request_id, _host(line.upstream_host)), reporter):
                    self._put(replace(request, source=reporter))
            if not self._both:
                return
        # A sidecar's own application may pass an X-Forwarded-For on, which Envoy takes for the caller's address.
        source = self._whose(line.downstream_remote_address) if inbound or reporter.pod in self._gateways else reporter
        destination = reporter if inbound else self._destination(line)
        request = Request(line=line, source=source, destination=destination, reporter=reporter)
        if inbound and line.x_forwarded_for and line.downstream_remote_address.endswith(":0") and reporter.pod not in self._gateways:
            self._put_forwarded(request)
        else:
            self._put(request)

    def _put_forwarded(self, request: Request) -> None:
        own = next((address for address, workload in self._addresses.items() if workload == request.reporter), "")
        key = (request.line.request_id, own)
        caller = self._callers.caller(key)
        if caller is not None:
            self._put(replace(request, source=caller))
            return
        for crowded_out in self._callers.hold(key, request, asyncio.get_running_loop().time()):
            self._put(crowded_out)

    async def _release(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for request in self._callers.overdue(asyncio.get_running_loop().time()):
                self._put(request)

    def _put(self, request: Request) -> None:
        try:
            self._queue.put_nowait(request)
        except asyncio.QueueFull:
            self.lost += 1

    def _whose(self, address: str) -> Workload:
        host = _host(address)
        return self._addresses.get(host) or Workload(name=host or "unknown")

    def _destination(self, line: Line) -> Workload:
        """Who was called, or would have been: the pod, else the service of the cluster, else the name that was asked for."""
        found = self._addresses.get(_host(line.upstream_host))
        if found is not None:
            return found
        parts = line.upstream_cluster.split("|")
        if len(parts) == 4 and parts[3]:
            service = parts[3].split(".")
            return Workload(name=service[0], namespace=service[1]) if service[2:3] == ["svc"] else Workload(name=parts[3])
        return Workload(name=line.authority or line.requested_server_name or line.upstream_cluster or "unknown")


def workload_of(pod: Object) -> Workload:
    """The workload that a pod belongs to, by its owner; a ReplicaSet counts as its Deployment."""
    meta = pod["metadata"]
    owner = next((one for one in meta.get("ownerReferences", []) if one.get("controller")), None)
    name = str(owner["name"] if owner else meta["name"])
    template = meta.get("labels", {}).get("pod-template-hash", "")
    if owner and owner.get("kind") == "ReplicaSet" and template:
        name = name.removesuffix(f"-{template}")
    return Workload(name=name, namespace=str(meta["namespace"]), pod=str(meta["name"]))


def _is_gateway(pod: Object) -> bool:
    return any(container["name"] == PROXY and "router" in container.get("args", []) for container in pod["spec"].get("containers", []))


def _has_proxy(pod: Object) -> bool:
    spec = pod["spec"]
    return any(container["name"] == PROXY for container in [*spec.get("containers", []), *spec.get("initContainers", [])])


def _proxy_runs(pod: Object) -> bool:
    status = pod.get("status", {})
    states = [*status.get("containerStatuses", []), *status.get("initContainerStatuses", [])]
    return any(one["name"] == PROXY and "running" in one.get("state", {}) for one in states)


def _host(address: str) -> str:
    return address.rpartition(":")[0].strip("[]") if ":" in address else ""
