"""The rows of namespaces, nodes, events, configuration, storage, roles, webhooks and definitions."""

from __future__ import annotations

from datetime import datetime

from varka.client.api import Object
from varka.cluster.apiserver.tables.columns import NONE, UNKNOWN, UNSET, Cell, Layout, age, joined, layout, name, since, spec, status

ROLE_PREFIX, ROLE_LABEL = "node-role.kubernetes.io/", "kubernetes.io/role"


def _namespace(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), status(obj).get("phase", "Active"), age(obj, now)]


def _node(obj: Object, now: datetime) -> list[Cell]:
    known = status(obj)
    ready = next((one["status"] for one in known.get("conditions") or () if one["type"] == "Ready"), None)
    states = ["Unknown" if ready is None else "Ready" if ready == "True" else "NotReady"]
    if spec(obj).get("unschedulable"):
        states.append("SchedulingDisabled")
    labels = obj["metadata"].get("labels") or {}
    roles = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX) and key != ROLE_PREFIX}
    roles |= {labels[ROLE_LABEL]} if labels.get(ROLE_LABEL) else set()
    info = known.get("nodeInfo") or {}
    addresses = {one["type"]: one["address"] for one in reversed(known.get("addresses") or ())}
    wide: list[Cell] = [addresses.get("InternalIP", NONE), addresses.get("ExternalIP", NONE)]
    wide += [info.get(field) or UNKNOWN for field in ("osImage", "kernelVersion", "containerRuntimeVersion")]
    return [name(obj), ",".join(states), joined(sorted(roles)), age(obj, now), info.get("kubeletVersion", ""), *wide]


def _event(obj: Object, now: datetime) -> list[Cell]:
    first = obj.get("firstTimestamp") or obj.get("eventTime")
    last, count = obj.get("lastTimestamp") or first, obj.get("count", 1)
    series = obj.get("series")
    if series:
        last, count = series.get("lastObservedTime"), series.get("count", count)
    seen = since(last, now)
    if count > 1:
        seen = f"{seen} (x{count} over {since(first, now)})"
    involved, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    component = source.get("component") or obj.get("reportingComponent", "")
    host = source.get("host") or obj.get("reportingInstance", "")
    what = f"{involved.get('kind', '').lower()}/{involved.get('name', '')}"
    origin = f"{component}, {host}" if host else component
    cells: list[Cell] = [seen, obj.get("type", ""), obj.get("reason", ""), what, (obj.get("message") or "").strip()]
    return [*cells, involved.get("fieldPath", ""), origin, since(first, now), str(count), name(obj)]


def _config_map(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), len(obj.get("data") or {}) + len(obj.get("binaryData") or {}), age(obj, now)]


def _secret(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), obj.get("type", "Opaque"), len(obj.get("data") or {}), age(obj, now)]


def _service_account(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), len(obj.get("secrets") or ()), age(obj, now)]


def _created(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), obj["metadata"].get("creationTimestamp") or UNKNOWN]


def _binding(obj: Object, now: datetime) -> list[Cell]:
    role, subjects = obj.get("roleRef") or {}, obj.get("subjects") or ()

    def named(kind: str) -> str:
        return ", ".join(f"{one['namespace']}/{one['name']}" if kind == "ServiceAccount" else one["name"] for one in subjects if one["kind"] == kind)

    return [name(obj), f"{role.get('kind', '')}/{role.get('name', '')}", age(obj, now), named("User"), named("Group"), named("ServiceAccount")]


def _webhooks(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), len(obj.get("webhooks") or ()), age(obj, now)]


def _priority(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), obj.get("value", 0), bool(obj.get("globalDefault")), age(obj, now), obj.get("preemptionPolicy", "")]


def _modes(obj: Object) -> str:
    short = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}
    return ",".join(short.get(mode, mode) for mode in spec(obj).get("accessModes") or ())


def _volume(obj: Object, now: datetime) -> list[Cell]:
    wanted, claim = spec(obj), spec(obj).get("claimRef")
    phase = "Terminating" if "deletionTimestamp" in obj["metadata"] else status(obj).get("phase", "")
    where = f"{claim['namespace']}/{claim['name']}" if claim else ""
    cells: list[Cell] = [name(obj), (wanted.get("capacity") or {}).get("storage", ""), _modes(obj), wanted.get("persistentVolumeReclaimPolicy", "")]
    cells += [phase, where, wanted.get("storageClassName", ""), wanted.get("volumeAttributesClassName") or UNSET, status(obj).get("reason", "")]
    return [*cells, age(obj, now), wanted.get("volumeMode") or UNSET]


