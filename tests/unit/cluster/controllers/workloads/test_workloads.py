from __future__ import annotations

from datetime import UTC, datetime

import pytest
from tests.fakes.cluster import running

from varka.client.resources import CRON_JOBS, DAEMON_SETS, EVENTS, JOBS, NODES, PODS, STATEFUL_SETS
from varka.cluster.controllers.workloads import schedules

LABELS = {"app": "web"}
TEMPLATE = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "main", "image": "nginx"}]}}


def _stateful(replicas=3, **spec):
    body = {"replicas": replicas, "serviceName": "web", "selector": {"matchLabels": LABELS}, "template": TEMPLATE, **spec}
    return {"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "web", "namespace": "default"}, "spec": body}


def _job(**spec):
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "work", "namespace": "default"}, "spec": {"template": TEMPLATE, **spec}}


def _conditions(obj):
    return {one["type"]: (one["status"], one["reason"]) for one in obj["status"]["conditions"]}


async def test_stateful_pods_start_in_order():
    """Each pod of a StatefulSet waits for the one before it to be ready, and has a name and host name that stay."""
    async with running() as cluster:
        cluster.automatic = False
        await cluster.api.create(STATEFUL_SETS, _stateful())
        seen = []
        for _ in range(3):
            await cluster.settle()
            seen.append(cluster.pods())
            cluster.kubelet()
        assert seen == [["web-0"], ["web-0", "web-1"], ["web-0", "web-1", "web-2"]]
        pod = cluster.api.one(PODS, "web-1", "default")
        assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("web-1", "web")
        assert pod["metadata"]["labels"]["apps.kubernetes.io/pod-index"] == "1"


async def test_stateful_pods_are_replaced_from_the_top():
    """An update replaces one pod at a time, the highest number first, down to the partition."""
    async with running() as cluster:
        await cluster.api.create(STATEFUL_SETS, _stateful(updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 1}}))
        await cluster.settle()
        held = cluster.api.one(STATEFUL_SETS, "web", "default")
        held["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2"
        await cluster.api.update(STATEFUL_SETS, held)
        await cluster.settle()
        images = [cluster.api.one(PODS, f"web-{number}", "default")["spec"]["containers"][0]["image"] for number in range(3)]
        assert images == ["nginx", "nginx:2", "nginx:2"]
        deleted = [call[2] for call in cluster.api.calls if call[:2] == ("delete", "pods")]
        assert deleted == ["web-2", "web-1"]
        status = cluster.api.one(STATEFUL_SETS, "web", "default")["status"]
        assert (status["updatedReplicas"], status["readyReplicas"], status["currentReplicas"]) == (2, 3, 1)


async def test_stateful_sets_shrink_from_the_top():
    """Scaling down deletes the highest number first, one after the other."""
    async with running() as cluster:
        await cluster.api.create(STATEFUL_SETS, _stateful())
        await cluster.settle()
        await cluster.api.patch(STATEFUL_SETS, "web", {"spec": {"replicas": 1}}, "default")
        await cluster.settle()
        assert cluster.pods() == ["web-0"]
        assert [call[2] for call in cluster.api.calls if call[:2] == ("delete", "pods")] == ["web-2", "web-1"]


async def test_a_daemon_runs_on_every_node_that_takes_it():
    """A DaemonSet has one pod on the node, even when it is cordoned, and none when its selector does not fit."""
    async with running() as cluster:
        await cluster.api.patch(NODES, "varka", {"spec": {"unschedulable": True}})
        body = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
        made = {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "default"}, "spec": body}
        await cluster.api.create(DAEMON_SETS, made)
        await cluster.settle()
        assert len(cluster.pods()) == 1
        status = cluster.api.one(DAEMON_SETS, "d", "default")["status"]
        assert (status["desiredNumberScheduled"], status["numberReady"], status["numberAvailable"]) == (1, 1, 1)
        held = cluster.api.one(DAEMON_SETS, "d", "default")
        held["spec"]["template"]["spec"]["nodeSelector"] = {"none": "such"}
        await cluster.api.update(DAEMON_SETS, held)
        await cluster.settle()
        assert cluster.pods() == []


async def test_a_daemon_is_replaced_when_its_template_changes():
    """A new template replaces the pod."""
    async with running() as cluster:
        body = {"selector": {"matchLabels": LABELS}, "template": TEMPLATE}
        await cluster.api.create(DAEMON_SETS, {"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": "d", "namespace": "default"}, "spec": body})
        await cluster.settle()
        held = cluster.api.one(DAEMON_SETS, "d", "default")
        held["spec"]["template"]["spec"]["containers"][0]["image"] = "nginx:2"
        await cluster.api.update(DAEMON_SETS, held)
        await cluster.settle()
        assert [pod["spec"]["containers"][0]["image"] for pod in cluster.api.all(PODS)] == ["nginx:2"]


