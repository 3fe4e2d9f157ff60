"""Pods: what is checked in a pod's spec, what may change later, and the service account's token that every pod gets."""

from __future__ import annotations

import secrets
from typing import Any

from varka.client.api import Object
from varka.cluster.apiserver import errors, names, quantity
from varka.cluster.apiserver.errors import Cause

TOKEN_PATH = "/var/run/secrets/kubernetes.io/serviceaccount"
_ALPHABET = "bcdfghjklmnpqrstvwxz2456789"
_PULL = ("Always", "IfNotPresent", "Never")
_IMMUTABLE = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def random_suffix(length: int = 5) -> str:
    """Letters and digits for generated names, from Kubernetes' alphabet without vowels."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def add_service_account(obj: Object, account: Object) -> None:
    """What Kubernetes' ServiceAccount admission does to a new pod, in place."""
    spec = obj["spec"]
    mounts = spec.get("automountServiceAccountToken", account.get("automountServiceAccountToken", True))
    if not spec.get("imagePullSecrets") and account.get("imagePullSecrets"):
        spec["imagePullSecrets"] = [dict(item) for item in account["imagePullSecrets"]]
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    if not mounts or all(any(mount.get("mountPath") == TOKEN_PATH for mount in one.get("volumeMounts") or ()) for one in containers):
        return
    name = next((volume["name"] for volume in spec.get("volumes") or () if volume["name"].startswith("kube-api-access-")), "")
    if not name:
        name = f"kube-api-access-{random_suffix()}"
        spec.setdefault("volumes", []).append(_token_volume(name))
    for one in containers:
        if not any(mount.get("mountPath") == TOKEN_PATH for mount in one.get("volumeMounts") or ()):
            one.setdefault("volumeMounts", []).append({"mountPath": TOKEN_PATH, "name": name, "readOnly": True})


