"""MeshConfig, as the ConfigMap `istio` holds it under the key `mesh`: the part that the stages act on.

Keys that Istio knows and this version does not act on, and keys that nobody knows, become conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from varka.base import durations
from varka.model import extension_providers
from varka.model.routing import visibility
from varka.model.view import MeshSettings
from varka.resources import Condition, conditions

_NOT_ACTED_ON = frozenset(
    {
        "ambientGateways",
        "ca",
        "caCertificates",
        "certificates",
        "configSources",
        "defaultProviders",
        "disableEnvoyListenerLog",
        "discoverySelectors",
        "enableEnvoyAccessLogService",
        "enablePrometheusMerge",
        "enableTracing",
        "hboneSettings",
        "inboundClusterStatName",
        "inboundTrafficPolicy",
        "ingressClass",
        "ingressControllerMode",
        "localityLbSetting",
        "networks",
        "outboundClusterStatName",
        "proxyHttpPort",
        "serverSideHttpPolicy",
        "serviceScopeConfigs",
        "serviceSettings",
        "statsEviction",
        "tlsDefaults",
        "verifyCertificateAtClient",
        "xdsConfigSources",
    }
)
_READ_ELSEWHERE = frozenset({"certificateTTL", "defaultConfig", "enableTracing", "defaultProviders", "enablePrometheusMerge"})
"""By the control plane's own settings, the injector and the metrics."""

_TEXTS = {
    "trustDomain": "trust_domain",
    "rootNamespace": "root_namespace",
    "accessLogFile": "access_log_file",
    "accessLogFormat": "access_log_format",
    "ingressService": "ingress_service",
    "ingressSelector": "ingress_selector",
}
_DURATIONS = {
    "connectTimeout": "connect_timeout",
    "protocolDetectionTimeout": "protocol_detection_timeout",
    "dnsRefreshRate": "dns_refresh_rate",
}
_PORTS = {"proxyListenPort": "proxy_listen_port", "proxyInboundListenPort": "proxy_inbound_listen_port"}
_FLAGS = {"enableAutoMtls": "enable_auto_mtls"}
_LISTS = {
    "defaultServiceExportTo": "default_export_to_service",
    "defaultVirtualServiceExportTo": "default_export_to_virtual_service",
    "defaultDestinationRuleExportTo": "default_export_to_destination_rule",
}
_VERSIONS = {"TLSV1_2": "TLSV1_2", "TLSV1_3": "TLSV1_3"}


def parse(config_map: Mapping[str, Any] | None, cluster_domain: str = "cluster.local") -> tuple[MeshSettings, tuple[Condition, ...]]:
    """The settings in a ConfigMap; malformed values count as absent and leave a condition."""
    data = (config_map or {}).get("data")
    text = data.get("mesh") if isinstance(data, Mapping) else None
    try:
        found = yaml.load(text or "", Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as problem:
        return MeshSettings(cluster_domain=cluster_domain), (conditions.error("data.mesh", f"is no YAML: {problem}".replace("\n", " "), "NoYaml"),)
    if found is None:
        return MeshSettings(cluster_domain=cluster_domain), ()
    if not isinstance(found, Mapping):
        return MeshSettings(cluster_domain=cluster_domain), (conditions.error("data.mesh", "must be a map of settings", "WrongType"),)
    return of(found, cluster_domain)


def of(config: Mapping[str, Any], cluster_domain: str = "cluster.local") -> tuple[MeshSettings, tuple[Condition, ...]]:
    """The settings in a MeshConfig that is read already."""
    values: dict[str, Any] = {"cluster_domain": cluster_domain}
    found: list[Condition] = []
    for key, value in config.items():
        _one(str(key), value, values, found)
    return MeshSettings(**values), tuple(found)


def _one(key: str, value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    if key in _TEXTS:
        _take(key, _TEXTS[key], value, str, values, found)
    elif key in _PORTS:
        _take(key, _PORTS[key], value, int, values, found)
    elif key in _FLAGS:
        _take(key, _FLAGS[key], value, bool, values, found)
    elif key in _DURATIONS:
        _duration(key, value, values, found)
    elif key in _LISTS:
        if _is_texts(value):
            values[_LISTS[key]] = frozenset(value) or visibility.PUBLIC
        else:
            found.append(_wrong(key, "a list of namespaces"))
    elif key in _SPECIAL:
        _SPECIAL[key](value, values, found)
    elif key in _READ_ELSEWHERE:
        return
    elif key in _NOT_ACTED_ON:
        found.append(conditions.info(f"mesh.{key}", f"accepted, but {key} is not acted on yet", "NotActedOn"))
    else:
        found.append(conditions.warning(f"mesh.{key}", "unknown setting; it is left out", "UnknownField"))


def _take(key: str, name: str, value: Any, kind: type, values: dict[str, Any], found: list[Condition]) -> None:
    if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        values[name] = value
    elif value is not None:
        found.append(_wrong(key, {str: "a text", int: "a number", bool: "true or false"}[kind]))


def _duration(key: str, value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    try:
        values[_DURATIONS[key]] = durations.seconds(str(value))
    except ValueError as problem:
        found.append(conditions.error(f"mesh.{key}", str(problem), "WrongType"))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _wrong(key: str, wanted: str) -> Condition:
    return conditions.error(f"mesh.{key}", f"must be {wanted}", "WrongType")


def _aliases(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    if _is_texts(value):
        values["trust_domain_aliases"] = tuple(value)
    else:
        found.append(_wrong("trustDomainAliases", "a list of trust domains"))


def _outbound(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    mode = value.get("mode", "ALLOW_ANY") if isinstance(value, Mapping) else None
    if mode in {"ALLOW_ANY", "REGISTRY_ONLY"}:
        values["outbound_registry_only"] = mode == "REGISTRY_ONLY"
    else:
        found.append(_wrong("outboundTrafficPolicy", "a map with mode ALLOW_ANY or REGISTRY_ONLY"))


def _encoding(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    if value in {"TEXT", "JSON"}:
        values["access_log_json"] = value == "JSON"
    else:
        found.append(_wrong("accessLogEncoding", "TEXT or JSON"))


def _keepalive(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    values["tcp_keepalive"] = value is not None


def _upgrade(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    values["h2_upgrade"] = value == "UPGRADE"


def _paths(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    kind = value.get("normalization", "DEFAULT") if isinstance(value, Mapping) else None
    if kind in {"DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}:
        values["path_normalization"] = "BASE" if kind == "DEFAULT" else kind
    else:
        found.append(_wrong("pathNormalization", "a map with a known normalization"))


def _mesh_tls(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    version = value.get("minProtocolVersion") if isinstance(value, Mapping) else None
    values["min_tls_version"] = _VERSIONS.get(version or "", "")


def _retries(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    attempts = value.get("attempts") if isinstance(value, Mapping) else None
    if isinstance(attempts, int):
        values["default_retries"] = attempts


def _providers(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    values["authorizers"], problems = extension_providers.authorizers(value)
    found.extend(problems)


_SPECIAL = {
    "extensionProviders": _providers,
    "trustDomainAliases": _aliases,
    "outboundTrafficPolicy": _outbound,
    "accessLogEncoding": _encoding,
    "tcpKeepalive": _keepalive,
    "h2UpgradePolicy": _upgrade,
    "pathNormalization": _paths,
    "meshMTLS": _mesh_tls,
    "defaultHttpRetryPolicy": _retries,
}
