"""The control plane: Deployment, Service, its rights, the mesh configuration, and the two webhooks."""

from __future__ import annotations

import json
from typing import Any

import yaml

from varka.cli.istioctl.charts import base, webhooks
from varka.cli.istioctl.operator import Installation
from varka.client.api import Object

DISCOVERY_PORT, MONITORING_PORT, WEBHOOK_PORT = 15012, 15014, 15017
_ISTIO_GROUPS = ["config.istio.io", "security.istio.io", "networking.istio.io", "telemetry.istio.io", "extensions.istio.io"]
_READ = ["get", "list", "watch"]
_WRITE = ["create", "update", "patch", "delete"]


def objects(installation: Installation) -> list[Object]:
    """Everything of one revision's control plane, webhooks last."""
    name = f"istiod{installation.suffix}"
    meta = {"namespace": installation.namespace, "labels": {**base.labels(installation, "Pilot"), "app": "istiod"}}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, **meta}},
        *_rights(installation, name),
        *_config_maps(installation, meta),
        _service(name, meta, installation),
        _deployment(installation, name, meta),
        _budget(name, meta, {"app": "istiod", "istio.io/rev": installation.revision}),
        *base.autoscaler(name, meta, installation.values.get("pilot") or {}),
        injector(installation, name),
        _validator(installation, name),
    ]


def _rights(installation: Installation, account: str) -> list[Object]:
    cluster_name = f"istiod-clusterrole{installation.suffix}-{installation.namespace}"
    labels = base.labels(installation, "Pilot")
    subject = [{"kind": "ServiceAccount", "name": account, "namespace": installation.namespace}]
    rules = [
        _rule(_ISTIO_GROUPS, ["*"], _READ),
        _rule(_ISTIO_GROUPS, ["*/status"], ["get", "update", "patch"]),
        _rule(["networking.istio.io"], ["workloadentries"], [*_READ, *_WRITE]),
        _rule([""], ["pods", "nodes", "services", "namespaces", "endpoints", "serviceaccounts", "secrets"], _READ),
        _rule([""], ["configmaps"], [*_READ, "create", "update", "patch"]),
        _rule([""], ["events"], ["create", "update", "patch"]),
        _rule(["discovery.k8s.io"], ["endpointslices"], _READ),
        _rule(["apps"], ["deployments", "replicasets", "statefulsets", "daemonsets"], _READ),
        _rule(["apiextensions.k8s.io"], ["customresourcedefinitions"], _READ),
        _rule(["admissionregistration.k8s.io"], ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"], [*_READ, "update", "patch"]),
        _rule(["authentication.k8s.io"], ["tokenreviews"], ["create"]),
        _rule(["authorization.k8s.io"], ["subjectaccessreviews"], ["create"]),
        _rule(["networking.k8s.io"], ["ingresses", "ingressclasses"], _READ),
        _rule(["networking.k8s.io"], ["ingresses/status"], ["*"]),
        _rule(["gateway.networking.k8s.io"], ["*"], [*_READ, "update", "patch"]),
        _rule(["gateway.networking.k8s.io"], ["gatewayclasses"], ["create"]),
        _rule(["apps"], ["deployments"], [*_READ, *_WRITE]),
        _rule([""], ["services", "serviceaccounts"], [*_READ, *_WRITE]),
    ]
    own = [
        _rule(["coordination.k8s.io"], ["leases"], [*_READ, *_WRITE]),
        _rule([""], ["secrets"], [*_READ, *_WRITE]),
        _rule([""], ["configmaps"], [*_READ, *_WRITE]),
    ]
    group = "rbac.authorization.k8s.io"
    meta = {"name": account, "namespace": installation.namespace, "labels": labels}
    return [
        {"apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": cluster_name, "labels": labels}, "rules": rules},
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": cluster_name, "labels": labels},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": cluster_name},
            "subjects": subject,
        },
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": own},
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": account},
            "subjects": subject,
        },
    ]


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> Object:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def mesh_config(installation: Installation) -> dict[str, Any]:
    """The MeshConfig that the ConfigMap `istio` holds: the user's over the installation's."""
    given = dict(installation.mesh_config)
    proxy = {"discoveryAddress": f"istiod{installation.suffix}.{installation.namespace}.svc:{DISCOVERY_PORT}", **(given.pop("defaultConfig", None) or {})}
    sampling = (installation.values.get("pilot") or {}).get("traceSampling")
    if sampling is not None:
        proxy["tracing"] = {"sampling": sampling, **(proxy.get("tracing") or {})}
    own = given.pop("extensionProviders", None) or []
    named = {provider.get("name") for provider in own if isinstance(provider, dict)}
    return {
        "defaultConfig": proxy,
        "defaultProviders": {"metrics": ["prometheus"]},
        "extensionProviders": [*own, *(provider for provider in _providers(installation) if provider["name"] not in named)],
        "enablePrometheusMerge": True,
        "rootNamespace": installation.namespace,
        "trustDomain": "cluster.local",
        **given,
    }


def _providers(installation: Installation) -> list[dict[str, Any]]:
    """Those that Istio's demo profile has and a Telemetry may name: the add-ons of the samples."""
    collector = f"jaeger-collector.{installation.namespace}.svc.cluster.local"
    outside = "opentelemetry-collector.observability.svc.cluster.local"
    return [
        {"name": "jaeger", "opentelemetry": {"service": collector, "port": 4317}},
        {"name": "zipkin", "zipkin": {"service": f"zipkin.{installation.namespace}.svc.cluster.local", "port": 9411}},
        {"name": "otel", "envoyOtelAls": {"service": outside, "port": 4317}},
        {"name": "otel-tracing", "opentelemetry": {"service": outside, "port": 4317}},
    ]


