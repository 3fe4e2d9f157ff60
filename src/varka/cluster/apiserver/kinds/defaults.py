"""The defaults that Kubernetes writes into objects of builtin kinds, so that what is read back is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from varka.client.api import Object

Spec = dict[str, Any]


def _setdefaults(target: Spec, **values: Any) -> None:
    for key, value in values.items():
        if target.get(key) is None:
            target[key] = value


def _probe(probe: Spec | None) -> None:
    if probe is None:
        return
    _setdefaults(probe, failureThreshold=3, periodSeconds=10, successThreshold=1, timeoutSeconds=1)
    if "httpGet" in probe:
        _setdefaults(probe["httpGet"], path="/", scheme="HTTP")
    if "grpc" in probe:
        _setdefaults(probe["grpc"], service="")


def _pull_policy(image: str) -> str:
    if "@" in image:
        return "IfNotPresent"
    name = image.rpartition("/")[2]
    tag = name.partition(":")[2] or "latest"
    return "Always" if tag == "latest" else "IfNotPresent"


def container(spec: Spec) -> None:
    """Defaults of one container."""
    _setdefaults(spec, terminationMessagePath="/dev/termination-log", terminationMessagePolicy="File", resources={})
    if spec.get("image"):
        _setdefaults(spec, imagePullPolicy=_pull_policy(spec["image"]))
    for port in spec.get("ports") or ():
        _setdefaults(port, protocol="TCP")
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        _probe(spec.get(name))
    for hook in (spec.get("lifecycle") or {}).values():
        if isinstance(hook, dict) and "httpGet" in hook:
            _setdefaults(hook["httpGet"], path="/", scheme="HTTP")
    for variable in spec.get("env") or ():
        source = variable.get("valueFrom") or {}
        if "fieldRef" in source:
            _setdefaults(source["fieldRef"], apiVersion="v1")
        if "resourceFieldRef" in source:
            _setdefaults(source["resourceFieldRef"], divisor="0")
    limits = (spec.get("resources") or {}).get("limits")
    if limits:
        requests = spec["resources"].setdefault("requests", {})
        for name, amount in limits.items():
            requests.setdefault(name, amount)


def _downward(items: Iterable[Spec]) -> None:
    for item in items:
        if "fieldRef" in item:
            _setdefaults(item["fieldRef"], apiVersion="v1")
        if "resourceFieldRef" in item:
            _setdefaults(item["resourceFieldRef"], divisor="0")


def _volume(volume: Spec) -> None:
    if not set(volume) - {"name"}:
        volume["emptyDir"] = {}
    for kind in ("configMap", "secret", "projected", "downwardAPI"):
        if kind in volume:
            _setdefaults(volume[kind], defaultMode=420)
    if "hostPath" in volume:
        _setdefaults(volume["hostPath"], type="")
    _downward((volume.get("downwardAPI") or {}).get("items") or ())
    for source in (volume.get("projected") or {}).get("sources") or ():
        if "serviceAccountToken" in source:
            _setdefaults(source["serviceAccountToken"], expirationSeconds=3600)
        _downward((source.get("downwardAPI") or {}).get("items") or ())


def pod_spec(spec: Spec) -> None:
    """Defaults of a pod's spec, in a pod or a template."""
    for name in ("containers", "initContainers", "ephemeralContainers"):
        for one in spec.get(name) or ():
            container(one)
    for volume in spec.get("volumes") or ():
        _volume(volume)
    _setdefaults(
        spec,
        dnsPolicy="ClusterFirst",
        restartPolicy="Always",
        schedulerName="default-scheduler",
        securityContext={},
        terminationGracePeriodSeconds=30,
    )
    if spec.get("serviceAccountName"):
        spec["serviceAccount"] = spec["serviceAccountName"]
    elif spec.get("serviceAccount"):
        spec["serviceAccountName"] = spec["serviceAccount"]


