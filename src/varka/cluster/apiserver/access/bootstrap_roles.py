"""The ClusterRoles and bindings that a fresh cluster has: the four that people bind (`cluster-admin`, `admin`, `edit`, `view`) and the system's own.

`ensure` writes what is missing and gives back rules that were taken away, unless the object's annotation
`rbac.authorization.kubernetes.io/autoupdate` says `false`.
"""

from __future__ import annotations

from varka.client.api import Api, ApiError, Gvr, Object
from varka.cluster.apiserver.access.authorization import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, GROUP, MASTERS, ROLE_BINDINGS, ROLES

AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
BOOTSTRAPPING = {"kubernetes.io/bootstrapping": "rbac-defaults"}
AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-"

READ = ["get", "list", "watch"]
WRITE = ["create", "delete", "deletecollection", "patch", "update"]
ALL = ["*"]

_CORE_VIEW = (
    "bindings configmaps endpoints events limitranges namespaces namespaces/status persistentvolumeclaims persistentvolumeclaims/status pods pods/log "
    "pods/status replicationcontrollers replicationcontrollers/scale replicationcontrollers/status resourcequotas resourcequotas/status serviceaccounts "
    "services services/status"
)
_CORE_EDIT = (
    "configmaps endpoints events persistentvolumeclaims pods replicationcontrollers replicationcontrollers/scale "
    "secrets serviceaccounts services services/proxy"
)
_APPS_VIEW = (
    "controllerrevisions daemonsets daemonsets/status deployments deployments/scale deployments/status replicasets replicasets/scale replicasets/status "
    "statefulsets statefulsets/scale statefulsets/status"
)
_APPS_EDIT = "daemonsets deployments deployments/rollback deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale"
_NETWORK = "ingresses networkpolicies"


def _rule(groups: str, resources: str, verbs: list[str]) -> Object:
    return {
        "apiGroups": [] if groups == "-" else [group if group != "core" else "" for group in groups.split()],
        "resources": resources.split(),
        "verbs": verbs,
    }


def _paths(paths: str, verbs: list[str]) -> Object:
    return {"nonResourceURLs": paths.split(), "verbs": verbs}


_VIEW = [
    _rule("core", _CORE_VIEW, READ),
    _rule("discovery.k8s.io", "endpointslices", READ),
    _rule("apps", _APPS_VIEW, READ),
    _rule("autoscaling", "horizontalpodautoscalers horizontalpodautoscalers/status", READ),
    _rule("batch", "cronjobs cronjobs/status jobs jobs/status", READ),
    _rule("policy", "poddisruptionbudgets poddisruptionbudgets/status", READ),
    _rule("networking.k8s.io", f"{_NETWORK} ingresses/status", READ),
    _rule("metrics.k8s.io", "pods nodes", READ),
]
_EDIT = [
    _rule("core", "pods/attach pods/exec pods/portforward pods/proxy secrets services/proxy", READ),
    _rule("core", "serviceaccounts", ["impersonate"]),
    _rule("core", f"{_CORE_EDIT} pods/attach pods/exec pods/portforward pods/proxy", WRITE),
    _rule("core", "pods/eviction serviceaccounts/token", ["create"]),
    _rule("apps", _APPS_EDIT, WRITE),
    _rule("autoscaling", "horizontalpodautoscalers", WRITE),
    _rule("batch", "cronjobs jobs", WRITE),
    _rule("policy", "poddisruptionbudgets", WRITE),
    _rule("networking.k8s.io", _NETWORK, WRITE),
    _rule("coordination.k8s.io", "leases", [*READ, *WRITE]),
]
_ADMIN = [
    _rule("authorization.k8s.io", "localsubjectaccessreviews", ["create"]),
    _rule(GROUP, "roles rolebindings", [*READ, *WRITE]),
]
_HEALTH = "/healthz /livez /readyz /version /version/"
_NODE = [
    _rule("authentication.k8s.io", "tokenreviews", ["create"]),
    _rule("authorization.k8s.io", "subjectaccessreviews localsubjectaccessreviews", ["create"]),
    _rule("core", "services configmaps secrets persistentvolumeclaims persistentvolumes", READ),
    _rule("core", "nodes nodes/status pods pods/status", [*READ, "create", "patch", "update", "delete"]),
    _rule("core", "pods/eviction serviceaccounts/token", ["create"]),
    _rule("core events.k8s.io", "events", ["create", "patch", "update"]),
    _rule("coordination.k8s.io", "leases", [*READ, "create", "patch", "update", "delete"]),
]