def _config_maps(installation: Installation, meta: Object) -> list[Object]:
    mesh = yaml.safe_dump(mesh_config(installation), sort_keys=True)
    return [
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"istio{installation.suffix}", **meta},
            "data": {"mesh": mesh, "meshNetworks": "networks: {}"},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": f"istio-sidecar-injector{installation.suffix}", **meta},
            "data": {"values": json.dumps(injection_values(installation), indent=2, sort_keys=True)},
        },
    ]


def injection_values(installation: Installation) -> dict[str, Any]:
    """The values that injection depends on, in the layout of Istio's charts."""
    given = installation.values
    common = {"hub": installation.hub, "tag": installation.tag, "istioNamespace": installation.namespace, **(given.get("global") or {})}
    return {
        "global": common,
        "revision": installation.revision,
        "sidecarInjectorWebhook": given.get("sidecarInjectorWebhook") or {},
        "pilot": given.get("pilot") or {},
    }


def _service(name: str, meta: Object, installation: Installation) -> Object:
    ports = [("https-dns", DISCOVERY_PORT, DISCOVERY_PORT), ("https-webhook", 443, WEBHOOK_PORT), ("http-monitoring", MONITORING_PORT, MONITORING_PORT)]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, **meta},
        "spec": {
            "selector": {"app": "istiod", "istio.io/rev": installation.revision},
            "ports": [{"name": port, "port": number, "targetPort": target, "protocol": "TCP"} for port, number, target in ports],
        },
    }


def _container(installation: Installation) -> Object:
    pilot, k8s = installation.values.get("pilot") or {}, installation.pilot_k8s
    environment = {
        "REVISION": installation.revision,
        "PILOT_CERT_PROVIDER": "istiod",
        "PILOT_TRACE_SAMPLING": str(pilot.get("traceSampling", 1)),
        "CLUSTER_ID": str((installation.values.get("global") or {}).get("multiCluster", {}).get("clusterName") or "Kubernetes"),
        **{key: str(value) for key, value in (pilot.get("env") or {}).items()},
    }
    fields = {"POD_NAME": "metadata.name", "POD_NAMESPACE": "metadata.namespace", "SERVICE_ACCOUNT": "spec.serviceAccountName"}
    return {
        "name": "discovery",
        "image": f"{installation.hub}/pilot:{installation.tag}",
        "args": ["discovery", "--monitoringAddr=:15014", "--domain", "cluster.local"],
        "ports": [{"containerPort": port, "protocol": "TCP"} for port in (DISCOVERY_PORT, MONITORING_PORT, WEBHOOK_PORT)],
        "env": [
            *({"name": key, "value": value} for key, value in environment.items()),
            *({"name": key, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}} for key, path in fields.items()),
            *(k8s.get("env") or []),
        ],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": MONITORING_PORT}, "periodSeconds": 1, "timeoutSeconds": 5},
        "resources": k8s.get("resources") or pilot.get("resources") or {"requests": {"cpu": "500m", "memory": "2048Mi"}},
        "volumeMounts": [
            {"name": "istio-token", "mountPath": "/var/run/secrets/tokens", "readOnly": True},
            {"name": "cacerts", "mountPath": "/etc/cacerts", "readOnly": True},
        ],
    }


def _deployment(installation: Installation, name: str, meta: Object) -> Object:
    pilot, k8s = installation.values.get("pilot") or {}, installation.pilot_k8s
    labels = {"app": "istiod", "istio": "pilot", "istio.io/rev": installation.revision, "sidecar.istio.io/inject": "false"}
    spec: Object = {
        "serviceAccountName": name,
        "containers": [_container(installation)],
        "volumes": [
            {
                "name": "istio-token",
                "projected": {"sources": [{"serviceAccountToken": {"audience": "istio-ca", "expirationSeconds": 43200, "path": "istio-token"}}]},
            },
            {"name": "cacerts", "secret": {"secretName": "cacerts", "optional": True}},
        ],
        **{key: k8s[key] for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName") if key in k8s},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": meta["namespace"], "labels": {**meta["labels"], "istio": "pilot"}},
        "spec": {
            "replicas": int(k8s.get("replicaCount") or pilot.get("replicaCount") or 1),
            "selector": {"matchLabels": {"app": "istiod", "istio.io/rev": installation.revision}},
            "strategy": {"rollingUpdate": {"maxSurge": "100%", "maxUnavailable": "25%"}},
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {
                        "prometheus.io/port": "15014",
                        "prometheus.io/scrape": "true",
                        "sidecar.istio.io/inject": "false",
                        **(k8s.get("podAnnotations") or {}),
                    },
                },
                "spec": spec,
            },
        },
    }


def _budget(name: str, meta: Object, labels: dict[str, str]) -> Object:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": name, **meta},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": labels}},
    }


def injector(installation: Installation, service: str) -> Object:
    """The webhook that adds sidecars for the revision."""
    labels = {**base.labels(installation, "Pilot"), "app": "sidecar-injector"}
    return webhooks.injector(_route(installation, service, f"istio-sidecar-injector{installation.suffix}", labels))


def _validator(installation: Installation, service: str) -> Object:
    labels = {**base.labels(installation, "Pilot"), "app": "istiod", "istio": "istiod"}
    route = _route(installation, service, f"istio-validator{installation.suffix}-{installation.namespace}", labels)
    return webhooks.validator(route, everyone=installation.revision == webhooks.DEFAULT)


def _route(installation: Installation, service: str, name: str, labels: dict[str, str]) -> webhooks.Route:
    return webhooks.Route(name=name, labels=labels, value=installation.revision, service=service, namespace=installation.namespace)
