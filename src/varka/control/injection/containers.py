"""The proxy's containers and volumes, for sidecars and gateways."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from varka.client.api import Object
from varka.control.injection import options as opts
from varka.control.injection.options import Options
from varka.control.injection.owners import Workload

PROXY, INIT = "istio-proxy", "istio-init"
DEFAULT_LOG_LEVEL = "default:info"
OVERRIDE, CUSTOM = "sidecar.istio.io/bootstrapOverride", "custom-bootstrap-volume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """What the containers depend on."""

    options: Options
    namespace: str
    workload: Workload
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    config: Mapping[str, Any]
    applications: list[Object]
    native: bool = False
    user: int = opts.PROXY_USER
    group: int = opts.PROXY_USER
    probers: Mapping[str, Any] = field(default_factory=dict)
    scrape: Mapping[str, str] = field(default_factory=dict)
    bootstrap: str = ""
    """What is merged into Envoy's bootstrap, as JSON."""

    @property
    def interception(self) -> str:
        return str(self.annotations.get("sidecar.istio.io/interceptionMode") or self.config.get("interceptionMode") or "REDIRECT")

    @property
    def status_port(self) -> str:
        return str(self.annotations.get("status.sidecar.istio.io/port", self.options.proxy_setting("statusPort", opts.STATUS_PORT)))

    @property
    def hold(self) -> bool:
        found = self.config.get("holdApplicationUntilProxyStarts", self.options.proxy_setting("holdApplicationUntilProxyStarts", False))
        return bool(found)

    @property
    def image(self) -> str:
        return self.image_of("proxy")

    def image_of(self, kind: str) -> str:
        """The image of the proxy or of `proxy_init`; the annotation counts where it names a registry."""
        wanted = self.annotations.get("sidecar.istio.io/proxyImage", "")
        return wanted if "/" in wanted else self.options.image(kind, self.image_type)

    @property
    def binds_low_ports(self) -> bool:
        default = self.options.proxy_setting("capNetBindService", "")
        return str(self.annotations.get("sidecar.istio.io/capNetBindService", default)).lower() == "true"

    @property
    def image_type(self) -> str:
        image = self.config.get("image")
        of_config = str(image.get("imageType") or "") if isinstance(image, Mapping) else ""
        return self.annotations.get("sidecar.istio.io/proxyImageType") or of_config


def sidecar(pod: Pod) -> Object:
    """`istio-proxy` beside an application."""
    arguments = ["proxy", "sidecar", *_common_arguments(pod)]
    extra: Object = {}
    if pod.native:
        extra["restartPolicy"] = "Always"
        extra["lifecycle"] = {"preStop": {"exec": {"command": ["pilot-agent", "request", f"--debug-port={pod.status_port}", "POST", "drain"]}}}
    elif pod.hold:
        extra["lifecycle"] = {"postStart": {"exec": {"command": ["pilot-agent", "wait"]}}}
    if pod.options.proxy_setting("lifecycle"):
        extra["lifecycle"] = pod.options.proxy_setting("lifecycle")
    privileged = bool(pod.options.proxy_setting("privileged", False))
    transparent = pod.interception == "TPROXY"
    added = [*(["NET_ADMIN"] if transparent else []), *(["NET_BIND_SERVICE"] if pod.binds_low_ports else [])]
    security = {
        "allowPrivilegeEscalation": privileged,
        "capabilities": {**({"add": added} if added else {}), "drop": ["ALL"]},
        "privileged": privileged,
        "readOnlyRootFilesystem": pod.annotations.get("sidecar.istio.io/enableCoreDump") != "true",
        "runAsGroup": pod.group,
        "runAsNonRoot": not added,
        "runAsUser": 0 if added else pod.user,
    }
    return {
        "name": PROXY,
        "image": pod.image,
        **_pull_policy(pod),
        "ports": [{"containerPort": opts.PROMETHEUS_PORT, "name": "http-envoy-prom", "protocol": "TCP"}],
        "args": arguments,
        **extra,
        "env": _environment(pod, router=False),
        **_probes(pod),
        "securityContext": security,
        "resources": resources(pod),
        "volumeMounts": _mounts(pod),
    }