def _claim(obj: Object, now: datetime) -> list[Cell]:
    wanted, known = spec(obj), status(obj)
    phase = "Terminating" if "deletionTimestamp" in obj["metadata"] else known.get("phase", "")
    bound = bool(wanted.get("volumeName"))
    cells: list[Cell] = [name(obj), phase, wanted.get("volumeName", ""), (known.get("capacity") or {}).get("storage", "") if bound else ""]
    cells += [_modes(obj) if bound else "", wanted.get("storageClassName") or "", wanted.get("volumeAttributesClassName") or UNSET]
    return [*cells, age(obj, now), wanted.get("volumeMode") or UNSET]


def _storage_class(obj: Object, now: datetime) -> list[Cell]:
    default = (obj["metadata"].get("annotations") or {}).get("storageclass.kubernetes.io/is-default-class") == "true"
    cells: list[Cell] = [name(obj) + (" (default)" if default else ""), obj.get("provisioner", ""), obj.get("reclaimPolicy", "Delete")]
    return [*cells, obj.get("volumeBindingMode", "Immediate"), bool(obj.get("allowVolumeExpansion")), age(obj, now)]


def _quota(obj: Object, now: datetime) -> list[Cell]:
    hard, used = status(obj).get("hard") or {}, status(obj).get("used") or {}
    shares = {key: f"{key}: {used.get(key, '0')}/{value}" for key, value in sorted(hard.items())}
    limits = ", ".join(text for key, text in shares.items() if key.startswith("limits"))
    return [name(obj), ", ".join(text for key, text in shares.items() if not key.startswith("limits")), limits, age(obj, now)]


def _limit_range(obj: Object, now: datetime) -> list[Cell]:
    return [name(obj), obj["metadata"].get("creationTimestamp") or UNKNOWN]


_RBAC, _ADMISSION = "rbac.authorization.k8s.io", "admissionregistration.k8s.io"
_BINDING = layout(_binding, "Name|Role|Age", "Users|Groups|ServiceAccounts")
_CREATED = layout(_created, "Name|Created At")
_WEBHOOKS = layout(_webhooks, "Name|Webhooks#|Age")

LAYOUTS: dict[tuple[str, str], Layout] = {
    ("", "Namespace"): layout(_namespace, "Name|Status|Age"),
    ("", "Node"): layout(_node, "Name|Status|Roles|Age|Version", "Internal-IP|External-IP|OS-Image|Kernel-Version|Container-Runtime"),
    ("", "Event"): layout(_event, "Last Seen|Type|Reason|Object|Message", "Subobject|Source|First Seen|Count|Name"),
    ("events.k8s.io", "Event"): layout(_event, "Last Seen|Type|Reason|Object|Message", "Subobject|Source|First Seen|Count|Name"),
    ("", "ConfigMap"): layout(_config_map, "Name|Data#|Age"),
    ("", "Secret"): layout(_secret, "Name|Type|Data#|Age"),
    ("", "ServiceAccount"): layout(_service_account, "Name|Secrets#|Age"),
    ("", "LimitRange"): layout(_limit_range, "Name|Created At"),
    ("", "ResourceQuota"): layout(_quota, "Name|Request|Limit|Age"),
    ("", "PersistentVolume"): layout(
        _volume, "Name|Capacity|Access Modes|Reclaim Policy|Status|Claim|StorageClass|VolumeAttributesClass|Reason|Age", "VolumeMode"
    ),
    ("", "PersistentVolumeClaim"): layout(_claim, "Name|Status|Volume|Capacity|Access Modes|StorageClass|VolumeAttributesClass|Age", "VolumeMode"),
    ("storage.k8s.io", "StorageClass"): layout(_storage_class, "Name|Provisioner|ReclaimPolicy|VolumeBindingMode|AllowVolumeExpansion|Age"),
    ("scheduling.k8s.io", "PriorityClass"): layout(_priority, "Name|Value#|Global-Default|Age|PreemptionPolicy"),
    ("apiextensions.k8s.io", "CustomResourceDefinition"): _CREATED,
    (_RBAC, "Role"): _CREATED,
    (_RBAC, "ClusterRole"): _CREATED,
    (_RBAC, "RoleBinding"): _BINDING,
    (_RBAC, "ClusterRoleBinding"): _BINDING,
    (_ADMISSION, "MutatingWebhookConfiguration"): _WEBHOOKS,
    (_ADMISSION, "ValidatingWebhookConfiguration"): _WEBHOOKS,
}
