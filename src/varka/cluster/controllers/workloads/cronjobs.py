"""CronJobs: a Job whenever the schedule says so."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from varka.base.clock import parse_rfc3339, rfc3339
from varka.client.api import ApiError, Object
from varka.client.informers import Key
from varka.client.resources import CRON_JOBS, JOBS
from varka.cluster.controllers import conditions, events, ownership
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder
from varka.cluster.controllers.queues import Reconciler
from varka.cluster.controllers.workloads import schedules

COMPONENT = "cronjob-controller"
SCHEDULED = "batch.kubernetes.io/cronjob-scheduled-timestamp"
MOST_MISSED = 100


class CronJobs:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, recorder: Recorder) -> None:
        self._context = context
        self._recorder = recorder
        self._crons, self._jobs = context.informer(CRON_JOBS), context.informer(JOBS)
        ownership.add_indexes(self._jobs)
        self.reconciler = Reconciler("cronjobs", self.reconcile, context.clock, workers=2)
        self._crons.add_handler(self.reconciler.on_change())
        self._jobs.add_handler(self._job_changed)

    def _job_changed(self, old: Object | None, new: Object | None) -> None:
        job = new if new is not None else old
        owner = ownership.controller_of(job) if job is not None else None
        if job is not None and owner is not None and owner["kind"] == "CronJob":
            self.reconciler.add(Key(job["metadata"]["namespace"], owner["name"]))

    async def reconcile(self, key: Key) -> float | None:
        """Start what is due, tidy up, and tell when the next is due."""
        cron = self._crons.items.get(key)
        if cron is None or "deletionTimestamp" in cron["metadata"]:
            return None
        try:
            schedule = schedules.parse(cron["spec"]["schedule"])
            zone = ZoneInfo(cron["spec"].get("timeZone") or "UTC")
        except (ValueError, ZoneInfoNotFoundError) as error:
            message = f"unparseable schedule: {cron['spec']['schedule']} : {error}"
            self._recorder.record(COMPONENT, cron, events.WARNING, "UnparseableSchedule", message)
            return None
        jobs = self._jobs.indexed(ownership.BY_CONTROLLER, cron["metadata"]["uid"])
        active = [job for job in jobs if not _finished(job)]
        await self._tidy(cron, jobs)
        now = self._context.clock.now().astimezone(zone)
        status = {**(cron.get("status") or {})}
        due = _due(cron, schedule, now)
        if due is not None and not cron["spec"].get("suspend"):
            started = await self._start(cron, due, active)
            if started is not None:
                active.append(started)
                status["lastScheduleTime"] = rfc3339(due)
        done = [job["status"]["completionTime"] for job in jobs if (job.get("status") or {}).get("completionTime")]
        if done:
            status["lastSuccessfulTime"] = max([*done, status.get("lastSuccessfulTime", "")])
        status["active"] = [_reference(job) for job in active]
        if not active:
            del status["active"]
        await self._context.update_status(CRON_JOBS, cron, status)
        following = schedule.after(now)
        return (following - now).total_seconds() + 0.05 if following is not None else None

    async def _start(self, cron: Object, due: datetime, active: list[Object]) -> Object | None:
        meta, spec = cron["metadata"], cron["spec"]
        policy = spec.get("concurrencyPolicy", "Allow")
        if policy == "Forbid" and active:
            self._recorder.record(
                COMPONENT, cron, events.NORMAL, "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid"
            )
            return None
        if policy == "Replace":
            for job in list(active):
                await self._context.delete(JOBS, job)
                active.remove(job)
        template = spec["jobTemplate"]
        made = {
            "name": f"{meta['name']}-{int(due.timestamp()) // 60}",
            "namespace": meta["namespace"],
            "labels": (template.get("metadata") or {}).get("labels") or {},
            "annotations": {**((template.get("metadata") or {}).get("annotations") or {}), SCHEDULED: rfc3339(due)},
            "ownerReferences": [ownership.reference(cron, "batch/v1", "CronJob")],
        }
        try:
            job = await self._context.create(JOBS, {"apiVersion": "batch/v1", "kind": "Job", "metadata": made, "spec": template["spec"]})
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return await self._context.api.get(JOBS, made["name"], meta["namespace"])
        self._recorder.record(COMPONENT, cron, events.NORMAL, "SuccessfulCreate", f"Created job {made['name']}")
        return job

    async def _tidy(self, cron: Object, jobs: list[Object]) -> None:
        for kind, field, default in (("Complete", "successfulJobsHistoryLimit", 3), ("Failed", "failedJobsHistoryLimit", 1)):
            ended = sorted((job for job in jobs if conditions.holds(job, kind)), key=lambda job: str(job["metadata"]["creationTimestamp"]))
            for job in ended[: max(0, len(ended) - cron["spec"].get(field, default))]:
                await self._context.delete(JOBS, job)


def _due(cron: Object, schedule: schedules.Schedule, now: datetime) -> datetime | None:
    """The last moment that was missed since the job last ran, unless it is past the starting deadline."""
    last = (cron.get("status") or {}).get("lastScheduleTime") or cron["metadata"]["creationTimestamp"]
    moment = parse_rfc3339(last).astimezone(now.tzinfo)
    deadline = cron["spec"].get("startingDeadlineSeconds")
    if deadline is not None:
        moment = max(moment, now - timedelta(seconds=deadline))
    found = None
    for _ in range(MOST_MISSED):
        following = schedule.after(moment)
        if following is None or following > now:
            return found
        found = moment = following
    return now.replace(second=0, microsecond=0) if schedule.due(now) else found


def _finished(job: Object) -> bool:
    return conditions.holds(job, "Complete") or conditions.holds(job, "Failed")


def _reference(job: Object) -> Object:
    meta = job["metadata"]
    named = {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    return {"apiVersion": "batch/v1", "kind": "Job", **named}
