"""The fields of MeshConfig and ProxyConfig that are accepted and have no effect here, each with the reason; and all that are known.

What is in none of these tables is nobody's field: a typing mistake, most likely.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varka.resources import Condition, conditions

_SIDECARS = "it concerns meshes without sidecars"
_ELSEWHERE = "certificates are signed by the control plane's own authority"
_ONE = "there is one cluster and one network"

MESH: Mapping[str, str] = {
    "ambientGateways": _SIDECARS,
    "ca": _ELSEWHERE,
    "caCertificates": "only the mesh's own authority is trusted",
    "certificates": _ELSEWHERE,
    "configSources": "configuration is read from the API server",
    "enableEnvoyAccessLogService": "access logs go to files and to OpenTelemetry",
    "hboneSettings": _SIDECARS,
    "networks": _ONE,
    "proxyHttpPort": "traffic is redirected; no proxy port is opened",
    "serviceScopeConfigs": _SIDECARS,
    "serviceSettings": _ONE,
    "statsEviction": "statistics are kept for as long as Envoy runs",
    "tlsDefaults": "Gateways and DestinationRules say it themselves",
    "verifyCertificateAtClient": "certificates are verified with the CA that a DestinationRule names",
    "xdsConfigSources": "configuration is read from the API server",
}
"""Top-level fields of MeshConfig without effect."""

PROXY_EFFECTIVE = frozenset(
    {
        "concurrency",
        "discoveryAddress",
        "drainDuration",
        "environmentVariables",
        "fileFlushInterval",
        "fileFlushMinSizeKb",
        "gatewayTopology",
        "holdApplicationUntilProxyStarts",
        "image",
        "interceptionMode",
        "proxyAdminPort",
        "proxyMetadata",
        "proxyStatsMatcher",
        "runtimeValues",
        "statusPort",
        "terminationDrainDuration",
        "tracing",
    }
)
PROXY: Mapping[str, str] = {
    "availabilityZone": "the locality comes from the node's labels",
    "binaryPath": "Envoy is found by the agent",
    "caCertificatesPem": "only the mesh's own authority is trusted",
    "controlPlaneAuthPolicy": "the control plane is always asked over mutual TLS",
    "configPath": "the agent decides where the bootstrap is",
    "customConfigFile": "use the annotation sidecar.istio.io/bootstrapOverride or an EnvoyFilter for BOOTSTRAP",
    "envoyAccessLogService": "access logs go to files and to OpenTelemetry",
    "envoyMetricsService": "metrics are served to Prometheus",
    "envoyMetricsServiceAddress": "metrics are served to Prometheus",
    "extraStatTags": "add tags to metrics with a Telemetry resource",
    "meshId": "the mesh's id is its trust domain",
    "privateKeyProvider": "keys are made and kept by the agent",
    "proxyBootstrapTemplatePath": "use the annotation sidecar.istio.io/bootstrapOverride or an EnvoyFilter for BOOTSTRAP",
    "proxyHeaders": "use an EnvoyFilter for NETWORK_FILTER",
    "readinessProbe": "the proxy's own readiness is asked for",
    "serviceCluster": "the cluster name in Envoy's node is the workload's canonical service",
    "statNameLength": "Envoy has no limit for the length of names any more",
    "statsdUdpAddress": "metrics are served to Prometheus",
    "zipkinAddress": "use tracing",
}
"""Fields of ProxyConfig without effect."""

_DEFAULTS: Mapping[str, Any] = {
    "binaryPath": "/usr/local/bin/envoy",
    "configPath": "./etc/istio/proxy",
    "controlPlaneAuthPolicy": "MUTUAL_TLS",
    "serviceCluster": "istio-proxy",
    "statNameLength": 189,
}
"""Said as every installation has it: nobody asked for anything."""


def without_effect(key: str, value: Any) -> Condition | None:
    """What to say of a top-level field that no stage reads; None when it says nothing but the default."""
    return _said(f"mesh.{key}", key, value, MESH)


def proxy_config(given: Any, path: str = "mesh.defaultConfig") -> list[Condition]:
    """What to say of the fields of a ProxyConfig."""
    if not isinstance(given, Mapping):
        return [conditions.error(path, "must be a ProxyConfig", "WrongType")] if given is not None else []
    found = [_said(f"{path}.{key}", str(key), value, PROXY) for key, value in given.items() if key not in PROXY_EFFECTIVE]
    topology = given.get("gatewayTopology")
    if isinstance(topology, Mapping):
        known = {"numTrustedProxies", "forwardClientCertDetails", "proxyProtocol"}
        found += [
            conditions.warning(f"{path}.gatewayTopology.{key}", "unknown setting; it is left out", "UnknownField") for key in topology if key not in known
        ]
    return [item for item in found if item is not None]


def _said(path: str, key: str, value: Any, reasons: Mapping[str, str]) -> Condition | None:
    if key not in reasons:
        return conditions.warning(path, "unknown setting; it is left out", "UnknownField")
    if value in (None, {}, [], "", False) or _DEFAULTS.get(key) == value:
        return None
    return conditions.info(path, f"accepted, but has no effect: {reasons[key]}", "NoEffect")
