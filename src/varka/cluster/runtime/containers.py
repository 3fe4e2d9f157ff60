"""One container of a pod: started, watched, probed, restarted with back-off, ended."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varka.base.errors import VarkaError
from varka.client.api import Object
from varka.cluster.runtime import capabilities, catalog, probes
from varka.cluster.runtime.environment import MissingError
from varka.cluster.runtime.status import ContainerState, Ended

if TYPE_CHECKING:
    from varka.cluster.runtime.pods import PodWorker

BACKOFF_FIRST, BACKOFF_MOST, BACKOFF_RESET = 10.0, 300.0, 600.0
IMAGE_WAITS = (0.5, 1.0, 2.0, 5.0)
"""A missing image is looked for again soon: adding a recipe costs nothing, unlike asking a registry."""
HOOK_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """A container cannot be started now; `reason` and `message` go into its status."""

    reason: str
    message: str


class ContainerRunner:
    """Keeps one container as its spec and the pod's restart policy want it."""

    def __init__(self, worker: PodWorker, spec: Object, state: ContainerState, policy: str) -> None:
        self.spec = spec
        self.state = state
        self._worker = worker
        self._policy = "Always" if state.restartable else policy
        self._folder = worker.folder / "containers" / state.name
        self._ended = asyncio.Event()
        self._attempt = 0
        self._backoff = 0.0
        self.stopping = False

    @property
    def path(self) -> str:
        """How events name the container."""
        return f"spec.{'initContainers' if self.state.init else 'containers'}{{{self.state.name}}}"

    @property
    def log_path(self) -> Path:
        return self.log_of(self._attempt)

    def log_of(self, attempt: int) -> Path:
        """The log of one run; runs are counted from 0."""
        return self._folder / f"{attempt}.log"

    def notice(self) -> None:
        """The shim said that the container has ended."""
        self._ended.set()

    async def run(self) -> None:
        """Until the container has ended for good."""
        self._folder.mkdir(parents=True, exist_ok=True)
        recovered = self._recover()
        while not self.stopping:
            try:
                if not recovered:
                    await self._start()
            except Refusal as refusal:
                await self._refused(refusal)
                continue
            recovered = False
            await self._live()
            if self.stopping or not self._restarts():
                self.state.done = True
                self._worker.touch()
                return
            await self._back_off()

    def _restarts(self) -> bool:
        ended = self.state.ended
        return self._policy == "Always" or (self._policy == "OnFailure" and ended is not None and ended.code != 0)

    def _recover(self) -> bool:
        """Take up a run that an earlier node process started; True when its end is still to come or to be told."""
        files = sorted(self._folder.glob("*.json"), key=lambda file: int(file.stem))
        if not files:
            return False
        self._attempt = int(files[-1].stem)
        kept = json.loads(files[-1].read_text())
        self.state.restarts = self._attempt
        self.state.container_id = self._worker.container_id(self.state.name, self._attempt)
        self.state.waiting = ""
        self._running(kept)
        if self._attempt and (before := self._read_end(self._attempt - 1)):
            self.state.last = before
        if "finished" in kept:
            self._ended.set()
        self.state.started = "startupProbe" not in self.spec
        self.state.ready = self._was_ready() and self.state.started
        self._worker.touch()
        return True

    def _was_ready(self) -> bool:
        status = self._worker.pod.get("status") or {}
        entries = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
        return any(entry["name"] == self.state.name and entry.get("ready") for entry in entries)

    def _running(self, kept: dict[str, Any]) -> None:
        self.state.running_since = float(kept["started"])
        self._worker.mounts[self.state.name] = str(kept.get("mounts", ""))

    async def _start(self) -> None:
        worker, state = self._worker, self.state
        spec = await worker.container_spec(self.spec, state)
        fresh = [int(file.stem) for file in self._folder.glob("*.json")]
        self._attempt = max(fresh) + 1 if fresh else 0
        state.restarts = self._attempt
        state.container_id = worker.container_id(state.name, self._attempt)
        state_file = self._folder / f"{self._attempt}.json"
        self._ended.clear()
        worker.event("Normal", "Created", f"Created container: {state.name}", self.path)
        try:
            await worker.shim.command({"op": "start", "container": {**spec, "log": str(self.log_path), "state": str(state_file)}})
        except VarkaError as error:
            now = time.time()
            reason = "StartError" if error.message.startswith("exec:") else "ContainerCannotRun"
            message = f"failed to start container: {error.message}"
            worker.event("Warning", "Failed", f"Error: {message}", self.path)
            state_file.write_text(json.dumps({"pid": 0, "started": now, "finished": now, "code": 128, "reason": reason, "message": message}))
            self._ended.set()
            self._running({"started": now})
            return
        self._running(json.loads(state_file.read_text()))
        state.waiting = ""
        state.ended = None
        state.started = "startupProbe" not in self.spec
        state.ready = state.started and "readinessProbe" not in self.spec
        worker.event("Normal", "Started", f"Started container {state.name}", self.path)
        worker.touch()

    async def _live(self) -> None:
        """From a start to its end."""
        state = self.state
        tasks: list[asyncio.Task[None]] = []
        if not self._ended.is_set():
            if self.spec.get("lifecycle", {}).get("postStart") and not state.ended:
                await self._post_start()
            tasks = [asyncio.create_task(self._probe())]
        self._worker.started(state.name)
        try:
            await self._ended.wait()
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
        state.ended = self._read_end(self._attempt)
        state.running_since = 0.0
        state.ready = state.started = False
        self._worker.touch()

    def _read_end(self, attempt: int) -> Ended | None:
        try:
            kept = json.loads((self._folder / f"{attempt}.json").read_text())
        except (OSError, ValueError):
            return None
        if "finished" not in kept:
            return Ended(code=137, started=kept["started"], finished=time.time(), reason="ContainerStatusUnknown", message="the container's end was not seen")
        return Ended(
            code=int(kept["code"]),
            started=float(kept["started"]),
            finished=float(kept["finished"]),
            reason=str(kept.get("reason", "")),
            message=str(kept.get("message", "")),
            container_id=self._worker.container_id(self.state.name, attempt),
        )

    async def _post_start(self) -> None:
        action = self.spec["lifecycle"]["postStart"]
        done, message = await self._prober().act(action, HOOK_SECONDS * 4)
        if not done:
            self._worker.event("Warning", "FailedPostStartHook", f"PostStartHook failed: {message}", self.path)
            await self.kill(f"FailedPostStartHook: {message}")

    def _prober(self) -> probes.Prober:
        return self._worker.prober(self.spec)

    async def _probe(self) -> None:
        """Startup first; then readiness and liveness side by side."""
        state, prober = self.state, self._prober()
        if "startupProbe" in self.spec and not state.started:

            async def started(success: bool, message: str) -> bool:
                if success:
                    state.started = True
                    state.ready = "readinessProbe" not in self.spec
                    self._worker.touch()
                    self._worker.started(state.name)
                else:
                    self._unhealthy("Startup", message)
                    await self.kill(f"Container {state.name} failed startup probe, will be restarted")
                return False

            await probes.watch(prober, self.spec["startupProbe"], started, eager=True)
            if not state.started:
                return

        async def ready(success: bool, message: str) -> bool:
            if not success:
                self._unhealthy("Readiness", message)
            if state.ready != success:
                state.ready = success
                self._worker.touch()
            return True

        async def alive(success: bool, message: str) -> bool:
            if success:
                return True
            self._unhealthy("Liveness", message)
            await self.kill(f"Container {state.name} failed liveness probe, will be restarted")
            return False

        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self.spec:
                group.create_task(probes.watch(prober, self.spec["readinessProbe"], ready, eager=not state.ready))
            if "livenessProbe" in self.spec:
                group.create_task(probes.watch(prober, self.spec["livenessProbe"], alive, eager=False))

    def _unhealthy(self, kind: str, message: str) -> None:
        self._worker.event("Warning", "Unhealthy", f"{kind} probe failed: {message}", self.path)

    async def kill(self, why: str) -> None:
        """End the running process because of a probe or hook; the usual rules decide whether it comes back."""
        self._worker.event("Normal", "Killing", why, self.path)
        asyncio.get_running_loop().create_task(self.stop(self._worker.grace(), hook=True))

    async def stop(self, grace: float, *, hook: bool) -> None:
        """preStop, SIGTERM, and SIGKILL when the grace period is over; returns when the process has ended."""
        if self._ended.is_set() or not self.state.running_since:
            return
        deadline = time.monotonic() + grace
        action = (self.spec.get("lifecycle") or {}).get("preStop")
        if hook and action and grace > 0:
            done, message = await self._prober().act(action, grace)
            if not done:
                self._worker.event("Warning", "FailedPreStopHook", f"PreStopHook failed: {message}", self.path)
        if grace > 0:
            await self._signal(int(getattr(signal, (self.spec.get("lifecycle") or {}).get("stopSignal") or "SIGTERM", signal.SIGTERM)))
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), max(0.0, deadline - time.monotonic()))
        if not self._ended.is_set():
            await self._signal(signal.SIGKILL)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), 5.0)

    async def _signal(self, number: int) -> None:
        with suppress(VarkaError):
            await self._worker.shim.command({"op": "signal", "container": self.state.name, "signal": int(number)})

    async def _refused(self, refusal: Refusal) -> None:
        """Say why the container does not start, and wait for a change."""
        state, worker = self.state, self._worker
        state.waiting, state.waiting_message = refusal.reason, refusal.message
        worker.touch()
        for wait in IMAGE_WAITS:
            if await self._pause(wait):
                return
            try:
                await worker.container_spec(self.spec, state)
                return
            except Refusal as again:
                if again.reason == "ErrImagePull":
                    state.waiting = "ImagePullBackOff"
                    state.waiting_message = f'Back-off pulling image "{self.spec["image"]}": ErrImagePull: {again.message}'
                    worker.event("Normal", "BackOff", f'Back-off pulling image "{self.spec["image"]}"', self.path)
                worker.touch()

    async def _pause(self, seconds: float) -> bool:
        await asyncio.sleep(seconds)
        return self.stopping

    async def _back_off(self) -> None:
        """Wait before the next start: not at all after the first failure, then 10 s, doubling up to 5 min."""
        state, worker = self.state, self._worker
        ended = state.ended
        state.last, state.ended = ended, None
        if ended is not None and ended.finished - ended.started > BACKOFF_RESET:
            self._backoff = 0.0
        if state.init and ended is not None and ended.code == 0:
            self._backoff = 0.0
        wait = self._backoff
        self._backoff = min(max(worker.backoff_first, self._backoff * 2), BACKOFF_MOST)
        if wait:
            state.waiting = "CrashLoopBackOff"
            told = f"back-off {wait:.0f}s restarting failed container={state.name} pod={worker.name}_{worker.namespace}({worker.uid})"
            state.waiting_message = told
            worker.event(
                "Warning", "BackOff", f"Back-off restarting failed container {state.name} in pod {worker.name}_{worker.namespace}({worker.uid})", self.path
            )
        else:
            state.waiting, state.waiting_message = "ContainerCreating", ""
        worker.touch()
        if wait:
            await asyncio.sleep(wait)


