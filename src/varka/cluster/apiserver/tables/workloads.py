"""The rows of what makes pods: Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs, CronJobs, and what scales and guards them."""

from __future__ import annotations

from datetime import datetime

from varka.client.api import Object
from varka.cluster.apiserver.tables import columns, pods
from varka.cluster.apiserver.tables.columns import NONE, UNKNOWN, UNSET, Cell, Layout, age, containers, layout, name, selector, spec, status


def _template(obj: Object) -> Object:
    return spec(obj).get("template") or {}


def _deployment(obj: Object, now: datetime) -> list[Cell]:
    counts, wanted = status(obj), spec(obj).get("replicas", 1)
    ready = f"{counts.get('readyReplicas', 0)}/{wanted}"
    wide = [*containers(_template(obj)), selector(spec(obj).get("selector"))]
    return [name(obj), ready, counts.get("updatedReplicas", 0), counts.get("availableReplicas", 0), age(obj, now), *wide]


def _replica_set(obj: Object, now: datetime) -> list[Cell]:
    counts = status(obj)
    wide = [*containers(_template(obj)), selector(spec(obj).get("selector"))]
    return [name(obj), spec(obj).get("replicas", 1), counts.get("replicas", 0), counts.get("readyReplicas", 0), age(obj, now), *wide]


def _replication_controller(obj: Object, now: datetime) -> list[Cell]:
    return [*_replica_set(obj, now)[:-1], columns.pairs(spec(obj).get("selector"))]


def _stateful_set(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), f"{status(obj).get('readyReplicas', 0)}/{spec(obj).get('replicas', 1)}", age(obj, now), *containers(_template(obj))]


def _daemon_set(obj: Object, now: datetime) -> list[Cell]:
    fields = ("desiredNumberScheduled", "currentNumberScheduled", "numberReady", "updatedNumberScheduled", "numberAvailable")
    counts: list[Cell] = [status(obj).get(field, 0) for field in fields]
    where = columns.pairs((_template(obj).get("spec") or {}).get("nodeSelector"))
    return [name(obj), *counts, where, age(obj, now), *containers(_template(obj)), selector(spec(obj).get("selector"))]


def _job(obj: Object, now: datetime) -> list[Cell]:
    counts, wanted = status(obj), spec(obj)
    parallel = wanted.get("parallelism", 1)
    if wanted.get("completions") is not None:
        completions = f"{counts.get('succeeded', 0)}/{wanted['completions']}"
    else:
        completions = f"{counts.get('succeeded', 0)}/1" + (f" of {parallel}" if parallel > 1 else "")
    took = ""
    if counts.get("startTime"):
        end = counts.get("completionTime")
        took = columns.since(counts["startTime"], datetime.fromisoformat(end) if end else now)
    wide = [*containers(_template(obj)), selector(wanted.get("selector"))]
    return [name(obj), _job_state(obj), completions, took, age(obj, now), *wide]


def _job_state(obj: Object) -> str:
    true = {one["type"] for one in status(obj).get("conditions") or () if one["status"] == "True"}
    for kind in ("Complete", "Failed"):
        if kind in true:
            return kind
    if "deletionTimestamp" in obj["metadata"]:
        return "Terminating"
    return next((kind for kind in ("Suspended", "FailureTarget", "SuccessCriteriaMet") if kind in true), "Running")


def _cron_job(obj: Object, now: datetime) -> list[Cell]:
    wanted, known = spec(obj), status(obj)
    last = columns.since(known["lastScheduleTime"], now) if known.get("lastScheduleTime") else NONE
    job = (wanted.get("jobTemplate") or {}).get("spec") or {}
    cells: list[Cell] = [name(obj), wanted.get("schedule", ""), wanted.get("timeZone") or NONE, str(bool(wanted.get("suspend")))]
    return [*cells, len(known.get("active") or ()), last, age(obj, now), *containers(job.get("template") or {}), selector(job.get("selector"))]


