"""Which kinds there are: constants for the built-in ones, and the way from `apiVersion` and `kind` to a resource.

A kind that is not built in is looked up among the CustomResourceDefinitions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from varka.base.errors import VarkaError
from varka.client.api import Api, Gvr, Object


class Resource(NamedTuple):
    """A kind and how the API serves it."""

    gvr: Gvr
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.gvr.group}/{self.gvr.version}" if self.gvr.group else self.gvr.version


NAMESPACES = Gvr("", "v1", "namespaces")
NODES = Gvr("", "v1", "nodes")
PODS = Gvr("", "v1", "pods")
SERVICES = Gvr("", "v1", "services")
ENDPOINTS = Gvr("", "v1", "endpoints")
CONFIGMAPS = Gvr("", "v1", "configmaps")
SECRETS = Gvr("", "v1", "secrets")
SERVICE_ACCOUNTS = Gvr("", "v1", "serviceaccounts")
EVENTS = Gvr("", "v1", "events")
PERSISTENT_VOLUMES = Gvr("", "v1", "persistentvolumes")
PERSISTENT_VOLUME_CLAIMS = Gvr("", "v1", "persistentvolumeclaims")
REPLICATION_CONTROLLERS = Gvr("", "v1", "replicationcontrollers")
RESOURCE_QUOTAS = Gvr("", "v1", "resourcequotas")
LIMIT_RANGES = Gvr("", "v1", "limitranges")
DEPLOYMENTS = Gvr("apps", "v1", "deployments")
REPLICA_SETS = Gvr("apps", "v1", "replicasets")
STATEFUL_SETS = Gvr("apps", "v1", "statefulsets")
DAEMON_SETS = Gvr("apps", "v1", "daemonsets")
CONTROLLER_REVISIONS = Gvr("apps", "v1", "controllerrevisions")
JOBS = Gvr("batch", "v1", "jobs")
CRON_JOBS = Gvr("batch", "v1", "cronjobs")
ENDPOINT_SLICES = Gvr("discovery.k8s.io", "v1", "endpointslices")
NETWORK_POLICIES = Gvr("networking.k8s.io", "v1", "networkpolicies")
INGRESSES = Gvr("networking.k8s.io", "v1", "ingresses")
INGRESS_CLASSES = Gvr("networking.k8s.io", "v1", "ingressclasses")
DISRUPTION_BUDGETS = Gvr("policy", "v1", "poddisruptionbudgets")
AUTOSCALERS = Gvr("autoscaling", "v2", "horizontalpodautoscalers")
ROLES = Gvr("rbac.authorization.k8s.io", "v1", "roles")
ROLE_BINDINGS = Gvr("rbac.authorization.k8s.io", "v1", "rolebindings")
CLUSTER_ROLES = Gvr("rbac.authorization.k8s.io", "v1", "clusterroles")
CLUSTER_ROLE_BINDINGS = Gvr("rbac.authorization.k8s.io", "v1", "clusterrolebindings")
MUTATING_WEBHOOKS = Gvr("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations")
VALIDATING_WEBHOOKS = Gvr("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations")
CUSTOM_RESOURCE_DEFINITIONS = Gvr("apiextensions.k8s.io", "v1", "customresourcedefinitions")
API_SERVICES = Gvr("apiregistration.k8s.io", "v1", "apiservices")
LEASES = Gvr("coordination.k8s.io", "v1", "leases")
PRIORITY_CLASSES = Gvr("scheduling.k8s.io", "v1", "priorityclasses")
STORAGE_CLASSES = Gvr("storage.k8s.io", "v1", "storageclasses")
POD_TEMPLATES = Gvr("", "v1", "podtemplates")
RUNTIME_CLASSES = Gvr("node.k8s.io", "v1", "runtimeclasses")
SIGNING_REQUESTS = Gvr("certificates.k8s.io", "v1", "certificatesigningrequests")
VALIDATING_POLICIES = Gvr("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies")
VALIDATING_POLICY_BINDINGS = Gvr("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings")
TOKEN_REVIEWS = Gvr("authentication.k8s.io", "v1", "tokenreviews")
SUBJECT_ACCESS_REVIEWS = Gvr("authorization.k8s.io", "v1", "subjectaccessreviews")

BUILTIN: tuple[Resource, ...] = (
    Resource(NAMESPACES, "Namespace", False),
    Resource(NODES, "Node", False),
    Resource(PODS, "Pod", True),
    Resource(SERVICES, "Service", True),
    Resource(ENDPOINTS, "Endpoints", True),
    Resource(CONFIGMAPS, "ConfigMap", True),
    Resource(SECRETS, "Secret", True),
    Resource(SERVICE_ACCOUNTS, "ServiceAccount", True),
    Resource(EVENTS, "Event", True),
    Resource(PERSISTENT_VOLUMES, "PersistentVolume", False),
    Resource(PERSISTENT_VOLUME_CLAIMS, "PersistentVolumeClaim", True),
    Resource(REPLICATION_CONTROLLERS, "ReplicationController", True),
    Resource(RESOURCE_QUOTAS, "ResourceQuota", True),
    Resource(LIMIT_RANGES, "LimitRange", True),
    Resource(DEPLOYMENTS, "Deployment", True),
    Resource(REPLICA_SETS, "ReplicaSet", True),
    Resource(STATEFUL_SETS, "StatefulSet", True),
    Resource(DAEMON_SETS, "DaemonSet", True),
    Resource(CONTROLLER_REVISIONS, "ControllerRevision", True),
    Resource(JOBS, "Job", True),
    Resource(CRON_JOBS, "CronJob", True),
    Resource(ENDPOINT_SLICES, "EndpointSlice", True),
    Resource(NETWORK_POLICIES, "NetworkPolicy", True),
    Resource(INGRESSES, "Ingress", True),
    Resource(INGRESS_CLASSES, "IngressClass", False),
    Resource(DISRUPTION_BUDGETS, "PodDisruptionBudget", True),
    Resource(AUTOSCALERS, "HorizontalPodAutoscaler", True),
    Resource(ROLES, "Role", True),
    Resource(ROLE_BINDINGS, "RoleBinding", True),
    Resource(CLUSTER_ROLES, "ClusterRole", False),
    Resource(CLUSTER_ROLE_BINDINGS, "ClusterRoleBinding", False),
    Resource(MUTATING_WEBHOOKS, "MutatingWebhookConfiguration", False),
    Resource(VALIDATING_WEBHOOKS, "ValidatingWebhookConfiguration", False),
    Resource(CUSTOM_RESOURCE_DEFINITIONS, "CustomResourceDefinition", False),
    Resource(API_SERVICES, "APIService", False),
    Resource(LEASES, "Lease", True),
    Resource(PRIORITY_CLASSES, "PriorityClass", False),
    Resource(STORAGE_CLASSES, "StorageClass", False),
    Resource(POD_TEMPLATES, "PodTemplate", True),
    Resource(RUNTIME_CLASSES, "RuntimeClass", False),
    Resource(SIGNING_REQUESTS, "CertificateSigningRequest", False),
    Resource(VALIDATING_POLICIES, "ValidatingAdmissionPolicy", False),
    Resource(VALIDATING_POLICY_BINDINGS, "ValidatingAdmissionPolicyBinding", False),
)
"""The kinds that callers name; a server need not have all of them."""

_BY_KIND = {(resource.gvr.group, resource.kind): resource for resource in BUILTIN}


def defined(definition: Object) -> list[Resource]:
    """The resources that a CustomResourceDefinition defines, one a served version, the stored version first."""
    spec = definition["spec"]
    names, namespaced = spec["names"], spec.get("scope", "Namespaced") == "Namespaced"
    versions = sorted((version for version in spec["versions"] if version.get("served", True)), key=lambda version: not version.get("storage"))
    return [Resource(Gvr(spec["group"], version["name"], names["plural"]), names["kind"], namespaced) for version in versions]


class Kinds:
    """Finds resources by `apiVersion` and `kind`; asks the server for definitions when it meets an unknown kind."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._defined: dict[tuple[str, str, str], Resource] = {}

    def add(self, definitions: Iterable[Object]) -> None:
        """Take these CustomResourceDefinitions into account."""
        for definition in definitions:
            for resource in defined(definition):
                self._defined[resource.gvr.group, resource.gvr.version, resource.kind] = resource

    async def find(self, api_version: str, kind: str) -> Resource:
        """The resource that serves a kind; VarkaError when the server has none."""
        group, _, version = api_version.rpartition("/")
        builtin = _BY_KIND.get((group, kind))
        if builtin is not None:
            return builtin._replace(gvr=builtin.gvr._replace(version=version))
        if (group, version, kind) not in self._defined and group:
            self.add((await self._api.list(CUSTOM_RESOURCE_DEFINITIONS)).items)
        found = self._defined.get((group, version, kind))
        if found is None:
            raise VarkaError(f'no matches for kind "{kind}" in version "{api_version}"', "install the CustomResourceDefinition first")
        return found