async def specification(worker: PodWorker, spec: Object, state: ContainerState, find: Callable[[str, str], Awaitable[Object | None]]) -> dict[str, Any]:
    """What the shim needs to start a container; Refusal when its image or configuration is missing."""
    try:
        recipe = worker.catalog.find(spec["image"])
    except VarkaError as error:
        raise Refusal("ErrImagePull", str(error)) from error
    if recipe is None:
        message = f'no recipe for image "{spec["image"]}"; say which command it stands for: varka image add {spec["image"]} -- COMMAND…'
        worker.event("Warning", "Failed", f'Failed to pull image "{spec["image"]}": {message}', f"spec.containers{{{state.name}}}")
        raise Refusal("ErrImagePull", message)
    try:
        variables = await worker.variables(spec, recipe, find)
    except MissingError as error:
        worker.event("Warning", "Failed", f"Error: {error}", f"spec.containers{{{state.name}}}")
        raise Refusal("CreateContainerConfigError", str(error)) from error
    line = [worker.expand(part, variables) for part in spec.get("command") or []]
    arguments = [worker.expand(part, variables) for part in spec.get("args") or []]
    command = catalog.command_line(recipe, line, arguments)
    if not command:
        raise Refusal("CreateContainerError", f'image "{spec["image"]}" names no command; add one: varka image add {spec["image"]} -- COMMAND…')
    return {
        "name": state.name,
        "command": command,
        "env": variables,
        "workingDir": spec.get("workingDir") or recipe.workdir,
        "stdin": bool(spec.get("stdin")),
        "tty": bool(spec.get("tty")),
        "mounts": worker.mounts_of(spec, recipe),
        "hidden": worker.hidden,
        "capabilities": capabilities.kept(spec.get("securityContext") or {}, recipe.capabilities),
    }