async def test_a_job_ends_with_its_completions():
    """A Job runs as many pods at once as it may until enough have succeeded, and is then complete."""
    async with running() as cluster:
        await cluster.api.create(JOBS, _job(completions=3, parallelism=2))
        await cluster.settle()
        assert len(cluster.pods()) == 2
        for _ in range(3):
            name = next(pod["metadata"]["name"] for pod in cluster.api.all(PODS) if pod["status"]["phase"] == "Running")
            cluster.end(name)
            await cluster.settle()
        job = cluster.api.one(JOBS, "work", "default")
        assert job["status"]["succeeded"] == 3 and "active" not in job["status"] and job["status"]["completionTime"]
        assert _conditions(job) == {"SuccessCriteriaMet": ("True", "CompletionsReached"), "Complete": ("True", "CompletionsReached")}
        assert "Job completed" in [event["message"] for event in cluster.api.all(EVENTS)]


async def test_a_job_gives_up_after_its_failures():
    """More failures than the limit end the Job as failed."""
    async with running() as cluster:
        await cluster.api.create(JOBS, _job(backoffLimit=1))
        for _ in range(2):
            await cluster.settle()
            name = next(pod["metadata"]["name"] for pod in cluster.api.all(PODS) if pod["status"]["phase"] == "Running")
            cluster.end(name, failed=True)
        await cluster.settle()
        job = cluster.api.one(JOBS, "work", "default")
        assert _conditions(job)["Failed"] == ("True", "BackoffLimitExceeded")
        assert job["status"]["failed"] == 2


async def test_a_finished_job_goes_after_its_time():
    """A Job with a time to live is deleted with its pods when that is over."""
    async with running() as cluster:
        await cluster.api.create(JOBS, _job(ttlSecondsAfterFinished=100))
        await cluster.settle()
        cluster.end(cluster.pods()[0])
        await cluster.settle()
        await cluster.clock.turn(99)
        assert cluster.api.one(JOBS, "work", "default")
        await cluster.clock.turn(5)
        await cluster.settle()
        assert cluster.api.all(JOBS) == [] and cluster.api.all(PODS) == []


async def test_a_job_past_its_deadline_fails():
    """A Job that is active for longer than it may is stopped and fails."""
    async with running() as cluster:
        await cluster.api.create(JOBS, _job(activeDeadlineSeconds=30))
        await cluster.settle()
        await cluster.clock.turn(31)
        await cluster.settle()
        assert _conditions(cluster.api.one(JOBS, "work", "default"))["Failed"] == ("True", "DeadlineExceeded")
        assert cluster.pods() == []


async def test_cron_jobs_start_jobs_when_due():
    """A CronJob makes a Job at each due minute, and none while one runs that it must wait for."""
    async with running() as cluster:
        spec = {"schedule": "*/5 * * * *", "concurrencyPolicy": "Forbid", "jobTemplate": {"spec": {"template": TEMPLATE}}}
        made = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c", "namespace": "default"}, "spec": spec}
        await cluster.api.create(CRON_JOBS, made)
        await cluster.settle()
        await cluster.clock.turn(310)
        await cluster.settle()
        assert len(cluster.api.all(JOBS)) == 1
        status = cluster.api.one(CRON_JOBS, "c", "default")["status"]
        assert status["lastScheduleTime"] == "2026-01-01T00:05:00Z" and len(status["active"]) == 1
        await cluster.clock.turn(300)
        await cluster.settle()
        assert len(cluster.api.all(JOBS)) == 1
        cluster.end(cluster.pods()[0])
        await cluster.settle()
        await cluster.clock.turn(300)
        await cluster.settle()
        assert len(cluster.api.all(JOBS)) == 2


@pytest.mark.parametrize(
    ("text", "following"),
    [
        ("*/15 * * * *", "2026-01-01T00:15"),
        ("30 4 * * *", "2026-01-01T04:30"),
        ("0 0 29 2 *", "2028-02-29T00:00"),
        ("0 12 * * mon-fri", "2026-01-01T12:00"),
        ("0 0 13 * 5", "2026-01-02T00:00"),
        ("0 0 * * 7", "2026-01-04T00:00"),
        ("@monthly", "2026-02-01T00:00"),
        ("5,10 1-3/2 * dec *", "2026-12-01T01:05"),
    ],
)
def test_schedules_are_due_when_cron_says(text, following):
    """The next due minute after 2026-01-01 00:00, a Thursday."""
    assert schedules.parse(text).after(datetime(2026, 1, 1, tzinfo=UTC)) == datetime.fromisoformat(following + "+00:00")


@pytest.mark.parametrize("text", ["* * * *", "60 * * * *", "* * 0 * *", "a * * * *", "*/0 * * * *"])
def test_what_is_no_schedule_is_refused(text):
    """Too few fields and values out of range are errors."""
    with pytest.raises(ValueError):
        schedules.parse(text)