def gateway(pod: Pod) -> Object:
    """`istio-proxy` as a gateway of its own."""
    threshold = pod.options.proxy_setting("readinessFailureThreshold", 4)
    return {
        "name": PROXY,
        "image": pod.image,
        **_pull_policy(pod),
        "ports": [{"containerPort": opts.PROMETHEUS_PORT, "name": "http-envoy-prom", "protocol": "TCP"}],
        "args": ["proxy", "router", *_common_arguments(pod)],
        "env": _environment(pod, router=True),
        "readinessProbe": {
            "failureThreshold": threshold,
            "httpGet": {"path": "/healthz/ready", "port": opts.READY_PORT},
            "periodSeconds": 15,
            "timeoutSeconds": 3,
        },
        "startupProbe": _probes(pod)["startupProbe"],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
            "runAsGroup": opts.PROXY_USER,
            "runAsNonRoot": True,
            "runAsUser": opts.PROXY_USER,
        },
        "resources": dict(pod.options.default_resources),
        "volumeMounts": _mounts(pod),
    }


def initialiser(pod: Pod) -> Object:
    """`istio-init`, which redirects the pod's traffic to the proxy."""
    privileged = bool(pod.options.proxy_setting("privileged", False))
    return {
        "name": INIT,
        "image": pod.image_of("proxy_init"),
        **_pull_policy(pod),
        "args": _redirection(pod),
        **_init_environment(pod),
        "resources": resources(pod),
        "securityContext": {
            "allowPrivilegeEscalation": privileged,
            "capabilities": {"add": ["NET_ADMIN", "NET_RAW"], "drop": ["ALL"]},
            "privileged": privileged,
            "readOnlyRootFilesystem": False,
            "runAsGroup": 0,
            "runAsNonRoot": False,
            "runAsUser": 0,
        },
    }


def _init_environment(pod: Pod) -> Object:
    """`proxyMetadata`: whether DNS is captured concerns the redirection too."""
    given = pod.config.get("proxyMetadata") or {}
    return {"env": [_text(name, str(value)) for name, value in sorted(given.items())]} if given else {}


def volumes(pod: Pod) -> list[Object]:
    """What the proxy mounts."""
    labels = [{"path": name, "fieldRef": {"fieldPath": f"metadata.{name}"}} for name in ("labels", "annotations")]
    token = {"serviceAccountToken": {"path": "istio-token", "expirationSeconds": 43200, "audience": "istio-ca"}}
    return [
        {"name": "workload-socket", "emptyDir": {}},
        {"name": "credential-socket", "emptyDir": {}},
        {"name": "workload-certs", "emptyDir": {}},
        {"name": "istio-envoy", "emptyDir": {"medium": "Memory"}},
        {"name": "istio-data", "emptyDir": {}},
        {"name": "istio-podinfo", "downwardAPI": {"items": labels}},
        {"name": "istio-token", "projected": {"sources": [token]}},
        {"name": "istiod-ca-cert", "configMap": {"name": "istio-ca-root-cert"}},
        {"name": "istio-ca-crl", "configMap": {"name": "istio-ca-crl", "optional": True}},
        *([{"name": CUSTOM, "configMap": {"name": pod.annotations[OVERRIDE]}}] if pod.annotations.get(OVERRIDE) else []),
        *_user_list(pod.annotations.get("sidecar.istio.io/userVolume")),
    ]


def _mounts(pod: Pod) -> list[Object]:
    places = {
        "workload-socket": "/var/run/secrets/workload-spiffe-uds",
        "credential-socket": "/var/run/secrets/credential-uds",
        "workload-certs": "/var/run/secrets/workload-spiffe-credentials",
        "istiod-ca-cert": "/var/run/secrets/istio",
        "istio-ca-crl": "/var/run/secrets/istio/crl",
        "istio-data": "/var/lib/istio/data",
        "istio-envoy": "/etc/istio/proxy",
        "istio-token": "/var/run/secrets/tokens",
        "istio-podinfo": "/etc/istio/pod",
    }
    if pod.annotations.get(OVERRIDE):
        places[CUSTOM] = "/etc/istio/custom-bootstrap"
    return [*({"name": name, "mountPath": path} for name, path in places.items()), *_user_list(pod.annotations.get("sidecar.istio.io/userVolumeMount"))]


