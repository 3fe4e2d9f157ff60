"""One container of a pod: started, watched, probed, restarted with back-off, ended.

A run of a container is numbered from 0; its number is the restart count. What is known of a run lies in files, so that the
next node process goes on where this one stopped: `N.json` (written by the shim: start, end), `N.log`, `N.message`.
"""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varka.base.errors import VarkaError
from varka.client.api import Object
from varka.cluster.runtime import logfiles, probes, specifications
from varka.cluster.runtime.specifications import Refusal
from varka.cluster.runtime.status import ContainerState, Ended

if TYPE_CHECKING:
    from varka.cluster.runtime.pods import PodWorker

BACKOFF_MOST, BACKOFF_RESET = 300.0, 600.0
IMAGE_WAITS = (0.5, 1.0, 2.0, 5.0)
"""A missing image is looked for again soon: adding a recipe costs nothing, unlike asking a registry."""
HOOK_SECONDS = 120.0
KILL_SECONDS = 5.0
MESSAGE_LIMIT, MESSAGE_LOG_LINES, MESSAGE_LOG_LIMIT = 4096, 80, 2048


def earlier_runs(pod: Object) -> dict[str, int]:
    """Container → the number of its newest run, for those that the pod's status says were started.

    What is in files ends with the pod's namespaces; the count of restarts does not.
    """
    status = pod.get("status") or {}
    entries = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
    return {entry["name"]: int(entry.get("restartCount") or 0) for entry in entries if entry.get("containerID")}


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
        self._stops: set[asyncio.Task[None]] = set()
        self.stopping = False

    @property
    def path(self) -> str:
        """How events name the container."""
        return f"spec.{'initContainers' if self.state.init else 'containers'}{{{self.state.name}}}"

    @property
    def log_path(self) -> Path:
        """The log of the newest run."""
        return self.file(self._attempt, "log")

    def file(self, attempt: int, kind: str) -> Path:
        """A file of one run: `json`, `log` or `message`."""
        return self._folder / f"{attempt}.{kind}"

    @property
    def over(self) -> bool:
        """Whether the newest run has ended, so that nothing more will be written."""
        return not self.state.running_since

    def notice(self) -> None:
        """Look whether the shim has written down an end."""
        try:
            kept = json.loads(self.file(self._attempt, "json").read_text())
        except (OSError, ValueError):
            return
        if "finished" in kept:
            self._ended.set()

    async def run(self) -> None:
        """Until the container has ended for good."""
        self._folder.mkdir(parents=True, exist_ok=True)
        resumed = self.recall()
        while not self.stopping and not self.state.done:
            try:
                if not resumed:
                    await self._start()
            except Refusal as refusal:
                await self._refused(refusal)
                continue
            await self._live(fresh=not resumed)
            resumed = False
            if self.stopping or not self._restarts():
                break
            await self._back_off()
        self.state.done = self.state.done or self.state.ended is not None
        self._worker.touch()

    def _restarts(self) -> bool:
        ended = self.state.ended
        return self._policy == "Always" or (self._policy == "OnFailure" and ended is not None and ended.code != 0)

    def recall(self) -> bool:
        """Take up what an earlier node process knew; True when the newest run goes on, or its end is still to be told."""
        runs = self._runs()
        if not runs:
            return False
        state, worker = self.state, self._worker
        self._attempt = runs[-1]
        kept = json.loads(self.file(self._attempt, "json").read_text())
        state.restarts = self._attempt
        state.container_id = worker.container_id(state.name, self._attempt)
        self._backoff = min(worker.backoff_first * 2 ** (self._attempt - 1), BACKOFF_MOST) if self._attempt else 0.0
        if not worker.taken_back:
            self._recall_end(kept)
            return False
        state.waiting = ""
        self._running(kept)
        if self._attempt:
            state.last = self._read_end(self._attempt - 1)
        if "finished" in kept:
            self._ended.set()
        before = self._told()
        state.started = "startupProbe" not in self.spec or bool(before.get("started"))
        state.ready = state.started and ("readinessProbe" not in self.spec or bool(before.get("ready")))
        worker.touch()
        return True

    def _recall_end(self, kept: dict[str, Any]) -> None:
        """The pod's namespaces are new ones: the newest run ended with the old ones, if not before."""
        if "finished" not in kept:
            kept |= {"finished": time.time(), "code": 255, "reason": "Unknown"}
            self.file(self._attempt, "json").write_text(json.dumps(kept))
        ended = self._read_end(self._attempt)
        self.state.ended = ended
        if self.state.init or self._restarts():
            self.state.last, self.state.ended = ended, None
        else:
            self.state.done = True

    def _told(self) -> Object:
        status = self._worker.pod.get("status") or {}
        entries = [*(status.get("containerStatuses") or []), *(status.get("initContainerStatuses") or [])]
        return next((entry for entry in entries if entry["name"] == self.state.name), {})

    def _runs(self) -> list[int]:
        return sorted(int(file.stem) for file in self._folder.glob("*.json") if file.stem.isdigit())

    def _running(self, kept: dict[str, Any]) -> None:
        self.state.running_since = float(kept["started"])
        self._worker.mounts[self.state.name] = str(kept.get("mounts", ""))

    async def _start(self) -> None:
        worker, state = self._worker, self.state
        runs = self._runs()
        attempt = (runs[-1] if runs else worker.earlier.get(state.name, -1)) + 1
        message = self.file(attempt, "message")
        message.write_bytes(b"")
        message.chmod(0o666)
        spec = await specifications.build(worker, self.spec, message)
        self._attempt, self._ended = attempt, asyncio.Event()
        state.restarts = attempt
        state.container_id = worker.container_id(state.name, attempt)
        state_file = self.file(attempt, "json")
        worker.event("Normal", "Pulled", f'Container image "{self.spec["image"]}" already present on machine', self.path)
        worker.event("Normal", "Created", f"Created container: {state.name}", self.path)
        try:
            await worker.shim.command({"op": "start", "container": {**spec, "log": str(self.log_path), "state": str(state_file)}})
        except VarkaError as error:
            if not worker.shim.alive():
                raise
            self._not_started(state_file, error.message)
            return
        self._running(json.loads(state_file.read_text()))
        state.waiting, state.waiting_message = "", ""
        state.ended = None
        state.started = "startupProbe" not in self.spec
        state.ready = state.started and "readinessProbe" not in self.spec
        self._forget(attempt - 2)
        worker.event("Normal", "Started", f"Started container {state.name}", self.path)
        worker.touch()

    def _not_started(self, state_file: Path, why: str) -> None:
        now = time.time()
        message = f"failed to start container process: {why}"
        self._worker.event("Warning", "Failed", f"Error: {message}", self.path)
        state_file.write_text(json.dumps({"pid": 0, "started": now, "finished": now, "code": 128, "reason": "StartError", "message": message}))
        self._ended.set()
        self._running({"started": now})

    def _forget(self, newest: int) -> None:
        """Only the newest run and the one before it are kept."""
        for attempt in self._runs():
            if attempt <= newest:
                for kind in ("json", "log", "log.1", "message"):
                    self.file(attempt, kind).unlink(missing_ok=True)

    async def _live(self, *, fresh: bool) -> None:
        """From a start to its end."""
        state = self.state
        probing: asyncio.Task[None] | None = None
        try:
            if not self._ended.is_set():
                if fresh and (self.spec.get("lifecycle") or {}).get("postStart"):
                    await self._post_start()
                probing = asyncio.create_task(self._probe())
            self._worker.started(state.name)
            await self._ended.wait()
        finally:
            if probing is not None:
                probing.cancel()
                await asyncio.gather(probing, return_exceptions=True)
        state.ended = self._read_end(self._attempt)
        state.running_since = 0.0
        state.ready = state.started = False
        self._worker.touch()

    def _read_end(self, attempt: int) -> Ended | None:
        try:
            kept = json.loads(self.file(attempt, "json").read_text())
        except (OSError, ValueError):
            return None
        code = int(kept.get("code", 137))
        reason = str(kept.get("reason", "")) if "finished" in kept else "ContainerStatusUnknown"
        return Ended(
            code=code,
            started=float(kept["started"]),
            finished=float(kept.get("finished") or time.time()),
            reason=reason,
            message=str(kept.get("message", "")) or self._last_words(attempt, code),
            container_id=self._worker.container_id(self.state.name, attempt),
        )

    def _last_words(self, attempt: int, code: int) -> str:
        """What the container wrote to its terminationMessagePath, or, if it asks for that, the end of its log."""
        try:
            with self.file(attempt, "message").open("rb") as file:
                written = file.read(MESSAGE_LIMIT)
        except OSError:
            written = b""
        if not written and code != 0 and self.spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            entries = list(logfiles.stored(self.file(attempt, "log")))[-MESSAGE_LOG_LINES:]
            written = b"".join(entry.render(False) for entry in entries)[-MESSAGE_LOG_LIMIT:]
        return written.decode(errors="replace")

    async def _post_start(self) -> None:
        done, message = await self._prober().act(self.spec["lifecycle"]["postStart"], HOOK_SECONDS)
        if not done:
            self._worker.event("Warning", "FailedPostStartHook", f"PostStartHook failed: {message}", self.path)
            self.kill("FailedPostStartHook")

    def _prober(self) -> probes.Prober:
        return self._worker.prober(self.spec)

    async def _probe(self) -> None:
        """Startup first; then readiness and liveness side by side."""
        state, prober = self.state, self._prober()

        async def started(success: bool, message: str) -> bool:
            if success:
                state.started = True
                state.ready = "readinessProbe" not in self.spec
                self._worker.touch()
                self._worker.started(state.name)
            else:
                self._unhealthy("Startup", message)
                self.kill(f"Container {state.name} failed startup probe, will be restarted", self.spec["startupProbe"])
            return False

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
            self.kill(f"Container {state.name} failed liveness probe, will be restarted", self.spec["livenessProbe"])
            return False

        if not state.started:
            await probes.watch(prober, self.spec["startupProbe"], started, eager=True)
            if not state.started:
                return
        async with asyncio.TaskGroup() as group:
            if "readinessProbe" in self.spec:
                group.create_task(probes.watch(prober, self.spec["readinessProbe"], ready, eager=not state.ready))
            if "livenessProbe" in self.spec:
                group.create_task(probes.watch(prober, self.spec["livenessProbe"], alive, eager=False))

    def _unhealthy(self, kind: str, message: str) -> None:
        self._worker.event("Warning", "Unhealthy", f"{kind} probe failed: {message}", self.path)

    def kill(self, why: str, probe: Object | None = None) -> None:
        """End the running process because of a probe or hook; the usual rules decide whether it comes back."""
        self._worker.event("Normal", "Killing", why, self.path)
        given = (probe or {}).get("terminationGracePeriodSeconds")
        task = asyncio.get_running_loop().create_task(self.stop(float(given) if given is not None else self._worker.grace(), hook=True))
        self._stops.add(task)
        task.add_done_callback(self._stops.discard)

    async def stop(self, grace: float, *, hook: bool) -> None:
        """preStop, SIGTERM, and SIGKILL when the grace period is over; returns when the process has ended."""
        ended = self._ended
        if ended.is_set() or not self.state.running_since:
            return
        deadline = time.monotonic() + grace
        lifecycle = self.spec.get("lifecycle") or {}
        if hook and lifecycle.get("preStop") and grace > 0:
            done, message = await self._prober().act(lifecycle["preStop"], grace)
            if not done:
                self._worker.event("Warning", "FailedPreStopHook", f"PreStopHook failed: {message}", self.path)
        if grace > 0 and not ended.is_set():
            await self._signal(int(getattr(signal, lifecycle.get("stopSignal") or "SIGTERM", signal.SIGTERM)))
            with suppress(TimeoutError):
                # After a long preStop kubelet leaves two seconds.
                async with asyncio.timeout(max(2.0, deadline - time.monotonic())):
                    await ended.wait()
        if not ended.is_set():
            await self._signal(signal.SIGKILL)
            with suppress(TimeoutError):
                async with asyncio.timeout(KILL_SECONDS):
                    await ended.wait()

    def conclude(self) -> None:
        """The pod is ending: whatever this container did last is how it ended."""
        state = self.state
        self.notice()
        if state.running_since and self._ended.is_set():
            state.ended, state.running_since = self._read_end(self._attempt), 0.0
        state.ready = state.started = False
        state.ended = state.ended or state.last
        state.done = state.done or state.ended is not None

    async def _signal(self, number: int) -> None:
        with suppress(VarkaError, TimeoutError):
            await self._worker.shim.command({"op": "signal", "container": self.state.name, "signal": int(number)})

    async def _refused(self, refusal: Refusal) -> None:
        """Say why the container does not start, and wait for a change."""
        state, worker, image = self.state, self._worker, self.spec["image"]
        state.waiting, state.waiting_message = refusal.reason, refusal.message
        worker.touch()
        pulls = refusal.reason == "ErrImagePull"
        if pulls:
            worker.event("Normal", "Pulling", f'Pulling image "{image}"', self.path)
            worker.event("Warning", "Failed", f'Failed to pull image "{image}": {refusal.message}', self.path)
        worker.event("Warning", "Failed", "Error: ErrImagePull" if pulls else f"Error: {refusal.message}", self.path)
        for wait in IMAGE_WAITS:
            await asyncio.sleep(wait)
            if self.stopping:
                return
            if not pulls:
                continue
            try:
                specifications.recipe_of(worker.catalog, image)
                return
            except Refusal as again:
                if state.waiting != "ImagePullBackOff":
                    worker.event("Normal", "BackOff", f'Back-off pulling image "{image}"', self.path)
                    worker.event("Warning", "Failed", "Error: ImagePullBackOff", self.path)
                state.waiting = "ImagePullBackOff"
                state.waiting_message = f'Back-off pulling image "{image}": ErrImagePull: {again.message}'
                worker.touch()

    async def _back_off(self) -> None:
        """Wait before the next start: not at all after the first end, then 10 s, doubling up to 5 min."""
        state, worker = self.state, self._worker
        ended = state.ended
        state.last, state.ended = ended, None
        if ended is not None and ended.finished - ended.started > BACKOFF_RESET:
            self._backoff = 0.0
        wait = self._backoff
        self._backoff = min(max(worker.backoff_first, self._backoff * 2), BACKOFF_MOST)
        if wait:
            state.waiting = "CrashLoopBackOff"
            whole = f"{worker.name}_{worker.namespace}({worker.uid})"
            state.waiting_message = f"back-off {_duration(wait)} restarting failed container={state.name} pod={whole}"
            worker.event("Warning", "BackOff", f"Back-off restarting failed container {state.name} in pod {whole}", self.path)
        else:
            state.waiting, state.waiting_message = "ContainerCreating", ""
        worker.touch()
        if wait:
            await asyncio.sleep(wait)


def _duration(seconds: float) -> str:
    """As Go writes it: `10s`, `1m20s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
