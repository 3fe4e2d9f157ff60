"""One pod on this node: a worker that makes its sandbox and volumes, runs its containers in order, and tells its status.

Everything about one pod happens in one worker, so that nothing about it happens twice at a time. Whatever goes wrong is said in
an event and tried again; only the object's deletion ends a worker.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import ApiError, Object
from varka.cluster.runtime import containers, etc_files, probes, telling
from varka.cluster.runtime.catalog import Catalog
from varka.cluster.runtime.containers import ContainerRunner
from varka.cluster.runtime.shim import client as shim_client
from varka.cluster.runtime.status import ContainerState, PodState
from varka.cluster.runtime.telling import retries
from varka.cluster.runtime.volumes import MountError, Volumes

if TYPE_CHECKING:
    from varka.cluster.runtime.runtime import Runtime

log = logging.getLogger("varka.runtime.pods")

VOLUME_CHECK_SECONDS = 60.0
ADOPT_SECONDS = 1.0
"""How long the containers of a pod that was being deleted when the node process ended get to be found again."""
DEADLINE_MESSAGE = "Pod was active on the node longer than the specified deadline"


class SandboxLostError(Exception):
    """The pod's first process was killed, and with it every container."""


HEAD_START_SECONDS = 0.3
"""How long a pod that is being deleted goes on as before, so that it is taken out of endpoints and proxies first."""