def _user_list(text: str | None) -> list[Object]:
    """`{"name": {…}}` or a list, as the annotations for further volumes are written; anything else is left out."""
    try:
        found = json.loads(text) if text else []
    except ValueError:
        return []
    if isinstance(found, dict):
        return [{"name": name, **body} for name, body in found.items() if isinstance(body, dict)]
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _common_arguments(pod: Pod) -> list[str]:
    options = pod.options
    level = pod.annotations.get("sidecar.istio.io/logLevel") or options.proxy_setting("logLevel", "warning")
    components = pod.annotations.get("sidecar.istio.io/componentLogLevel") or options.proxy_setting("componentLogLevel", "misc:error")
    agent = pod.annotations.get("sidecar.istio.io/agentLogLevel") or options.setting("global", "logging", "level", default=DEFAULT_LOG_LEVEL)
    found = ["--domain", f"$(POD_NAMESPACE).svc.{options.cluster_domain}", f"--proxyLogLevel={level}"]
    if components:
        found.append(f"--proxyComponentLogLevel={components}")
    return [*found, f"--log_output_level={agent}"]


def _pull_policy(pod: Pod) -> Object:
    policy = pod.options.setting("global", "imagePullPolicy", default="")
    return {"imagePullPolicy": policy} if policy else {}


def _probes(pod: Pod) -> Object:
    options = pod.options
    if pod.status_port == "0":
        return {}
    probe = {"httpGet": {"path": "/healthz/ready", "port": opts.READY_PORT}}
    threshold = int(options.setting("global", "proxy", "startupProbe", "failureThreshold", default=600))
    ready: Object = {
        **probe,
        "failureThreshold": int(
            pod.annotations.get("readiness.status.sidecar.istio.io/failureThreshold") or options.proxy_setting("readinessFailureThreshold", 4)
        ),
        "periodSeconds": int(pod.annotations.get("readiness.status.sidecar.istio.io/periodSeconds") or options.proxy_setting("readinessPeriodSeconds", 15)),
        "timeoutSeconds": 3,
    }
    delay = int(pod.annotations.get("readiness.status.sidecar.istio.io/initialDelaySeconds") or options.proxy_setting("readinessInitialDelaySeconds", 0))
    if delay:
        ready["initialDelaySeconds"] = delay
    start = {**probe, "failureThreshold": threshold, "periodSeconds": 1, "timeoutSeconds": 3}
    return {"readinessProbe": ready, "startupProbe": start}


def resources(pod: Pod) -> Object:
    """From the four annotations when there is any, else the installation's."""
    names = {
        ("requests", "cpu"): "sidecar.istio.io/proxyCPU",
        ("requests", "memory"): "sidecar.istio.io/proxyMemory",
        ("limits", "cpu"): "sidecar.istio.io/proxyCPULimit",
        ("limits", "memory"): "sidecar.istio.io/proxyMemoryLimit",
    }
    found: Object = {}
    for (kind, what), name in names.items():
        if pod.annotations.get(name):
            found.setdefault(kind, {})[what] = pod.annotations[name]
    return found or dict(pod.options.default_resources)


def _redirection(pod: Pod) -> list[str]:
    """Arguments of `istio-iptables`."""
    options, annotations = pod.options, pod.annotations

    def given(name: str, default: str) -> str:
        return str(annotations.get(f"traffic.sidecar.istio.io/{name}", default))

    excluded = [str(port) for port in (opts.PROMETHEUS_PORT, opts.READY_PORT)]
    excluded += [part for part in given("excludeInboundPorts", str(options.proxy_setting("excludeInboundPorts", ""))).split(",") if part]
    if pod.status_port != "0":
        excluded.append(pod.status_port)
    arguments = [
        "istio-iptables",
        *("-p", str(options.mesh.get("proxyListenPort") or opts.OUTBOUND_PORT)),
        *("-z", str(options.mesh.get("proxyInboundListenPort") or opts.INBOUND_PORT)),
        *("-u", str(pod.user)),
        *("-m", pod.interception),
        *("-i", given("includeOutboundIPRanges", str(options.proxy_setting("includeIPRanges", "*")))),
        *("-x", given("excludeOutboundIPRanges", str(options.proxy_setting("excludeIPRanges", "")))),
        *("-b", given("includeInboundPorts", str(options.proxy_setting("includeInboundPorts", "*")))),
        *("-d", ",".join(excluded)),
    ]
    outbound = given("includeOutboundPorts", str(options.proxy_setting("includeOutboundPorts", "")))
    if outbound:
        arguments += ["-q", outbound]
    not_outbound = given("excludeOutboundPorts", str(options.proxy_setting("excludeOutboundPorts", "")))
    if not_outbound:
        arguments += ["-o", not_outbound]
    interfaces = annotations.get("istio.io/reroute-virtual-interfaces") or annotations.get("traffic.sidecar.istio.io/kubevirtInterfaces")
    if interfaces:
        arguments += ["-k", interfaces]
    if annotations.get("traffic.sidecar.istio.io/excludeInterfaces"):
        arguments += ["-c", annotations["traffic.sidecar.istio.io/excludeInterfaces"]]
    return [*arguments, f"--log_output_level={options.setting('global', 'logging', 'level', default=DEFAULT_LOG_LEVEL)}"]