def _budget(obj: Object, now: datetime) -> list[Cell]:
    wanted = spec(obj)
    least, most = wanted.get("minAvailable"), wanted.get("maxUnavailable")
    none = "N/A"
    return [
        name(obj),
        str(least) if least is not None else none,
        str(most) if most is not None else none,
        status(obj).get("disruptionsAllowed", 0),
        age(obj, now),
    ]


def _autoscaler(obj: Object, now: datetime) -> list[Cell]:
    wanted, known = spec(obj), status(obj)
    target = wanted.get("scaleTargetRef") or {}
    current = {_metric_name(one): one for one in known.get("currentMetrics") or ()}
    targets = [_target(one, current.get(_metric_name(one))) for one in wanted.get("metrics") or ()]
    text = ", ".join(targets[:2]) + (f" + {len(targets) - 2} more..." if len(targets) > 2 else "")
    bounds: list[Cell] = [str(wanted["minReplicas"]) if wanted.get("minReplicas") is not None else UNSET, wanted.get("maxReplicas", 0)]
    return [name(obj), f"{target.get('kind', '')}/{target.get('name', '')}", text or NONE, *bounds, known.get("currentReplicas", 0), age(obj, now)]


def _metric_name(metric: Object) -> str:
    body = metric.get(metric["type"][0].lower() + metric["type"][1:]) or {}
    return f"{metric['type']}/{body.get('name') or (body.get('metric') or {}).get('name', '')}"


def _target(metric: Object, current: Object | None) -> str:
    field = metric["type"][0].lower() + metric["type"][1:]
    wanted = (metric.get(field) or {}).get("target") or {}
    now = ((current or {}).get(field) or {}).get("current") or {}
    label = f"{metric[field]['name']}: " if metric["type"] in ("Resource", "ContainerResource") else ""
    if "averageUtilization" in wanted:
        have = f"{now['averageUtilization']}%" if "averageUtilization" in now else UNKNOWN
        return f"{label}{have}/{wanted['averageUtilization']}%"
    for kind, suffix in (("averageValue", " (avg)"), ("value", "")):
        if kind in wanted:
            return f"{label}{now.get(kind, UNKNOWN)}/{wanted[kind]}{suffix}"
    return f"{label}{UNKNOWN}/auto"


def _revision(obj: Object, now: datetime) -> list[Cell]:
    owner = next((one for one in obj["metadata"].get("ownerReferences") or () if one.get("controller")), None)
    return [name(obj), f"{owner['kind'].lower()}.apps/{owner['name']}" if owner else NONE, obj.get("revision", 0), age(obj, now)]


LAYOUTS: dict[tuple[str, str], Layout] = {
    ("", "Pod"): layout(pods.row, "Name|Ready|Status|Restarts|Age", "IP|Node|Nominated Node|Readiness Gates"),
    ("apps", "Deployment"): layout(_deployment, "Name|Ready|Up-to-date#|Available#|Age", "Containers|Images|Selector"),
    ("apps", "ReplicaSet"): layout(_replica_set, "Name|Desired#|Current#|Ready#|Age", "Containers|Images|Selector"),
    ("", "ReplicationController"): layout(_replication_controller, "Name|Desired#|Current#|Ready#|Age", "Containers|Images|Selector"),
    ("apps", "StatefulSet"): layout(_stateful_set, "Name|Ready|Age", "Containers|Images"),
    ("apps", "DaemonSet"): layout(_daemon_set, "Name|Desired#|Current#|Ready#|Up-to-date#|Available#|Node Selector|Age", "Containers|Images|Selector"),
    ("apps", "ControllerRevision"): layout(_revision, "Name|Controller|Revision#|Age"),
    ("batch", "Job"): layout(_job, "Name|Status|Completions|Duration|Age", "Containers|Images|Selector"),
    ("batch", "CronJob"): layout(_cron_job, "Name|Schedule|Timezone|Suspend|Active#|Last Schedule|Age", "Containers|Images|Selector"),
    ("policy", "PodDisruptionBudget"): layout(_budget, "Name|Min Available|Max Unavailable|Allowed Disruptions#|Age"),
    ("autoscaling", "HorizontalPodAutoscaler"): layout(_autoscaler, "Name|Reference|Targets|MinPods|MaxPods#|Replicas#|Age"),
}
