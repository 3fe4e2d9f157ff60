"""One pod on this node: a worker that makes its sandbox and volumes, runs its containers in order, and tells its status.

Everything about one pod happens in one worker, so that nothing about it happens twice at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varka.base.clock import rfc3339
from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.api import ApiError, Object, PatchType
from varka.cluster.runtime import containers, environment, probes, shim_client, status
from varka.cluster.runtime.catalog import Catalog, Recipe
from varka.cluster.runtime.containers import ContainerRunner
from varka.cluster.runtime.status import ContainerState, PodState
from varka.cluster.runtime.volumes import MountError, Volumes

if TYPE_CHECKING:
    from varka.cluster.runtime.runtime import Runtime

log = logging.getLogger("varka.runtime.pods")

TAKE_BACK_SECONDS = 0.3
"""How long a pod that a new node process takes back says nothing: until its containers are known again, it looks as if they waited."""
RETRY_WAITS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
STATUS_RETRIES = 5
VOLUME_CHECK_SECONDS = 60.0


class PodWorker:
    """Brings one pod's processes in line with its object, until the object is gone."""

    def __init__(self, runtime: Runtime, pod: Object) -> None:
        self._runtime = runtime
        self.pod = pod
        self.name, self.namespace, self.uid = pod["metadata"]["name"], pod["metadata"]["namespace"], pod["metadata"]["uid"]
        self.folder: Path = runtime.settings.folder / self.uid
        self.shim: shim_client.Shim
        self.has_shim = False
        self.mounts: dict[str, str] = {}
        self.backoff_first = runtime.settings.backoff_first
        self.hidden = [str(path) for path in runtime.settings.hidden]
        self.runners: dict[str, ContainerRunner] = {}
        self._volumes = Volumes(pod, self.folder / "volumes", self._find, runtime.mint)
        self._state = PodState(
            containers=[ContainerState(name=each["name"], image=each["image"]) for each in pod["spec"]["containers"]],
            inits=[
                ContainerState(name=each["name"], image=each["image"], init=True, restartable=each.get("restartPolicy") == "Always", waiting="PodInitializing")
                for each in pod["spec"].get("initContainers") or []
            ],
            host_ip=runtime.settings.node_ip,
            start_time=time.time(),
        )
        if self._state.inits:
            for each in self._state.containers:
                each.waiting = "PodInitializing"
        self._taken_back = False
        self._dirty = asyncio.Event()
        self._deleted = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._started: dict[str, asyncio.Event] = {}
        self._lock = asyncio.Lock()

    @property
    def catalog(self) -> Catalog:
        return self._runtime.catalog

    def update(self, pod: Object) -> None:
        """The object has changed."""
        self.pod = pod
        if pod["metadata"].get("deletionTimestamp"):
            self._deleted.set()
        self._dirty.set()

    def touch(self) -> None:
        """The status has to be told anew."""
        self._dirty.set()

    def started(self, container: str) -> None:
        """A container runs, and its startup probe, if it has one, has succeeded."""
        state = self.runners[container].state
        if state.started or not state.running_since:
            self._started.setdefault(container, asyncio.Event()).set()

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
        teller = asyncio.create_task(self._tell())
        living = asyncio.create_task(self._live())
        deleted = asyncio.create_task(self._deleted.wait())
        try:
            await asyncio.wait({living, deleted}, return_when=asyncio.FIRST_COMPLETED)
            if living.done() and not living.cancelled() and (error := living.exception()):
                log.error("pod/%s/%s failed", self.namespace, self.name, exc_info=error)
            await self._deleted.wait()
            await self._terminate(living)
        finally:
            for task in (living, deleted, teller, *self._running.values()):
                task.cancel()
            await asyncio.gather(living, deleted, teller, *self._running.values(), return_exceptions=True)
        await self._remove()

    async def _live(self) -> None:
        await self._sandbox()
        await self._mount()
        watching = asyncio.create_task(self._watch())
        refreshing = asyncio.create_task(self._refresh())
        try:
            policy = self.pod["spec"].get("restartPolicy", "Always")
            for spec, state in zip(self.pod["spec"].get("initContainers") or [], self._state.inits, strict=True):
                if not await self._init(spec, state, policy):
                    return
            for state in self._state.containers:
                state.waiting = "ContainerCreating"
            await self._main(policy)
        finally:
            for task in (watching, refreshing):
                task.cancel()
            await asyncio.gather(watching, refreshing, return_exceptions=True)

    async def _init(self, spec: Object, state: ContainerState, policy: str) -> bool:
        """Run one init container to its end, or start a native sidecar; False when the pod has failed."""
        init_policy = "OnFailure" if policy != "Never" else "Never"
        runner = ContainerRunner(self, spec, state, init_policy)
        self.runners[state.name] = runner
        task = asyncio.create_task(runner.run())
        self._running[state.name] = task
        if state.restartable:
            await self._started.setdefault(state.name, asyncio.Event()).wait()
            return True
        await task
        return state.ended is not None and state.ended.code == 0

    async def _main(self, policy: str) -> None:
        """Start the containers in order; one with a postStart hook holds the next ones back until its hook is done, as kubelet does."""
        tasks = []
        for spec, state in zip(self.pod["spec"]["containers"], self._state.containers, strict=True):
            runner = ContainerRunner(self, spec, state, policy)
            self.runners[state.name] = runner
            task = asyncio.create_task(runner.run())
            self._running[state.name] = task
            tasks.append(task)
            if (spec.get("lifecycle") or {}).get("postStart"):
                await asyncio.wait(
                    {task, asyncio.create_task(self._started.setdefault(state.name, asyncio.Event()).wait())}, return_when=asyncio.FIRST_COMPLETED
                )
        await asyncio.gather(*tasks)
        for state in self._state.inits:
            if state.restartable and state.name in self.runners:
                self.runners[state.name].stopping = True
                await self.runners[state.name].stop(self.grace(), hook=True)

    async def _sandbox(self) -> None:
        """Namespaces and network: new ones, or those of an earlier node process."""
        recovered = shim_client.recover(self.folder)
        self._taken_back = recovered is not None
        waits = iter([*RETRY_WAITS, *[RETRY_WAITS[-1]] * 10_000])
        host = bool(self.pod["spec"].get("hostNetwork"))
        while True:
            try:
                hostname = self.pod["spec"].get("hostname") or self.name[:63].rstrip("-.")
                self.shim = recovered or await shim_client.start(self.folder, hostname, network=not host)
                self.has_shim = True
                self._state.ip = self._runtime.settings.node_ip if host else await self._runtime.network.attach(self.uid, self.shim.pid)
                break
            except (VarkaError, OSError) as error:
                self.event("Warning", "FailedCreatePodSandBox", f"Failed to create pod sandbox: {error}")
                await asyncio.sleep(next(waits))
        sandbox_file = self.folder / "pod.json"
        if recovered and sandbox_file.exists():
            self._state.start_time = float(json.loads(sandbox_file.read_text())["start_time"])
        else:
            sandbox_file.write_text(json.dumps({"start_time": self._state.start_time, "namespace": self.namespace, "name": self.name}))
        self._write_files()
        self.touch()

    def _write_files(self) -> None:
        spec = self.pod["spec"]
        hostname = spec.get("hostname") or self.name
        lines = ["# Kubernetes-managed hosts file.", "127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback"]
        if not spec.get("hostNetwork"):
            domain = f"{hostname}.{spec['subdomain']}.{self.namespace}.svc.{self._runtime.settings.cluster_domain}\t" if spec.get("subdomain") else ""
            lines.append(f"{self._state.ip}\t{domain}{hostname}")
        lines += [f"{entry['ip']}\t" + "\t".join(entry.get("hostnames") or []) for entry in spec.get("hostAliases") or []]
        files = self.folder / "etc"
        files.mkdir(exist_ok=True)
        (files / "hosts").write_text("\n".join(lines) + "\n")
        (files / "hostname").write_text(hostname + "\n")
        (files / "resolv.conf").write_text(self._runtime.resolv_conf(self.namespace, spec.get("dnsPolicy", "ClusterFirst"), spec.get("dnsConfig")))

    async def _mount(self) -> None:
        waits = iter([*RETRY_WAITS, *[RETRY_WAITS[-1]] * 10_000])
        while True:
            try:
                await self._volumes.prepare(self._with_address())
                return
            except (MountError, VarkaError, OSError) as error:
                self.event("Warning", "FailedMount", str(error))
                await asyncio.sleep(next(waits))

    async def _refresh(self) -> None:
        """Bring the volumes up to date when what they show changes, and tokens before they expire."""
        changed = self._runtime.subscribe(self)
        try:
            while True:
                wait = max(0.5, min(VOLUME_CHECK_SECONDS, self._volumes.renew_at - time.time()))
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), wait)
                changed.clear()
                try:
                    await self._volumes.prepare(self._with_address())
                except (MountError, VarkaError, OSError) as error:
                    log.warning("volumes of pod/%s/%s not refreshed: %s", self.namespace, self.name, error)
        finally:
            self._runtime.unsubscribe(self)

    @property
    def references(self) -> set[tuple[str, str]]:
        """The ConfigMaps and Secrets that the volumes show."""
        return self._volumes.references

    def _with_address(self) -> Object:
        known = {"podIP": self._state.ip, "podIPs": [{"ip": self._state.ip}], "hostIP": self._state.host_ip}
        return {**self.pod, "status": {**(self.pod.get("status") or {}), **known}}

    async def _watch(self) -> None:
        """Hear of containers that end."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection = await self.shim.send({"op": "watch"})
            except VarkaError:
                if not self.shim.alive():
                    await self._lost()
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
            try:
                kept = json.loads((runner.log_path.with_suffix(".json")).read_text())
            except (OSError, ValueError):
                continue
            if "finished" in kept:
                runner.notice()

    async def _lost(self) -> None:
        """The first process was killed, and with it every container: the pod is over, its controller makes another."""
        self.event("Warning", "SandboxChanged", "Pod sandbox changed, it will be killed and re-created.")
        for runner in self.runners.values():
            runner.stopping = True
            runner.notice()
        for state in self._state.containers:
            state.done = True
            state.running_since, state.ready = 0.0, False
            state.ended = state.ended or status.Ended(
                code=137, started=self._state.start_time, finished=time.time(), reason="Error", message="the pod's first process was killed"
            )
        self.touch()

    async def _terminate(self, living: asyncio.Task[None]) -> None:
        """preStop and SIGTERM for all, native sidecars last, SIGKILL when the grace period is over."""
        grace = self.grace()
        sidecars = [each for each in self.runners.values() if each.state.restartable]
        others = [each for each in self.runners.values() if not each.state.restartable]
        for runner in self.runners.values():
            runner.stopping = True
            if runner.state.running_since:
                self.event("Normal", "Killing", f"Stopping container {runner.state.name}", runner.path)
        deadline = time.monotonic() + grace
        await asyncio.gather(*(each.stop(grace, hook=True) for each in others))
        await asyncio.gather(*(each.stop(max(0.0, deadline - time.monotonic()) if grace else 0.0, hook=True) for each in sidecars))
        living.cancel()

    async def _remove(self) -> None:
        """Leave nothing of the pod, then let its object go."""
        if self.has_shim:
            self.shim.kill()
            with suppress(OSError):
                await self._runtime.network.detach(self.uid)
        await asyncio.to_thread(self._runtime.forget_folder, self.folder)
        for wait in RETRY_WAITS:
            try:
                await self._runtime.api.delete(resources.PODS, self.name, self.namespace, grace_seconds=0, uid=self.uid)
                return
            except ApiError as error:
                if error.code in {404, 409}:
                    return
                log.warning("pod/%s/%s not removed: %s", self.namespace, self.name, error)
            await asyncio.sleep(wait)

    async def _tell(self) -> None:
        """Write the status whenever it changed; a burst becomes one write."""
        told: Object | None = None
        while True:
            await self._dirty.wait()
            await asyncio.sleep(TAKE_BACK_SECONDS if told is None and self._taken_back else 0)
            self._dirty.clear()
            if not self._state.ip:
                continue
            now = rfc3339(self._runtime.clock.now())
            current = status.build(self._state, self.pod, now)
            if told is not None and _same(told, current):
                continue
            try:
                answer = await self._runtime.api.patch(
                    resources.PODS,
                    self.name,
                    {"metadata": {"uid": self.uid}, "status": current},
                    self.namespace,
                    type=PatchType.STRATEGIC,
                    subresource="status",
                    manager="kubelet",
                )
                told = current
                if not self._deleted.is_set():
                    self.pod = {**self.pod, "status": answer.get("status") or {}}
            except ApiError as error:
                if error.code in {404, 409}:
                    return
                log.warning("status of pod/%s/%s not written: %s", self.namespace, self.name, error)
                await asyncio.sleep(0.2)
                self._dirty.set()

    async def _find(self, kind: str, name: str) -> Object | None:
        return await self._runtime.find(kind, self.namespace, name)

    async def container_spec(self, spec: Object, state: ContainerState) -> dict[str, Any]:
        """What the shim needs to start a container."""
        return await containers.specification(self, spec, state, self._find)

    async def variables(self, spec: Object, recipe: Recipe, find: Callable[[str, str], Awaitable[Object | None]]) -> dict[str, str]:
        """The container's environment; environment.MissingError when a reference leads nowhere."""
        wanted = set()
        for source in spec.get("envFrom") or []:
            wanted |= {("configmap", source["configMapRef"]["name"])} if "configMapRef" in source else {("secret", source["secretRef"]["name"])}
        for entry in spec.get("env") or []:
            origin = entry.get("valueFrom") or {}
            wanted |= {("configmap", origin["configMapKeyRef"]["name"])} if "configMapKeyRef" in origin else set()
            wanted |= {("secret", origin["secretKeyRef"]["name"])} if "secretKeyRef" in origin else set()
        found = {key: await find(*key) for key in wanted}
        folders = [recipe.programs, recipe.env.get("PATH", environment.DEFAULT_PATH), str(self._runtime.settings.programs)]
        path = ":".join(folder for folder in folders if folder)
        base = {**recipe.env, "PATH": path, "HOSTNAME": self.pod["spec"].get("hostname") or self.name, "HOME": recipe.env.get("HOME", "/root")}
        services = environment.of_services(self._runtime.services(), self.namespace, links=self.pod["spec"].get("enableServiceLinks", True))
        return environment.build(self._with_address(), spec, base, lambda kind, name: found.get((kind, name)), services)

    def expand(self, text: str, variables: Mapping[str, str]) -> str:
        """`$(NAME)` in commands and arguments."""
        return environment.expand(text, variables)

    def mounts_of(self, spec: Object, recipe: Recipe) -> list[dict[str, Any]]:
        """Every bind mount of a container: the pod's own files, the image's, the volumes."""
        found: list[dict[str, Any]] = [{"source": str(self.folder / "etc" / name), "target": f"/etc/{name}"} for name in ("hosts", "hostname", "resolv.conf")]
        found += [{"source": each.source, "target": each.target, "readOnly": each.read_only} for each in recipe.mounts]
        for mount in spec.get("volumeMounts") or []:
            source = self._volumes.paths[mount["name"]]
            part = environment.expand(mount["subPathExpr"], {}) if "subPathExpr" in mount else mount.get("subPath", "")
            if part:
                source = (source / part).resolve() if (source / part).exists() else source / part
                if not source.exists():
                    source.mkdir(parents=True)
            found.append({"source": str(source), "target": mount["mountPath"], "readOnly": bool(mount.get("readOnly"))})
        return found

    def prober(self, spec: Object) -> probes.Prober:
        """Performs the probes and hooks of one container."""

        async def execute(command: list[str]) -> tuple[int, str]:
            return await self._runtime.streams.run(self, spec["name"], command)

        return probes.Prober(self._runtime.http, spec, self._state.ip, execute)


def _same(told: Object, current: Object) -> bool:
    """Whether two statuses differ in more than the moment of writing."""

    def essence(found: Object) -> Object:
        conditions = [(each["type"], each["status"], each.get("reason"), each.get("message")) for each in found["conditions"]]
        return {**found, "conditions": conditions}

    return essence(told) == essence(current)
