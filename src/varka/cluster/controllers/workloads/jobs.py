"""Jobs: pods that run to their end, as often as wanted and with a bound on failures."""

from __future__ import annotations

from varka.client.api import Object
from varka.client.informers import Key
from varka.client.resources import JOBS, PODS
from varka.cluster.controllers import conditions, events, ownership, podstate
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder
from varka.cluster.controllers.queues import Reconciler
from varka.cluster.controllers.workloads.replicasets import slow_start

COMPONENT = "job-controller"
FIRST_WAIT, LONGEST_WAIT = 10.0, 600.0
INDEX = "batch.kubernetes.io/job-completion-index"


class Jobs:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        self._jobs, self._pods = context.informer(JOBS), context.informer(PODS)
        ownership.add_indexes(self._pods)
        self.reconciler = Reconciler("jobs", self.reconcile, context.clock, workers=4)
        self._jobs.add_handler(self.reconciler.on_change())
        self._pods.add_handler(self._pod_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        pod = new if new is not None else old
        owner = ownership.controller_of(pod) if pod is not None else None
        if pod is not None and owner is not None and owner["kind"] == "Job":
            self.reconciler.add(Key(pod["metadata"]["namespace"], owner["name"]))

    async def reconcile(self, key: Key) -> float | None:
        """Start and stop pods, then count them; gives when to look again."""
        job = self._jobs.items.get(key)
        if job is None or "deletionTimestamp" in job["metadata"]:
            return None
        if conditions.holds(job, "Complete") or conditions.holds(job, "Failed"):
            return await self._expire(job)
        pods = self._pods.indexed(ownership.BY_CONTROLLER, job["metadata"]["uid"])
        status = {**(job.get("status") or {})}
        suspended = bool(job["spec"].get("suspend"))
        if not suspended:
            status.setdefault("startTime", self._context.timestamp())
        failed = [pod for pod in pods if podstate.phase(pod) == "Failed"]
        succeeded = [pod for pod in pods if podstate.phase(pod) == "Succeeded"]
        active = [pod for pod in pods if podstate.active(pod)]
        wanted = job["spec"].get("completions") or 1
        verdict, late = self._verdict(job, status, len(failed), len(succeeded))
        again: float | None = late
        if verdict is not None or suspended:
            for pod in active:
                await self._context.delete(PODS, pod)
            active = []
        else:
            wait = self._backoff(failed, len(succeeded))
            if wait > 0:
                again = min(wait, again) if again is not None else wait
            else:
                active += await self._start(job, active, succeeded, wanted)
        await self._report(job, status, verdict, (active, succeeded, failed))
        return again

    def _verdict(self, job: Object, status: Object, failed: int, succeeded: int) -> tuple[Object | None, float | None]:
        """How the job has ended, if it has; and when its deadline is, if it has one."""
        spec = job["spec"]
        if succeeded >= (spec.get("completions") or 1):
            message = "Reached expected number of succeeded pods"
            return {"type": "Complete", "status": "True", "reason": "CompletionsReached", "message": message}, None
        if failed > spec.get("backoffLimit", 6):
            message = "Job has reached the specified backoff limit"
            return {"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded", "message": message}, None
        if "activeDeadlineSeconds" in spec and "startTime" in status:
            left = spec["activeDeadlineSeconds"] - self._context.age(status["startTime"])
            if left <= 0:
                message = "Job was active longer than specified deadline"
                return {"type": "Failed", "status": "True", "reason": "DeadlineExceeded", "message": message}, None
            return None, left
        return None, None

    def _backoff(self, failed: list[Object], succeeded: int) -> float:
        """Seconds until the next pod may start: 10, 20, 40, … after each failure."""
        if not failed or succeeded:
            return 0.0
        ends = [
            (one.get("state") or {}).get("terminated", {}).get("finishedAt") or ""
            for pod in failed
            for one in (pod.get("status") or {}).get("containerStatuses") or ()
        ]
        last = max([end for end in ends if end], default="")
        if not last:
            return 0.0
        pause: float = min(FIRST_WAIT * 2 ** (len(failed) - 1), LONGEST_WAIT)
        return pause - self._context.age(last)

    async def _start(self, job: Object, active: list[Object], succeeded: list[Object], wanted: int) -> list[Object]:
        meta, spec = job["metadata"], job["spec"]
        parallel = spec.get("parallelism", 1)
        missing = min(parallel, wanted - len(succeeded)) - len(active)
        if spec.get("completions") is None and succeeded:
            missing = 0
        taken = {(pod["metadata"].get("annotations") or {}).get(INDEX) for pod in [*active, *succeeded]}
        indexes = [str(number) for number in range(wanted) if str(number) not in taken]
        made: list[Object] = []
        pod = podstate.from_template(spec["template"], job, ownership.reference(job, "batch/v1", "Job"))
        named = {"job-name": meta["name"], "controller-uid": meta["uid"]}
        labels = {**named, **{f"batch.kubernetes.io/{name}": value for name, value in named.items()}}
        pod["metadata"]["labels"] = {**(pod["metadata"].get("labels") or {}), **labels}

        async def create() -> None:
            body = pod
            if spec.get("completionMode") == "Indexed":
                index = indexes.pop(0)
                labelled = {**pod["metadata"]["labels"], INDEX: index}
                body = {**pod, "metadata": {**pod["metadata"], "labels": labelled, "annotations": {**(pod["metadata"].get("annotations") or {}), INDEX: index}}}
            one = await self._context.create(PODS, body)
            made.append(one)
            self._recorder.record(COMPONENT, job, events.NORMAL, "SuccessfulCreate", f"Created pod: {one['metadata']['name']}")

        error = await slow_start(max(0, missing), create)
        if error is not None:
            self._recorder.record(COMPONENT, job, events.WARNING, "FailedCreate", f"Error creating: {error.message}")
            raise error
        return made

    async def _report(self, job: Object, status: Object, verdict: Object | None, pods: tuple[list[Object], list[Object], list[Object]]) -> None:
        now = self._context.timestamp()
        active, succeeded, failed = pods
        counts = {"active": len(active), "succeeded": len(succeeded), "failed": len(failed)}
        status = {name: value for name, value in status.items() if name not in counts} | {name: count for name, count in counts.items() if count}
        status["ready"] = sum(podstate.ready(pod) for pod in active)
        status["terminating"] = 0
        status["uncountedTerminatedPods"] = {}
        if job["spec"].get("suspend"):
            status.pop("startTime", None)
        if verdict is not None:
            before = "SuccessCriteriaMet" if verdict["type"] == "Complete" else "FailureTarget"
            listed = list(status.get("conditions") or ())
            for condition in ({**verdict, "type": before}, verdict):
                listed = conditions.put(listed, {**condition, "lastProbeTime": now}, now)
            status["conditions"] = listed
            if verdict["type"] == "Complete":
                status["completionTime"] = now
        await self._context.update_status(JOBS, job, status)
        if verdict is not None and verdict["type"] == "Complete":
            self._recorder.record(COMPONENT, job, events.NORMAL, "Completed", "Job completed")
        elif verdict is not None:
            self._recorder.record(COMPONENT, job, events.WARNING, verdict["reason"], verdict["message"])

    async def _expire(self, job: Object) -> float | None:
        """A job that has ended goes when its time to live is over."""
        seconds = job["spec"].get("ttlSecondsAfterFinished")
        if seconds is None:
            return None
        end = next(one for kind in ("Complete", "Failed") if (one := conditions.find(job, kind)) is not None and one["status"] == "True")
        left = float(seconds - self._context.age(end["lastTransitionTime"]))
        if left > 0:
            return left
        await self._context.delete(JOBS, job, propagation="Foreground")
        return None
