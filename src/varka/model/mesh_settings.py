"""MeshConfig, as the ConfigMap `istio` holds it under the key `mesh`: the part that the stages act on.

Keys that Istio knows and this version does not act on, and keys that nobody knows, become conditions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import yaml

from varka.base import durations
from varka.model import extension_providers, mesh_fields, telemetry_providers
from varka.model.discovery import namespaces
from varka.model.policies import policy_conversion
from varka.model.routing import route_conversion, visibility
from varka.model.routing.route_conversion import seconds
from varka.model.view import KeepAlive, MeshSettings
from varka.resources import Condition, conditions, decoding
from varka.resources.schema import Spec
from varka.resources.traffic import destination_rules, virtual_services

S = TypeVar("S", bound=Spec)

_READ_ELSEWHERE = frozenset({"certificateTTL", "enableTracing", "defaultProviders", "enablePrometheusMerge"})
"""By telemetry_providers, the control plane's own settings, the injector and the metrics."""

_TEXTS = {
    "trustDomain": "trust_domain",
    "rootNamespace": "root_namespace",
    "accessLogFile": "access_log_file",
    "accessLogFormat": "access_log_format",
    "inboundClusterStatName": "inbound_stat_name",
    "ingressClass": "ingress_class",
    "ingressControllerMode": "ingress_controller_mode",
    "ingressSelector": "ingress_selector",
    "ingressService": "ingress_service",
    "outboundClusterStatName": "outbound_stat_name",
}
_DURATIONS = {
    "connectTimeout": "connect_timeout",
    "protocolDetectionTimeout": "protocol_detection_timeout",
    "dnsRefreshRate": "dns_refresh_rate",
}
_PORTS = {"proxyListenPort": "proxy_listen_port", "proxyInboundListenPort": "proxy_inbound_listen_port"}
_FLAGS = {"enableAutoMtls": "enable_auto_mtls", "disableEnvoyListenerLog": "disable_listener_log"}
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
    values["telemetry"], problems = telemetry_providers.settings(config)
    found += problems
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
    elif (said := mesh_fields.without_effect(key, value)) is not None:
        found.append(said)


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
    given = _read(value, "tcpKeepalive", destination_rules.TcpKeepalive, found)
    if given is not None:
        values["tcp_keepalive"] = KeepAlive(probes=given.probes or 0, time=seconds(given.time) or 0.0, interval=seconds(given.interval) or 0.0)


def _read(value: Any, key: str, kind: type[S], found: list[Condition]) -> S | None:
    """A part that resources have too, read as they are."""
    given, problems = decoding.spec(value, kind, f"mesh.{key}")
    found.extend(problems)
    return given


def _locality(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    given = _read(value, "localityLbSetting", destination_rules.LocalityLoadBalancer, found)
    if given is not None:
        values["locality"] = policy_conversion.locality(given)


def _inbound(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    mode = value.get("mode", "PASSTHROUGH") if isinstance(value, Mapping) else None
    if mode in {"PASSTHROUGH", "LOCALHOST"}:
        values["inbound_localhost"] = mode == "LOCALHOST"
    else:
        found.append(_wrong("inboundTrafficPolicy", "a map with mode PASSTHROUGH or LOCALHOST"))


def _selectors(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    try:
        values["discovery_selectors"] = namespaces.selectors(value or [])
    except ValueError as problem:
        found.append(conditions.error("mesh.discoverySelectors", str(problem), "WrongType"))


def _proxy(value: Any, _values: dict[str, Any], found: list[Condition]) -> None:
    found.extend(mesh_fields.proxy_config(value))


def _upgrade(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    if value in {"UPGRADE", "DO_NOT_UPGRADE"}:
        values["h2_upgrade"] = value == "UPGRADE"
    else:
        found.append(_wrong("h2UpgradePolicy", "UPGRADE or DO_NOT_UPGRADE"))


def _paths(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    kind = value.get("normalization", "DEFAULT") if isinstance(value, Mapping) else None
    if kind in {"DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"}:
        values["path_normalization"] = "BASE" if kind == "DEFAULT" else kind
    else:
        found.append(_wrong("pathNormalization", "a map with a known normalization"))


def _mesh_tls(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    if not isinstance(value, Mapping):
        found.append(_wrong("meshMTLS", "a map with minProtocolVersion"))
        return
    version = value.get("minProtocolVersion") or "TLS_AUTO"
    if version in {"TLS_AUTO", *_VERSIONS}:
        values["min_tls_version"] = _VERSIONS.get(version, "")
    else:
        found.append(conditions.error("mesh.meshMTLS.minProtocolVersion", "must be TLS_AUTO, TLSV1_2 or TLSV1_3", "UnsupportedValue"))
    known = {"cipherSuites": "NoEffect", "ecdhCurves": "NoEffect"}
    for key in value:
        if key in known:
            found.append(conditions.info(f"mesh.meshMTLS.{key}", "accepted, but has no effect: sidecars use Envoy's own choice", known[key]))
        elif key != "minProtocolVersion":
            found.append(conditions.warning(f"mesh.meshMTLS.{key}", "unknown setting; it is left out", "UnknownField"))


def _retries(value: Any, values: dict[str, Any], found: list[Condition]) -> None:
    given = _read(value, "defaultHttpRetryPolicy", virtual_services.HttpRetry, found)
    if given is not None:
        values["default_retry"] = route_conversion.retries(given)


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
    "localityLbSetting": _locality,
    "inboundTrafficPolicy": _inbound,
    "discoverySelectors": _selectors,
    "defaultConfig": _proxy,
}
EFFECTIVE = frozenset({*_TEXTS, *_DURATIONS, *_PORTS, *_FLAGS, *_LISTS, *_SPECIAL, *_READ_ELSEWHERE})
"""The top-level fields of MeshConfig that do something; `mesh_fields.MESH` has the others."""