def _token_volume(name: str) -> Object:
    sources = [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"items": [{"key": "ca.crt", "path": "ca.crt"}], "name": "kube-root-ca.crt"}},
        {"downwardAPI": {"items": [{"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}, "path": "namespace"}]}},
    ]
    return {"name": name, "projected": {"defaultMode": 420, "sources": sources}}


def add_tolerations(spec: Object) -> None:
    """The tolerations that every pod gets, and its priority."""
    tolerations = spec.setdefault("tolerations", [])
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if not any(item.get("key") == key and item.get("effect") in (None, "NoExecute") for item in tolerations):
            tolerations.append({"effect": "NoExecute", "key": key, "operator": "Exists", "tolerationSeconds": 300})
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)


def qos_class(spec: Object) -> str:
    """Guaranteed, Burstable or BestEffort, by the containers' requests and limits."""
    every = [one.get("resources") or {} for one in [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]]
    if not any(item.get("requests") or item.get("limits") for item in every):
        return "BestEffort"
    full = all(
        {"cpu", "memory"} <= set(item.get("limits") or ())
        and all((item.get("requests") or {}).get(key, limit) == limit for key, limit in item["limits"].items())
        for item in every
    )
    return "Guaranteed" if full else "Burstable"


def validate_spec(spec: Object, path: str) -> list[Cause]:
    """Everything that is wrong with a pod's spec, in a pod or a template."""
    causes: list[Cause] = []
    volumes: set[str] = set()
    for position, volume in enumerate(spec.get("volumes") or ()):
        where = f"{path}.volumes[{position}]"
        name = volume.get("name", "")
        causes += names.dns_label(f"{where}.name", name)
        if name in volumes:
            causes.append(errors.duplicate(f"{where}.name", name))
        volumes.add(name)
        if len(set(volume) - {"name"}) > 1:
            causes.append(errors.forbidden_value(where, "may not specify more than 1 volume type"))
    seen: set[str] = set()
    if not spec.get("containers"):
        causes.append(errors.required(f"{path}.containers"))
    for kind in ("containers", "initContainers", "ephemeralContainers"):
        for position, one in enumerate(spec.get(kind) or ()):
            causes += _container(one, f"{path}.{kind}[{position}]", volumes, seen)
    if spec.get("restartPolicy") not in ("Always", "OnFailure", "Never"):
        causes.append(errors.not_supported(f"{path}.restartPolicy", spec.get("restartPolicy"), ("Always", "OnFailure", "Never")))
    if spec.get("dnsPolicy") not in ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"):
        allowed = ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None")
        causes.append(errors.not_supported(f"{path}.dnsPolicy", spec.get("dnsPolicy"), allowed))
    if spec.get("serviceAccountName"):
        causes += names.dns_subdomain(f"{path}.serviceAccountName", spec["serviceAccountName"])
    if spec.get("hostname"):
        causes += names.dns_label(f"{path}.hostname", spec["hostname"])
    if (spec.get("terminationGracePeriodSeconds") or 0) < 0:
        causes.append(errors.invalid(f"{path}.terminationGracePeriodSeconds", spec["terminationGracePeriodSeconds"], "must be greater than or equal to 0"))
    return causes


def _container(one: Object, path: str, volumes: set[str], seen: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = one.get("name", "")
    causes += names.dns_label(f"{path}.name", name) if name else [errors.required(f"{path}.name")]
    if name in seen:
        causes.append(errors.duplicate(f"{path}.name", name))
    seen.add(name)
    if not one.get("image"):
        causes.append(errors.required(f"{path}.image"))
    elif one["image"] != one["image"].strip():
        causes.append(errors.invalid(f"{path}.image", one["image"], "must not have leading or trailing whitespace"))
    if one.get("imagePullPolicy") not in (None, *_PULL):
        causes.append(errors.not_supported(f"{path}.imagePullPolicy", one["imagePullPolicy"], _PULL))
    causes += _ports(one, path)
    mounted: set[str] = set()
    for position, mount in enumerate(one.get("volumeMounts") or ()):
        where = f"{path}.volumeMounts[{position}]"
        if mount.get("name") not in volumes:
            causes.append(errors.not_found_value(f"{where}.name", mount.get("name")))
        if not mount.get("mountPath"):
            causes.append(errors.required(f"{where}.mountPath"))
        elif mount["mountPath"] in mounted:
            causes.append(errors.invalid(f"{where}.mountPath", mount["mountPath"], "must be unique"))
        mounted.add(mount.get("mountPath", ""))
    for position, variable in enumerate(one.get("env") or ()):
        if not variable.get("name"):
            causes.append(errors.required(f"{path}.env[{position}].name"))
        if variable.get("value") and variable.get("valueFrom"):
            causes.append(errors.invalid(f"{path}.env[{position}].valueFrom", "", "may not be specified when `value` is not empty"))
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        if one.get(probe) is not None:
            causes += _probe(one[probe], f"{path}.{probe}")
    causes += _resources(one.get("resources") or {}, f"{path}.resources")
    return causes


def _ports(one: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    known: set[str] = set()
    for position, port in enumerate(one.get("ports") or ()):
        where = f"{path}.ports[{position}]"
        number = port.get("containerPort", 0)
        if not number:
            causes.append(errors.required(f"{where}.containerPort"))
        elif not 0 < number < 65536:
            causes.append(errors.invalid(f"{where}.containerPort", number, "must be between 1 and 65535, inclusive"))
        if port.get("protocol") not in ("TCP", "UDP", "SCTP"):
            causes.append(errors.not_supported(f"{where}.protocol", port.get("protocol"), ("SCTP", "TCP", "UDP")))
        if port.get("name"):
            if port["name"] in known:
                causes.append(errors.duplicate(f"{where}.name", port["name"]))
            if len(port["name"]) > 15:
                causes.append(errors.invalid(f"{where}.name", port["name"], "must be no more than 15 characters"))
            known.add(port["name"])
    return causes


def _probe(probe: Object, path: str) -> list[Cause]:
    handlers = [kind for kind in ("exec", "httpGet", "tcpSocket", "grpc") if kind in probe]
    if not handlers:
        return [errors.required(path, "must specify a handler type")]
    causes = [errors.forbidden_value(f"{path}.{kind}", "may not specify more than 1 handler type") for kind in handlers[1:]]
    if "livenessProbe" in path and probe.get("successThreshold", 1) != 1:
        causes.append(errors.invalid(f"{path}.successThreshold", probe["successThreshold"], "must be 1"))
    return causes


def _resources(resources: Object, path: str) -> list[Cause]:
    causes: list[Cause] = []
    amounts: dict[str, dict[str, Any]] = {"limits": {}, "requests": {}}
    for kind in ("limits", "requests"):
        for name, text in (resources.get(kind) or {}).items():
            try:
                amounts[kind][name] = quantity.parse(str(text))
            except ValueError as error:
                causes.append(errors.invalid(f"{path}.{kind}[{name}]", text, str(error)))
                continue
            if amounts[kind][name] < 0:
                causes.append(errors.invalid(f"{path}.{kind}[{name}]", text, "must be greater than or equal to 0"))
    for name, amount in amounts["requests"].items():
        limit = amounts["limits"].get(name)
        if limit is not None and amount > limit:
            causes.append(
                errors.invalid(f"{path}.requests", resources["requests"][name], f"must be less than or equal to {name} limit of {resources['limits'][name]}")
            )
    return causes


def validate_update(new: Object, old: Object) -> list[Cause]:
    """What an update changes and may not."""
    after, before = _comparable(new["spec"]), _comparable(old["spec"])
    if not before.get("nodeName"):
        after.pop("nodeName", None)
    if after == before:
        return []
    return [Cause("spec", "FieldValueForbidden", f"Forbidden: {_IMMUTABLE}")]


def _comparable(spec: Object) -> Object:
    """A spec without what may change: images, deadline, tolerations, grace period, the node once, ephemeral containers."""
    free = ("activeDeadlineSeconds", "tolerations", "terminationGracePeriodSeconds", "ephemeralContainers", "schedulingGates")
    fixed = {key: value for key, value in spec.items() if key not in free}
    for kind in ("containers", "initContainers"):
        if kind in fixed:
            fixed[kind] = [{key: value for key, value in one.items() if key != "image"} for one in fixed[kind]]
    return fixed
