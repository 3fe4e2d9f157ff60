"""MeshConfig, as written in the ConfigMap `istio`, as the settings that the stages act on."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from varka.base import durations
from varka.model.view import MeshSettings

log = logging.getLogger("varka.control.mesh")


def parse(raw: Mapping[str, Any], *, cluster_domain: str = "cluster.local", root_namespace: str = "istio-system") -> MeshSettings:
    """The settings; a value that cannot be read is logged and counts as not given."""
    defaults = MeshSettings()
    tls = _mapping(raw.get("meshMTLS"))
    outbound = str(_mapping(raw.get("outboundTrafficPolicy")).get("mode") or "ALLOW_ANY")
    normalization = str(_mapping(raw.get("pathNormalization")).get("normalization") or "DEFAULT")
    retries = _mapping(raw.get("defaultHttpRetryPolicy"))
    return MeshSettings(
        trust_domain=str(raw.get("trustDomain") or defaults.trust_domain),
        trust_domain_aliases=tuple(map(str, raw.get("trustDomainAliases") or ())),
        cluster_domain=cluster_domain,
        root_namespace=str(raw.get("rootNamespace") or root_namespace),
        proxy_listen_port=_integer(raw, "proxyListenPort", defaults.proxy_listen_port),
        proxy_inbound_listen_port=_integer(raw, "proxyInboundListenPort", defaults.proxy_inbound_listen_port),
        connect_timeout=_time(raw, "connectTimeout", defaults.connect_timeout),
        protocol_detection_timeout=_time(raw, "protocolDetectionTimeout", defaults.protocol_detection_timeout),
        enable_auto_mtls=bool(raw.get("enableAutoMtls", True)),
        outbound_registry_only=outbound == "REGISTRY_ONLY",
        access_log_file=str(raw.get("accessLogFile") or ""),
        access_log_format=str(raw.get("accessLogFormat") or ""),
        access_log_json=str(raw.get("accessLogEncoding") or "TEXT") == "JSON",
        default_retries=_integer(retries, "attempts", defaults.default_retries),
        dns_refresh_rate=_time(raw, "dnsRefreshRate", defaults.dns_refresh_rate),
        tcp_keepalive="tcpKeepalive" in raw,
        h2_upgrade=str(raw.get("h2UpgradePolicy") or "") == "UPGRADE",
        ingress_service=str(raw.get("ingressService") or defaults.ingress_service),
        ingress_selector=str(raw.get("ingressSelector") or defaults.ingress_selector),
        path_normalization="BASE" if normalization == "DEFAULT" else normalization,
        min_tls_version="" if str(tls.get("minProtocolVersion") or "TLS_AUTO") == "TLS_AUTO" else str(tls["minProtocolVersion"]),
        default_export_to_service=_visibility(raw, "defaultServiceExportTo"),
        default_export_to_virtual_service=_visibility(raw, "defaultVirtualServiceExportTo"),
        default_export_to_destination_rule=_visibility(raw, "defaultDestinationRuleExportTo"),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _integer(raw: Mapping[str, Any], name: str, default: int) -> int:
    value = raw.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except (TypeError, ValueError):
        log.error("%s of the mesh configuration is no number: %r", name, value)
        return default


def _time(raw: Mapping[str, Any], name: str, default: float) -> float:
    value = raw.get(name)
    if value is None:
        return default
    try:
        return durations.seconds(str(value))
    except ValueError as error:
        log.error("%s of the mesh configuration: %s", name, error)
        return default


def _visibility(raw: Mapping[str, Any], name: str) -> frozenset[str]:
    found = raw.get(name)
    return frozenset(map(str, found)) if isinstance(found, list) and found else frozenset({"*"})