CLUSTER_ROLE_RULES: dict[str, list[Object]] = {
    "cluster-admin": [_rule("*", "*", ALL), _paths("*", ALL)],
    "system:aggregate-to-view": _VIEW,
    "system:aggregate-to-edit": _EDIT,
    "system:aggregate-to-admin": _ADMIN,
    "system:discovery": [_paths(f"/api /api/* /apis /apis/* /openapi /openapi/* {_HEALTH}", ["get"])],
    "system:public-info-viewer": [_paths(_HEALTH, ["get"])],
    "system:monitoring": [_paths("/healthz /healthz/* /livez /livez/* /metrics /readyz /readyz/*", ["get"])],
    "system:basic-user": [
        _rule("authorization.k8s.io", "selfsubjectaccessreviews selfsubjectrulesreviews", ["create"]),
        _rule("authentication.k8s.io", "selfsubjectreviews", ["create"]),
    ],
    "system:auth-delegator": [_rule("authentication.k8s.io", "tokenreviews", ["create"]), _rule("authorization.k8s.io", "subjectaccessreviews", ["create"])],
    "system:service-account-issuer-discovery": [_paths("/.well-known/openid-configuration /.well-known/openid-configuration/ /openid/v1/jwks", ["get"])],
    "system:node": _NODE,
    "system:kube-controller-manager": [_rule("*", "*", ALL)],
    "system:kube-scheduler": [
        _rule("core", "nodes pods persistentvolumeclaims persistentvolumes services namespaces", READ),
        _rule("core", "pods/binding bindings", ["create"]),
        _rule("core", "pods/status", ["patch", "update"]),
        _rule("core events.k8s.io", "events", ["create", "patch", "update"]),
        _rule("coordination.k8s.io", "leases", ["create", "get", "update"]),
    ],
    "system:node-proxier": [
        _rule("core", "services endpoints nodes", READ),
        _rule("discovery.k8s.io", "endpointslices", READ),
        _rule("core events.k8s.io", "events", ["create", "patch", "update"]),
    ],
}
"""Rules of the roles that list them themselves."""

AGGREGATING: dict[str, tuple[str, ...]] = {"admin": ("admin",), "edit": ("edit",), "view": ("view",)}
"""Roles that collect others, by the suffix of the label that those carry."""

_LABELS = {
    "system:aggregate-to-view": {f"{AGGREGATE}view": "true"},
    "system:aggregate-to-edit": {f"{AGGREGATE}edit": "true"},
    "system:aggregate-to-admin": {f"{AGGREGATE}admin": "true"},
    "view": {f"{AGGREGATE}edit": "true"},
    "edit": {f"{AGGREGATE}admin": "true"},
}

_GROUP_BINDINGS = {
    "cluster-admin": [MASTERS],
    "system:discovery": ["system:authenticated"],
    "system:basic-user": ["system:authenticated"],
    "system:public-info-viewer": ["system:authenticated", "system:unauthenticated"],
    "system:monitoring": ["system:monitoring"],
    "system:service-account-issuer-discovery": ["system:serviceaccounts"],
    "system:node": ["system:nodes"],
}
_USER_BINDINGS = {
    "system:kube-controller-manager": "system:kube-controller-manager",
    "system:kube-scheduler": "system:kube-scheduler",
    "system:node-proxier": "system:kube-proxy",
}

_AUTHENTICATION_READER = "extension-apiserver-authentication-reader"


def objects() -> list[tuple[Gvr, Object]]:
    """Everything that `ensure` writes, roles before bindings, each in order of name."""
    roles: list[tuple[Gvr, Object]] = []
    for name in sorted({*CLUSTER_ROLE_RULES, *AGGREGATING}):
        role = _object("ClusterRole", name, labels=_LABELS.get(name, {}))
        if name in AGGREGATING:
            role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{AGGREGATE}{suffix}": "true"}} for suffix in AGGREGATING[name]]}
        role["rules"] = CLUSTER_ROLE_RULES.get(name, [])
        roles.append((CLUSTER_ROLES, role))
    bindings: list[tuple[Gvr, Object]] = []
    for name in sorted({*_GROUP_BINDINGS, *_USER_BINDINGS}):
        binding = _object("ClusterRoleBinding", name)
        binding["roleRef"] = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
        binding["subjects"] = [{"apiGroup": GROUP, "kind": "Group", "name": group} for group in _GROUP_BINDINGS.get(name, ())]
        if name in _USER_BINDINGS:
            binding["subjects"].append({"apiGroup": GROUP, "kind": "User", "name": _USER_BINDINGS[name]})
        bindings.append((CLUSTER_ROLE_BINDINGS, binding))
    reader = _object("Role", _AUTHENTICATION_READER, namespace="kube-system")
    reader["rules"] = [{**_rule("core", "configmaps", READ), "resourceNames": ["extension-apiserver-authentication"]}]
    return [*roles, (ROLES, reader), *bindings]


async def ensure(api: Api) -> None:
    """Write the objects that are missing, and put back rules and subjects that were removed."""
    existing: dict[Gvr, dict[tuple[str, str], Object]] = {}
    for gvr in (CLUSTER_ROLES, CLUSTER_ROLE_BINDINGS, ROLES, ROLE_BINDINGS):
        found = await api.list(gvr)
        existing[gvr] = {(obj["metadata"].get("namespace", ""), obj["metadata"]["name"]): obj for obj in found.items}
    for gvr, wanted in objects():
        namespace = wanted["metadata"].get("namespace", "")
        current = existing[gvr].get((namespace, wanted["metadata"]["name"]))
        try:
            if current is None:
                await api.create(gvr, wanted, namespace or None)
            else:
                mended = _mended(current, wanted)
                if mended is not None:
                    await api.update(gvr, mended)
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _object(kind: str, name: str, *, namespace: str = "", labels: dict[str, str] | None = None) -> Object:
    metadata: Object = {"name": name, "labels": {**BOOTSTRAPPING, **(labels or {})}, "annotations": {AUTOUPDATE: "true"}}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata}


def _mended(current: Object, wanted: Object) -> Object | None:
    if (current["metadata"].get("annotations") or {}).get(AUTOUPDATE) == "false":
        return None
    mended = dict(current)
    for field in ("rules", "subjects"):
        if field in wanted and not current.get("aggregationRule"):
            missing = [item for item in wanted[field] if item not in (current.get(field) or [])]
            if missing:
                mended[field] = [*(current.get(field) or []), *missing]
    return mended if mended != current else None
