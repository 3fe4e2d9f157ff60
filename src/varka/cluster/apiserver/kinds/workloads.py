"""Checks of Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs and CronJobs."""

from __future__ import annotations

from varka.client.api import Object
from varka.cluster.apiserver import errors, names, selectors
from varka.cluster.apiserver.errors import Cause
from varka.cluster.apiserver.kinds import pods


def _template(spec: Object, path: str = "spec", restart: tuple[str, ...] = ("Always",)) -> list[Cause]:
    template = spec.get("template") or {}
    causes = names.label_map(f"{path}.template.labels", (template.get("metadata") or {}).get("labels") or {})
    pod = template.get("spec") or {}
    causes += pods.validate_spec(pod, f"{path}.template.spec")
    if pod.get("restartPolicy") not in restart:
        causes.append(errors.not_supported(f"{path}.template.spec.restartPolicy", pod.get("restartPolicy"), restart))
    return causes


def _selector(spec: Object) -> list[Cause]:
    selector = spec.get("selector")
    if selector is None:
        return [errors.required("spec.selector")]
    causes = names.label_map("spec.selector.matchLabels", selector.get("matchLabels") or {})
    for position, expression in enumerate(selector.get("matchExpressions") or ()):
        where = f"spec.selector.matchExpressions[{position}]"
        operator = expression.get("operator")
        if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
            causes.append(errors.invalid(f"{where}.operator", operator, "not a valid selector operator"))
        elif operator in ("In", "NotIn") and not expression.get("values"):
            causes.append(errors.required(f"{where}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        causes.append(errors.invalid("spec.selector", selector, "empty selector is invalid for deployment"))
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {}
    if not causes and not selectors.from_label_selector(selector)(labels):
        causes.append(errors.invalid("spec.template.metadata.labels", labels, "`selector` does not match template `labels`"))
    return causes


def _replicas(spec: Object) -> list[Cause]:
    if (spec.get("replicas") or 0) < 0:
        return [errors.invalid("spec.replicas", spec["replicas"], "must be greater than or equal to 0")]
    return []


def validate_replicated(obj: Object) -> list[Cause]:
    """Everything that is wrong with a ReplicaSet, StatefulSet or DaemonSet."""
    spec = obj["spec"]
    return [*_replicas(spec), *_selector(spec), *_template(spec)]


def validate_deployment(obj: Object) -> list[Cause]:
    """Everything that is wrong with a Deployment."""
    spec = obj["spec"]
    causes = validate_replicated(obj)
    strategy = spec.get("strategy") or {}
    if strategy.get("type") not in ("Recreate", "RollingUpdate"):
        causes.append(errors.not_supported("spec.strategy.type", strategy.get("type"), ("Recreate", "RollingUpdate")))
    elif strategy["type"] == "Recreate" and strategy.get("rollingUpdate"):
        causes.append(errors.forbidden_value("spec.strategy.rollingUpdate", "may not be specified when strategy `type` is 'Recreate'"))
    rolling = strategy.get("rollingUpdate") or {}
    if strategy.get("type") == "RollingUpdate" and all(str(rolling.get(name)) in ("0", "0%") for name in ("maxSurge", "maxUnavailable")):
        text = "may not be 0 when `maxSurge` is 0"
        causes.append(errors.invalid("spec.strategy.rollingUpdate.maxUnavailable", rolling.get("maxUnavailable"), text))
    for name in ("maxSurge", "maxUnavailable"):
        value = rolling.get(name)
        if isinstance(value, str) and not (value.endswith("%") and value[:-1].isdigit()):
            text = "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')"
            causes.append(errors.invalid(f"spec.strategy.rollingUpdate.{name}", value, text))
    return causes


def validate_job(obj: Object) -> list[Cause]:
    """Everything that is wrong with a Job."""
    return _template(obj["spec"], restart=("OnFailure", "Never"))


def validate_cron_job(obj: Object) -> list[Cause]:
    """Everything that is wrong with a CronJob."""
    spec = obj["spec"]
    causes = _template((spec.get("jobTemplate") or {}).get("spec") or {}, "spec.jobTemplate.spec", ("OnFailure", "Never"))
    if not spec.get("schedule"):
        causes.append(errors.required("spec.schedule"))
    elif len(spec["schedule"].split()) != 5 and not spec["schedule"].startswith("@"):
        text = f"expected exactly 5 fields, found {len(spec['schedule'].split())}: {spec['schedule'].split()}"
        causes.append(errors.invalid("spec.schedule", spec["schedule"], text))
    return causes


def immutable_selector(new: Object, old: Object) -> list[Cause]:
    """A workload's selector may not change."""
    if new["spec"].get("selector") == old["spec"].get("selector"):
        return []
    return [errors.invalid("spec.selector", new["spec"].get("selector"), "field is immutable")]


def immutable_template(new: Object, old: Object) -> list[Cause]:
    """A Job's selector, completions and template may not change."""
    fields = ("selector", "template", "completionMode")
    return [errors.invalid(f"spec.{name}", new["spec"].get(name), "field is immutable") for name in fields if new["spec"].get(name) != old["spec"].get(name)]


_STATEFUL_FREE = ("replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds")


def immutable_stateful(new: Object, old: Object) -> list[Cause]:
    """Of a StatefulSet only some fields may change."""
    before, after = ({key: value for key, value in obj["spec"].items() if key not in _STATEFUL_FREE} for obj in (old, new))
    if before == after:
        return []
    listed = ", ".join(f"'{name}'" for name in _STATEFUL_FREE[:-1])
    text = f"updates to statefulset spec for fields other than {listed} and '{_STATEFUL_FREE[-1]}' are forbidden"
    return [errors.forbidden_value("spec", text)]
