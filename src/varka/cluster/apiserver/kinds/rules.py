"""The particular rules of each builtin resource, gathered: checks of an object, checks of a change, what a new object is given."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass

from varka.client.api import Object
from varka.cluster.apiserver import errors, names
from varka.cluster.apiserver.errors import Cause
from varka.cluster.apiserver.kinds import pods, services, workloads

Check = Callable[[Object], list[Cause]]
Compare = Callable[[Object, Object], list[Cause]]


def _no_causes(obj: Object) -> list[Cause]:
    return []


def _no_changes(new: Object, old: Object) -> list[Cause]:
    return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """`check` looks at an object after defaulting, `compare` at a change (new, old)."""

    check: Check = _no_causes
    compare: Compare = _no_changes


def _pod(obj: Object) -> list[Cause]:
    return pods.validate_spec(obj["spec"], "spec")


def _config_map(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    for field in ("data", "binaryData"):
        for key in obj.get(field) or {}:
            causes += _config_key(field, key)
    for key in set(obj.get("data") or ()) & set(obj.get("binaryData") or ()):
        causes.append(errors.invalid(f"data[{key}]", key, "duplicate of key present in binaryData"))
    return causes + _size(obj)


def _size(obj: Object) -> list[Cause]:
    total = sum(len(key) + len(value) for field in ("data", "binaryData") for key, value in (obj.get(field) or {}).items())
    return [errors.too_long("", 1048576)] if total > 1048576 * (4 / 3 if obj.get("kind") == "Secret" else 1) else []


def _config_key(field: str, key: str) -> list[Cause]:
    if key and len(key) <= 253 and all(letter.isalnum() or letter in "-_." for letter in key) and key not in (".", ".."):
        return []
    text = (
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', "
        "regex used for validation is '[-._a-zA-Z0-9]+')"
    )
    return [errors.invalid(f"{field}[{key}]", key, text)]


_SECRET_KEYS = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def _secret(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    for key in obj.get("data") or {}:
        causes += _config_key("data", key)
    for key in _SECRET_KEYS.get(obj.get("type", ""), ()):
        if key not in (obj.get("data") or {}):
            causes.append(errors.required(f"data[{key}]"))
    return causes + _size(obj)


def bad_base64(obj: Object) -> str:
    """The key of a Secret's data that is no base64, in Go's words; empty when all are."""
    for value in (obj.get("data") or {}).values():
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            return "illegal base64 data at input byte 0"
    return ""


def _immutable_data(fields: tuple[str, ...]) -> Compare:
    def compare(new: Object, old: Object) -> list[Cause]:
        causes: list[Cause] = []
        if old.get("immutable"):
            if not new.get("immutable"):
                causes.append(errors.forbidden_value("immutable", "field is immutable when `immutable` is set"))
            causes += [
                errors.forbidden_value(name, "field is immutable when `immutable` is set") for name in fields if (new.get(name) or {}) != (old.get(name) or {})
            ]
        if "type" in old and new.get("type") != old["type"]:
            causes.append(errors.invalid("type", new.get("type"), "field is immutable"))
        return causes

    return compare


def _binding(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    reference = obj.get("roleRef") or {}
    if reference.get("apiGroup") != "rbac.authorization.k8s.io":
        causes.append(errors.not_supported("roleRef.apiGroup", reference.get("apiGroup", ""), ("rbac.authorization.k8s.io",)))
    kinds = ("ClusterRole",) if obj["kind"] == "ClusterRoleBinding" else ("Role", "ClusterRole")
    if reference.get("kind") not in kinds:
        causes.append(errors.not_supported("roleRef.kind", reference.get("kind", ""), kinds))
    if not reference.get("name"):
        causes.append(errors.required("roleRef.name"))
    for position, subject in enumerate(obj.get("subjects") or ()):
        where = f"subjects[{position}]"
        if not subject.get("name"):
            causes.append(errors.required(f"{where}.name"))
        if subject.get("kind") == "ServiceAccount" and not subject.get("namespace") and obj["kind"] == "ClusterRoleBinding":
            causes.append(errors.required(f"{where}.namespace"))
        elif subject.get("kind") not in ("ServiceAccount", "User", "Group"):
            causes.append(errors.not_supported(f"{where}.kind", subject.get("kind", ""), ("ServiceAccount", "User", "Group")))
    return causes


def _binding_update(new: Object, old: Object) -> list[Cause]:
    if new.get("roleRef") == old.get("roleRef"):
        return []
    return [errors.invalid("roleRef", new.get("roleRef"), "cannot change roleRef")]


def _role(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    for position, rule in enumerate(obj.get("rules") or ()):
        where = f"rules[{position}]"
        if not rule.get("verbs"):
            causes.append(errors.required(f"{where}.verbs", "verbs must contain at least one value"))
        if rule.get("nonResourceURLs"):
            continue
        if rule.get("apiGroups") is None:
            causes.append(errors.required(f"{where}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            causes.append(errors.required(f"{where}.resources", "resource rules must supply at least one resource"))
    return causes


def _webhooks(obj: Object) -> list[Cause]:
    causes: list[Cause] = []
    seen: set[str] = set()
    for position, hook in enumerate(obj.get("webhooks") or ()):
        where = f"webhooks[{position}]"
        name = hook.get("name", "")
        causes += names.dns_subdomain(f"{where}.name", name)
        if name.count(".") < 2:
            causes.append(errors.invalid(f"{where}.name", name, "should be a domain with at least three segments separated by dots"))
        if name in seen:
            causes.append(errors.duplicate(f"{where}.name", name))
        seen.add(name)
        if hook.get("sideEffects") not in ("None", "NoneOnDryRun"):
            causes.append(errors.not_supported(f"{where}.sideEffects", hook.get("sideEffects"), ("None", "NoneOnDryRun")))
        client = hook.get("clientConfig") or {}
        if bool(client.get("url")) == bool(client.get("service")):
            causes.append(errors.required(f"{where}.clientConfig", "exactly one of url or service is required"))
        if hook.get("failurePolicy") not in ("Fail", "Ignore"):
            causes.append(errors.not_supported(f"{where}.failurePolicy", hook.get("failurePolicy"), ("Fail", "Ignore")))
    return causes


def _crd(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    kind_names = spec.get("names") or {}
    causes: list[Cause] = []
    expected = f"{kind_names.get('plural', '')}.{spec.get('group', '')}"
    if obj["metadata"].get("name") != expected:
        causes.append(errors.invalid("metadata.name", obj["metadata"].get("name"), 'must be spec.names.plural+"."+spec.group'))
    if spec.get("scope") not in ("Cluster", "Namespaced"):
        causes.append(errors.not_supported("spec.scope", spec.get("scope", ""), ("Cluster", "Namespaced")))
    for part in ("plural", "kind"):
        if not kind_names.get(part):
            causes.append(errors.required(f"spec.names.{part}"))
    versions = spec.get("versions") or []
    if sum(bool(version.get("storage")) for version in versions) != 1:
        causes.append(
            errors.invalid(
                "spec.versions", versions and [version.get("name") for version in versions], "must have exactly one version marked as storage version"
            )
        )
    seen: set[str] = set()
    for position, version in enumerate(versions):
        where = f"spec.versions[{position}]"
        if version.get("name", "") in seen:
            causes.append(errors.duplicate(f"{where}.name", version.get("name")))
        seen.add(version.get("name", ""))
        causes += names.dns_label(f"{where}.name", version.get("name", ""))
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is None:
            causes.append(errors.required(f"{where}.schema.openAPIV3Schema", "schemas are required"))
        elif schema.get("type") != "object":
            causes.append(errors.invalid(f"{where}.schema.openAPIV3Schema.type", schema.get("type", ""), "must be object at the root"))
    return causes


def _crd_update(new: Object, old: Object) -> list[Cause]:
    causes: list[Cause] = []
    for name in ("group", "scope"):
        if new["spec"].get(name) != old["spec"].get(name):
            causes.append(errors.invalid(f"spec.{name}", new["spec"].get(name), "field is immutable"))
    for name in ("plural", "kind"):
        if new["spec"]["names"].get(name) != old["spec"]["names"].get(name):
            causes.append(errors.invalid(f"spec.names.{name}", new["spec"]["names"].get(name), "field is immutable"))
    return causes


def _ingress(obj: Object) -> list[Cause]:
    spec = obj.get("spec") or {}
    if not spec.get("rules") and not spec.get("defaultBackend"):
        return [errors.invalid("spec", {}, "either `defaultBackend` or `rules` must be specified")]
    causes: list[Cause] = []
    for position, rule in enumerate(spec.get("rules") or ()):
        for number, path in enumerate((rule.get("http") or {}).get("paths") or ()):
            where = f"spec.rules[{position}].http.paths[{number}]"
            if path.get("pathType") not in ("Exact", "Prefix", "ImplementationSpecific"):
                causes.append(errors.required(f"{where}.pathType", "pathType must be specified"))
            elif path["pathType"] != "ImplementationSpecific" and not path.get("path", "").startswith("/"):
                causes.append(errors.invalid(f"{where}.path", path.get("path", ""), "must be an absolute path"))
    return causes


def _endpoint_slice(obj: Object) -> list[Cause]:
    if obj.get("addressType") not in ("IPv4", "IPv6", "FQDN"):
        return (
            [errors.required("addressType")]
            if not obj.get("addressType")
            else [errors.not_supported("addressType", obj["addressType"], ("FQDN", "IPv4", "IPv6"))]
        )
    return []


def _hpa(obj: Object) -> list[Cause]:
    spec = obj["spec"]
    causes: list[Cause] = []
    if (spec.get("maxReplicas") or 0) < 1:
        causes.append(errors.invalid("spec.maxReplicas", spec.get("maxReplicas", 0), "must be greater than 0"))
    elif spec["maxReplicas"] < spec.get("minReplicas", 1):
        causes.append(errors.invalid("spec.maxReplicas", spec["maxReplicas"], "must be greater than or equal to `minReplicas`"))
    return causes


_RULES: dict[str, Rules] = {
    "pods": Rules(check=_pod, compare=pods.validate_update),
    "services": Rules(check=services.validate, compare=services.validate_update),
    "deployments.apps": Rules(check=workloads.validate_deployment, compare=workloads.immutable_selector),
    "replicasets.apps": Rules(check=workloads.validate_replicated, compare=workloads.immutable_selector),
    "statefulsets.apps": Rules(check=workloads.validate_replicated, compare=workloads.immutable_stateful),
    "daemonsets.apps": Rules(check=workloads.validate_replicated, compare=workloads.immutable_selector),
    "jobs.batch": Rules(check=workloads.validate_job, compare=workloads.immutable_template),
    "cronjobs.batch": Rules(check=workloads.validate_cron_job),
    "configmaps": Rules(check=_config_map, compare=_immutable_data(("data", "binaryData"))),
    "secrets": Rules(check=_secret, compare=_immutable_data(("data",))),
    "rolebindings.rbac.authorization.k8s.io": Rules(check=_binding, compare=_binding_update),
    "clusterrolebindings.rbac.authorization.k8s.io": Rules(check=_binding, compare=_binding_update),
    "roles.rbac.authorization.k8s.io": Rules(check=_role),
    "clusterroles.rbac.authorization.k8s.io": Rules(check=_role),
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": Rules(check=_webhooks),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": Rules(check=_webhooks),
    "customresourcedefinitions.apiextensions.k8s.io": Rules(check=_crd, compare=_crd_update),
    "ingresses.networking.k8s.io": Rules(check=_ingress),
    "endpointslices.discovery.k8s.io": Rules(check=_endpoint_slice),
    "horizontalpodautoscalers.autoscaling": Rules(check=_hpa),
}
_NONE = Rules()


def of(key: str) -> Rules:
    """The rules of a resource (`deployments.apps`); a resource without any has empty ones."""
    return _RULES.get(key, _NONE)