def _environment(pod: Pod, *, router: bool) -> list[Object]:
    options = pod.options
    address = options.setting("global", "caAddress", default="") or options.discovery_address
    found = [
        _text("PILOT_CERT_PROVIDER", options.setting("global", "pilotCertProvider", default="istiod")),
        _text("CA_ADDR", address),
        _field("POD_NAME", "metadata.name"),
        _field("POD_NAMESPACE", "metadata.namespace"),
        _field("INSTANCE_IP", "status.podIP"),
        _field("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        _field("HOST_IP", "status.hostIP"),
        _resource("ISTIO_CPU_LIMIT", "limits.cpu"),
        _text("PROXY_CONFIG", json.dumps(opts.written_config(pod.config), sort_keys=True, separators=(",", ":")) + "\n"),
        _text("ISTIO_META_POD_PORTS", _ports(pod.applications)),
        _text("ISTIO_META_APP_CONTAINERS", ",".join(one["name"] for one in pod.applications)),
        _resource("GOMEMLIMIT", "limits.memory"),
        _resource("GOMAXPROCS", "limits.cpu"),
        _text("ISTIO_META_CLUSTER_ID", options.cluster_id),
        _field("ISTIO_META_NODE_NAME", "spec.nodeName"),
        _text("ISTIO_META_INTERCEPTION_MODE", pod.interception),
    ]
    network = pod.labels.get("topology.istio.io/network") or options.setting("global", "network", default="")
    if network:
        found.append(_text("ISTIO_META_NETWORK", network))
    found.append(_text("ISTIO_META_WORKLOAD_NAME", pod.labels.get("service.istio.io/workload-name") or pod.workload.name))
    found.append(_text("ISTIO_META_OWNER", pod.workload.uri(pod.namespace)))
    if pod.bootstrap:
        found.append(_text("ISTIO_BOOTSTRAP_PATCH", pod.bootstrap))
    if pod.annotations.get(OVERRIDE):
        found.append(_text("ISTIO_BOOTSTRAP_OVERRIDE", "/etc/istio/custom-bootstrap/custom_bootstrap.json"))
    found += [_text("ISTIO_META_MESH_ID", options.mesh_id), _text("TRUST_DOMAIN", options.trust_domain)]
    found += [_text(name, str(value)) for name, value in sorted((pod.config.get("proxyMetadata") or {}).items())]
    if pod.probers and not router:
        found.append(_text("ISTIO_KUBE_APP_PROBERS", json.dumps(pod.probers, separators=(",", ":"))))
    if pod.scrape:
        found.append(_text("ISTIO_PROMETHEUS_ANNOTATIONS", json.dumps(pod.scrape, separators=(",", ":"))))
    return found


def _ports(applications: list[Object]) -> str:
    rows = []
    for container in applications:
        for port in container.get("ports") or []:
            row = {key: port[key] for key in ("name", "hostPort", "containerPort", "protocol", "hostIP") if key in port}
            rows.append(json.dumps(row, separators=(",", ":")))
    return "[\n" + "".join(f"    {',' if number else ''}{row}\n" for number, row in enumerate(rows)) + "]"


def _text(name: str, value: object) -> Object:
    return {"name": name, "value": str(value)}


def _field(name: str, path: str) -> Object:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}


def _resource(name: str, resource: str) -> Object:
    return {"name": name, "valueFrom": {"resourceFieldRef": {"resource": resource, "divisor": "0"}}}