def _pod(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    pod_spec(spec)
    _setdefaults(spec, enableServiceLinks=True)
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _template(spec: Spec) -> None:
    template = spec.get("template")
    if isinstance(template, dict):
        template.setdefault("metadata", {})
        pod_spec(template.setdefault("spec", {}))


def _deployment(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600)
    strategy = spec.setdefault("strategy", {})
    _setdefaults(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _setdefaults(strategy.setdefault("rollingUpdate", {}), maxSurge="25%", maxUnavailable="25%")
    _template(spec)


def _replica_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, replicas=1)
    _template(spec)


def _replication_controller(obj: Object) -> None:
    _replica_set(obj)
    labels = ((obj["spec"].get("template") or {}).get("metadata") or {}).get("labels")
    if labels and not obj["spec"].get("selector"):
        obj["spec"]["selector"] = dict(labels)


def _stateful_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, replicas=1, revisionHistoryLimit=10, podManagementPolicy="OrderedReady")
    _setdefaults(spec, persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"})
    strategy = spec.setdefault("updateStrategy", {})
    _setdefaults(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _setdefaults(strategy.setdefault("rollingUpdate", {}), partition=0)
    for claim in spec.get("volumeClaimTemplates") or ():
        claim.setdefault("apiVersion", "v1")
        claim.setdefault("kind", "PersistentVolumeClaim")
        _claim(claim)
    _template(spec)


def _daemon_set(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, revisionHistoryLimit=10)
    strategy = spec.setdefault("updateStrategy", {})
    _setdefaults(strategy, type="RollingUpdate")
    if strategy["type"] == "RollingUpdate":
        _setdefaults(strategy.setdefault("rollingUpdate", {}), maxSurge=0, maxUnavailable=1)
    _template(spec)


def _job_spec(spec: Spec) -> None:
    _setdefaults(spec, backoffLimit=6, completionMode="NonIndexed", suspend=False, podReplacementPolicy="TerminatingOrFailed", manualSelector=False)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        _setdefaults(spec, completions=1)
    _setdefaults(spec, parallelism=1)
    if not spec.get("manualSelector"):
        spec.pop("manualSelector", None)
    _template(spec)


def _job(obj: Object) -> None:
    _job_spec(obj.setdefault("spec", {}))


def _cron_job(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)
    job = spec.setdefault("jobTemplate", {})
    job.setdefault("metadata", {})
    _template(job.setdefault("spec", {}))


def _service(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, sessionAffinity="None", type="ClusterIP")
    if spec["sessionAffinity"] == "ClientIP":
        _setdefaults(spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {}), timeoutSeconds=10800)
    external = spec["type"] == "ExternalName"
    for port in spec.get("ports") or ():
        _setdefaults(port, protocol="TCP")
        if port.get("targetPort") in (None, "", 0):
            port["targetPort"] = port.get("port")
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _setdefaults(spec, externalTrafficPolicy="Cluster")
    if spec["type"] == "LoadBalancer":
        _setdefaults(spec, allocateLoadBalancerNodePorts=True)
    if not external:
        _setdefaults(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    obj.setdefault("status", {}).setdefault("loadBalancer", {})


def _claim(obj: Object) -> None:
    _setdefaults(obj.setdefault("spec", {}), volumeMode="Filesystem")
    obj.setdefault("status", {}).setdefault("phase", "Pending")


def _namespace(obj: Object) -> None:
    meta = obj["metadata"]
    meta.setdefault("labels", {})["kubernetes.io/metadata.name"] = meta.get("name", "")
    if "deletionTimestamp" not in meta:
        _setdefaults(obj.setdefault("spec", {}), finalizers=["kubernetes"])
    obj.setdefault("status", {}).setdefault("phase", "Active")


def _secret(obj: Object) -> None:
    _setdefaults(obj, type="Opaque")


def _hpa(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, minReplicas=1)
    cpu = {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    _setdefaults(spec, metrics=[cpu])


def _network_policy(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    _setdefaults(spec, podSelector={})
    _setdefaults(spec, policyTypes=["Ingress", *(["Egress"] if spec.get("egress") else [])])
    for rule in [*(spec.get("ingress") or ()), *(spec.get("egress") or ())]:
        for port in rule.get("ports") or ():
            _setdefaults(port, protocol="TCP")


def _binding(obj: Object) -> None:
    if obj.get("roleRef"):
        _setdefaults(obj["roleRef"], apiGroup="rbac.authorization.k8s.io")
    for subject in obj.get("subjects") or ():
        if not subject.get("apiGroup") and subject.get("kind") in ("User", "Group"):
            subject["apiGroup"] = "rbac.authorization.k8s.io"


def _webhooks(mutating: bool) -> Callable[[Object], None]:
    def fill(obj: Object) -> None:
        for hook in obj.get("webhooks") or ():
            _setdefaults(hook, failurePolicy="Fail", matchPolicy="Equivalent", namespaceSelector={}, objectSelector={}, timeoutSeconds=10)
            if mutating:
                _setdefaults(hook, reinvocationPolicy="Never")
            for rule in hook.get("rules") or ():
                _setdefaults(rule, scope="*")
            service = (hook.get("clientConfig") or {}).get("service")
            if service is not None:
                _setdefaults(service, port=443)

    return fill


def _endpoint_slice(obj: Object) -> None:
    for port in obj.get("ports") or ():
        _setdefaults(port, name="", protocol="TCP")


def _endpoints(obj: Object) -> None:
    for subset in obj.get("subsets") or ():
        for port in subset.get("ports") or ():
            _setdefaults(port, protocol="TCP")


def _storage_class(obj: Object) -> None:
    _setdefaults(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _priority_class(obj: Object) -> None:
    _setdefaults(obj, preemptionPolicy="PreemptLowerPriority")


def _crd(obj: Object) -> None:
    spec = obj.setdefault("spec", {})
    names = spec.setdefault("names", {})
    if names.get("kind"):
        _setdefaults(names, singular=names["kind"].lower(), listKind=f"{names['kind']}List")
    _setdefaults(spec, conversion={"strategy": "None"})


DEFAULTERS: dict[str, Callable[[Object], None]] = {
    "pods": _pod,
    "podtemplates": _template,
    "deployments.apps": _deployment,
    "replicasets.apps": _replica_set,
    "replicationcontrollers": _replication_controller,
    "statefulsets.apps": _stateful_set,
    "daemonsets.apps": _daemon_set,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "services": _service,
    "persistentvolumeclaims": _claim,
    "namespaces": _namespace,
    "secrets": _secret,
    "horizontalpodautoscalers.autoscaling": _hpa,
    "networkpolicies.networking.k8s.io": _network_policy,
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks(True),
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks(False),
    "endpointslices.discovery.k8s.io": _endpoint_slice,
    "endpoints": _endpoints,
    "storageclasses.storage.k8s.io": _storage_class,
    "priorityclasses.scheduling.k8s.io": _priority_class,
    "customresourcedefinitions.apiextensions.k8s.io": _crd,
}


def fill(key: str, obj: Object) -> None:
    """Put the defaults of a resource (`deployments.apps`) where fields are absent, in place."""
    filler = DEFAULTERS.get(key)
    if filler is not None:
        filler(obj)