class PodWorker:
    """Brings one pod's processes in line with its object, until the object is gone."""

    def __init__(self, runtime: Runtime, pod: Object) -> None:
        self._runtime = runtime
        self.pod = pod
        self.name, self.namespace, self.uid = pod["metadata"]["name"], pod["metadata"]["namespace"], pod["metadata"]["uid"]
        self.folder: Path = runtime.settings.folder / self.uid
        self.hostname: str = pod["spec"].get("hostname") or self.name[:63].rstrip("-.")
        self.programs = str(runtime.settings.programs)
        self.shim: shim_client.Shim
        self.has_shim = False
        self.taken_back = False
        """The pod's namespaces are those of an earlier node process."""
        self.mounts: dict[str, str] = {}
        """Container → its mount namespace as /proc names it."""
        self.backoff_first = runtime.settings.backoff_first
        self.hidden = [str(path) for path in runtime.settings.hidden]
        self.visible = runtime.settings.visible
        self.runners: dict[str, ContainerRunner] = {}
        self.volumes = Volumes(pod, self.folder / "volumes", self.find, runtime.mint, runtime.settings.hidden)
        self.earlier = containers.earlier_runs(pod)
        """Container → the number of its newest run, as the object's status had it when this worker began."""
        self._state = PodState(
            containers=[
                ContainerState(name=each["name"], image=each["image"], restarts=self.earlier.get(each["name"], 0)) for each in pod["spec"]["containers"]
            ],
            inits=[
                ContainerState(
                    name=each["name"],
                    image=each["image"],
                    init=True,
                    restartable=each.get("restartPolicy") == "Always",
                    waiting="PodInitializing",
                    restarts=self.earlier.get(each["name"], 0),
                )
                for each in pod["spec"].get("initContainers") or []
            ],
            host_ip=runtime.settings.node_ip,
            start_time=time.time(),
        )
        if self._state.inits:
            for each in self._state.containers:
                each.waiting = "PodInitializing"
        self._dirty = asyncio.Event()
        self._deleted = asyncio.Event()
        self._hurry = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._life: set[asyncio.Task[Any]] = set()
        """What belongs to the present sandbox."""
        self._started: dict[str, asyncio.Event] = {}

    @property
    def catalog(self) -> Catalog:
        """The recipes of the cluster."""
        return self._runtime.catalog

    def services(self) -> list[Object]:
        """All services of the cluster."""
        return self._runtime.services()

    def update(self, pod: Object) -> None:
        """The object has changed."""
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._deleted.set()
            if pod["metadata"].get("deletionGracePeriodSeconds") == 0:
                self._hurry.set()
        self._dirty.set()

    def vanished(self) -> None:
        """The object is gone: nobody waits for the processes any more."""
        self._deleted.set()
        self._hurry.set()

    def touch(self) -> None:
        """The status has to be told anew."""
        self._dirty.set()

    def started(self, container: str) -> None:
        """A container runs, and its startup probe, if it has one, has succeeded."""
        state = self.runners[container].state
        if state.started or not state.running_since:
            self._start_of(container).set()

    def _start_of(self, container: str) -> asyncio.Event:
        return self._started.setdefault(container, asyncio.Event())

    def event(self, kind: str, reason: str, message: str, path: str = "") -> None:
        """Record an event of this pod."""
        self._runtime.events.record(self.pod, kind, reason, message, path)

    def grace(self) -> float:
        """Seconds that processes get to end."""
        given = self.pod["metadata"].get("deletionGracePeriodSeconds")
        return float(given if given is not None else self.pod["spec"].get("terminationGracePeriodSeconds", 30))

    def container_id(self, container: str, attempt: int) -> str:
        """A name for one run of a container, the same for every node process."""
        return "varka://" + hashlib.sha256(f"{self.uid}/{container}/{attempt}".encode()).hexdigest()

    async def run(self) -> None:
        """The pod's whole life on this node."""
        try:
            self._spawn(telling.tell(self, self._state, self._dirty, self._runtime.api, self._runtime.clock))
            living = self._spawn(self._keep_living())
            if self._deleted.is_set():
                await asyncio.wait({living}, timeout=ADOPT_SECONDS)
            await self._deleted.wait()
            await self._terminate(living)
        finally:
            await self._cancel(self._tasks | self._life)
        await self._remove()

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _start(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._life.add(task)
        task.add_done_callback(self._life.discard)
        return task

    async def _cancel(self, tasks: set[asyncio.Task[Any]]) -> None:
        tasks = set(tasks) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_living(self) -> None:
        """Until the containers have ended for good or the deadline is over; trouble is told and tried again."""
        if _over(self.pod) or (self._deleted.is_set() and shim_client.recover(self.folder) is None):
            self.recall()
            return
        for wait in retries():
            try:
                await self._live()
                return
            except SandboxLostError:
                self.event("Normal", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
            except Exception as error:
                log.exception("pod/%s/%s", self.namespace, self.name)
                self.event("Warning", "FailedSync", f"error syncing pod, retrying: {error}")
            await asyncio.sleep(wait)

    async def _live(self) -> None:
        self._started.clear()
        await self._sandbox()
        await self._mount()
        work, lost, late = self._start(self._work()), self._start(self._watch()), self._start(self._deadline())
        self._start(self._refresh())
        try:
            await asyncio.wait({work, lost, late}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
            elif late.done():
                late.result()
                await self._overdue()
            else:
                raise SandboxLostError
        finally:
            await self._cancel(self._life)
        if not self._deleted.is_set():
            await self._finish()

    async def _work(self) -> None:
        """Init containers one after the other, then the others, then the end of the native sidecars."""
        spec = self.pod["spec"]
        policy = spec.get("restartPolicy", "Always")
        self.runners = {}
        rule = "Never" if policy == "Never" else "OnFailure"
        states = [(each, state, rule) for each, state in zip(spec.get("initContainers") or [], self._state.inits, strict=True)]
        states += [(each, state, policy) for each, state in zip(spec["containers"], self._state.containers, strict=True)]
        runners = [ContainerRunner(self, *each) for each in states]
        resumed = self.taken_back and any(any((self.folder / "containers" / each.name).glob("[0-9]*.json")) for each in self._state.containers)
        for runner in runners[: len(self._state.inits)]:
            if not await self._init(runner, resumed):
                return
        for state in self._state.containers:
            if state.waiting == "PodInitializing":
                state.waiting = "ContainerCreating"
        await self._main(runners[len(self._state.inits) :])

    async def _init(self, runner: ContainerRunner, resumed: bool) -> bool:
        """Run one init container to its end, or start a native sidecar; False when the pod has failed."""
        state = runner.state
        self.runners[state.name] = runner
        task = self._start(runner.run())
        if not state.restartable:
            await task
            return state.ended is not None and state.ended.code == 0
        if not resumed:
            start = self._start(self._start_of(state.name).wait())
            await asyncio.wait({task, start}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        return True

    async def _main(self, runners: list[ContainerRunner]) -> None:
        """Start the containers in order; one with a postStart hook holds the next ones back until its hook is done, as kubelet does."""
        tasks = []
        for runner in runners:
            self.runners[runner.state.name] = runner
            task = self._start(runner.run())
            tasks.append(task)
            if (runner.spec.get("lifecycle") or {}).get("postStart"):
                start = self._start(self._start_of(runner.state.name).wait())
                await asyncio.wait({task, start}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.gather(*tasks)

    async def _deadline(self) -> None:
        """Return when activeDeadlineSeconds are over."""
        while True:
            seconds = self.pod["spec"].get("activeDeadlineSeconds")
            left = self._state.start_time + float(seconds) - time.time() if seconds is not None else 3600.0
            if left <= 0:
                return
            await asyncio.sleep(min(left, 3600.0))

    async def _overdue(self) -> None:
        self.event("Normal", "DeadlineExceeded", DEADLINE_MESSAGE)
        self._state.reason, self._state.message = "DeadlineExceeded", DEADLINE_MESSAGE
        await self._stop_all(self.grace())

    async def _finish(self) -> None:
        """All is over but the object: end what is left, keep the files for `kubectl logs`."""
        await self._stop_all(self.grace())
        if self.has_shim:
            shim_client.end(self.folder)
            self.has_shim = False
            with suppress(OSError):
                await self._runtime.network.detach(self.uid)
        self.touch()

    async def _sandbox(self) -> None:
        """Namespaces and network: new ones, or those of an earlier node process."""
        recovered = shim_client.recover(self.folder)
        self.taken_back = recovered is not None
        host = bool(self.pod["spec"].get("hostNetwork"))
        for wait in retries():
            try:
                self.shim = recovered or await shim_client.start(self.folder, self.hostname, network=not host)
                recovered = self.shim
                self.has_shim = True
                self._state.ip = self._runtime.settings.node_ip if host else await self._runtime.network.attach(self.uid, self.shim.pid)
                break
            except (VarkaError, OSError) as error:
                recovered = recovered if recovered is not None and recovered.alive() else None
                self.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
                await asyncio.sleep(wait)
        kept = self.folder / "pod.json"
        try:
            self._state.start_time = float(json.loads(kept.read_text())["start_time"])
        except (OSError, ValueError, KeyError):
            kept.write_text(json.dumps({"start_time": self._state.start_time, "namespace": self.namespace, "name": self.name}))
        resolv_conf = self._runtime.resolv_conf(self.namespace, self.pod["spec"].get("dnsPolicy", "ClusterFirst"), self.pod["spec"].get("dnsConfig"))
        etc_files.write(self.folder / "etc", self.addressed(), self.hostname, self._runtime.settings.cluster_domain, resolv_conf)
        self.touch()

    async def _mount(self) -> None:
        for wait in retries():
            try:
                await self.volumes.prepare(self.addressed())
                for path, size in self.volumes.in_memory.items():
                    await self.shim.command({"op": "tmpfs", "target": str(path), "size": size})
                return
            except (MountError, VarkaError, OSError) as error:
                self.event("Warning", "FailedMount", str(error))
                await asyncio.sleep(wait)

    async def _refresh(self) -> None:
        """Bring the volumes up to date when what they show changes, and tokens before they expire."""
        changed = self._runtime.subscribe(self)
        try:
            while True:
                wait = max(0.5, min(VOLUME_CHECK_SECONDS, self.volumes.renew_at - time.time()))
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await changed.wait()
                changed.clear()
                try:
                    await self.volumes.prepare(self.addressed())
                except (MountError, VarkaError, OSError) as error:
                    self.event("Warning", "FailedMount", str(error))
        finally:
            self._runtime.unsubscribe(self)

    @property
    def references(self) -> set[tuple[str, str]]:
        """The ConfigMaps and Secrets that the volumes show."""
        return self.volumes.references

    def addressed(self) -> Object:
        """The object with the addresses that its status may not have yet."""
        known = {"podIP": self._state.ip, "podIPs": [{"ip": self._state.ip}], "hostIP": self._state.host_ip}
        return {**self.pod, "status": {**(self.pod.get("status") or {}), **known}}

    async def _watch(self) -> None:
        """Hear of containers that end; returns when the pod's first process has ended."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection = await self.shim.send({"op": "watch"})
            except (VarkaError, TimeoutError):
                if not self.shim.alive():
                    return
                await asyncio.sleep(0.1)
                continue
            try:
                self._note_ends()
                while await loop.sock_recv(connection, 1 << 16):
                    self._note_ends()
            except OSError:
                continue
            finally:
                connection.close()

    def _note_ends(self) -> None:
        for runner in self.runners.values():
            runner.notice()

    async def _terminate(self, living: asyncio.Task[None]) -> None:
        """preStop and SIGTERM for all, native sidecars last, SIGKILL when the grace period is over; at once when there is a hurry."""
        if not self.has_shim:
            await self._cancel({living})
        stopping = self._spawn(self._stop_all(self.grace()))
        hurry = self._spawn(self._hurry.wait())
        await asyncio.wait({stopping, hurry}, return_when=asyncio.FIRST_COMPLETED)
        await self._cancel({living, stopping, hurry})

    async def _stop_all(self, grace: float) -> None:
        """End every container: the native sidecars after the others, in reverse order."""
        for runner in self.runners.values():
            runner.stopping = True
            if runner.state.running_since:
                self.event("Normal", "Killing", f"Stopping container {runner.state.name}", runner.path)
        deadline = time.monotonic() + grace
        # Whoever routes to the pod learns of its end at the same moment: SIGTERM must not be faster than that news.
        await asyncio.sleep(min(HEAD_START_SECONDS, grace / 10))
        await asyncio.gather(*(each.stop(grace, hook=True) for each in self.runners.values() if not each.state.restartable))
        for runner in reversed(list(self.runners.values())):
            if runner.state.restartable:
                await runner.stop(max(0.0, deadline - time.monotonic()) and max(2.0, deadline - time.monotonic()), hook=True)
        for runner in self.runners.values():
            runner.conclude()
        self.touch()

    async def _remove(self) -> None:
        """Leave nothing of the pod, then let its object go."""
        shim_client.end(self.folder)
        with suppress(OSError):
            await self._runtime.network.detach(self.uid)
        await asyncio.to_thread(self._runtime.forget_folder, self.folder)
        for wait in retries():
            try:
                await self._runtime.api.delete(resources.PODS, self.name, self.namespace, grace_seconds=0, uid=self.uid)
                return
            except ApiError as error:
                if error.code in {404, 409}:
                    return
                log.warning("pod/%s/%s not removed: %s", self.namespace, self.name, error)
            await asyncio.sleep(wait)

    def recall(self) -> None:
        """Learn from the files what became of the containers of a finished pod, for its logs."""
        specs = [*(self.pod["spec"].get("initContainers") or []), *self.pod["spec"]["containers"]]
        for spec, state in zip(specs, [*self._state.inits, *self._state.containers], strict=True):
            runner = ContainerRunner(self, spec, state, "Never")
            runner.recall()
            self.runners[state.name] = runner

    async def find(self, kind: str, name: str) -> Object | None:
        """A ConfigMap or Secret of the pod's namespace."""
        return await self._runtime.find(kind, self.namespace, name)

    def prober(self, spec: Object) -> probes.Prober:
        """Performs the probes and hooks of one container."""

        async def execute(command: list[str]) -> tuple[int, str]:
            return await self._runtime.streams.run(self, spec["name"], command)

        return probes.Prober(self._runtime.http, spec, self._state.ip, execute, self._runtime.clock)


def _over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}
