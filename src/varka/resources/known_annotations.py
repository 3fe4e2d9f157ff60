"""The annotations that Istio knows: on which kinds each has a meaning, which are deprecated, and which values it takes."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping

import yaml
from msgspec import Struct

ANY = "Any"
SUFFIX = "istio.io"
INJECT = "sidecar.istio.io/inject"


class Annotation(Struct, frozen=True, kw_only=True):
    """`check` raises ValueError with the reason when a value cannot be used."""

    kinds: tuple[str, ...]
    deprecated: bool = False
    check: Callable[[str], None] | None = None


def ours(name: str) -> bool:
    """Whether an annotation is Istio's to define, known or not."""
    return name == "kubernetes.io/ingress.class" or name.partition("/")[0].endswith(SUFFIX)


def _mode(value: str) -> None:
    if value not in {"REDIRECT", "TPROXY", "NONE"}:
        raise ValueError(f"interceptionMode {value!r} is unknown; use REDIRECT, TPROXY or NONE")


def _number(bits: int) -> Callable[[str], None]:
    def check(value: str) -> None:
        if not (value.isascii() and value.isdigit() and int(value) < 1 << bits):
            raise ValueError(f"{value!r} is no number from 0 to {(1 << bits) - 1}")

    return check


_port = _number(16)


def _flag(value: str) -> None:
    if value not in {"1", "t", "T", "TRUE", "true", "True", "0", "f", "F", "FALSE", "false", "False"}:
        raise ValueError(f"{value!r} is neither true nor false")


def _ports(value: str) -> None:
    for item in filter(None, (part.strip() for part in value.split(","))):
        _port(item)


def _ranges(value: str) -> None:
    for item in filter(None, (part.strip() for part in value.split(","))):
        try:
            address, slash, _ = item.partition("/")
            ipaddress.ip_address(address)
            ipaddress.ip_network(item, strict=False)
        except ValueError as error:
            raise ValueError(f"{item!r} is no IP range in CIDR form") from error
        if not slash:
            raise ValueError(f"{item!r} is no IP range in CIDR form; write {item}/32 for one address")


def _or_all(check: Callable[[str], None]) -> Callable[[str], None]:
    return lambda value: None if value == "*" else check(value)


def _proxy_config(value: str) -> None:
    try:
        found = yaml.load(value, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506
    except yaml.YAMLError as error:
        raise ValueError(f"is no YAML: {' '.join(str(error).split())}") from error
    if found is not None and not isinstance(found, Mapping):
        raise ValueError("must be a map of fields of ProxyConfig")


_POD = ("Pod",)
_SERVICE = ("Service",)
_ENTRY = ("WorkloadEntry",)
_GATEWAY = ("Gateway",)
_CHECKS: Mapping[str, Callable[[str], None]] = {
    "prometheus.istio.io/merge-metrics": _flag,
    "proxy.istio.io/config": _proxy_config,
    "readiness.status.sidecar.istio.io/failureThreshold": _number(32),
    "readiness.status.sidecar.istio.io/initialDelaySeconds": _number(32),
    "readiness.status.sidecar.istio.io/periodSeconds": _number(32),
    "sidecar.istio.io/interceptionMode": _mode,
    "status.sidecar.istio.io/port": _port,
    "traffic.sidecar.istio.io/excludeInboundPorts": _ports,
    "traffic.sidecar.istio.io/excludeOutboundIPRanges": _ranges,
    "traffic.sidecar.istio.io/excludeOutboundPorts": _ports,
    "traffic.sidecar.istio.io/includeInboundPorts": _or_all(_ports),
    "traffic.sidecar.istio.io/includeOutboundIPRanges": _or_all(_ranges),
}
_PODS = (
    *_CHECKS,
    "ambient.istio.io/bypass-inbound-capture",
    "ambient.istio.io/redirection",
    "inject.istio.io/templates",
    "istio.io/rev",
    "istio.io/reroute-virtual-interfaces",
    "proxy.istio.io/overrides",
    "readiness.status.sidecar.istio.io/applicationPorts",
    "sidecar.istio.io/agentLogLevel",
    "sidecar.istio.io/bootstrapOverride",
    "sidecar.istio.io/componentLogLevel",
    "sidecar.istio.io/discoveryAddress",
    "sidecar.istio.io/enableCoreDump",
    "sidecar.istio.io/extraStatTags",
    INJECT,
    "sidecar.istio.io/logLevel",
    "sidecar.istio.io/nativeSidecar",
    "sidecar.istio.io/proxyCPU",
    "sidecar.istio.io/proxyCPULimit",
    "sidecar.istio.io/proxyImage",
    "sidecar.istio.io/proxyImageType",
    "sidecar.istio.io/proxyMemory",
    "sidecar.istio.io/proxyMemoryLimit",
    "sidecar.istio.io/rewriteAppHTTPProbers",
    "sidecar.istio.io/statsCompression",
    "sidecar.istio.io/statsEvictionInterval",
    "sidecar.istio.io/statsHistogramBuckets",
    "sidecar.istio.io/statsInclusionPrefixes",
    "sidecar.istio.io/statsInclusionRegexps",
    "sidecar.istio.io/statsInclusionSuffixes",
    "sidecar.istio.io/status",
    "sidecar.istio.io/userVolume",
    "sidecar.istio.io/userVolumeMount",
    "traffic.sidecar.istio.io/excludeInterfaces",
    "traffic.sidecar.istio.io/includeOutboundPorts",
    "traffic.sidecar.istio.io/kubevirtInterfaces",
)
_OTHERS: Mapping[str, tuple[str, ...]] = {
    "alpha.istio.io/canonical-serviceaccounts": _SERVICE,
    "alpha.istio.io/kubernetes-serviceaccounts": _SERVICE,
    "ambient.istio.io/dns-capture": ("Pod", "Namespace"),
    "ambient.istio.io/waypoint-inbound-binding": ("GatewayClass", "Gateway"),
    "galley.istio.io/analyze-suppress": (ANY,),
    "gateway.istio.io/controller-version": (ANY,),
    "gateway.istio.io/name-override": _GATEWAY,
    "gateway.istio.io/service-account": _GATEWAY,
    "gateway.istio.io/tls-cipher-suites": _GATEWAY,
    "gateway.istio.io/tls-terminate-mode": _GATEWAY,
    "internal.istio.io/parents": (ANY,),
    "istio.io/autoRegistrationGroup": _ENTRY,
    "istio.io/connectedAt": _ENTRY,
    "istio.io/disconnectedAt": _ENTRY,
    "istio.io/dry-run": ("AuthorizationPolicy",),
    "istio.io/workloadController": _ENTRY,
    "kubernetes.io/ingress.class": ("Ingress",),
    "networking.istio.io/address-type": _GATEWAY,
    "networking.istio.io/exportTo": _SERVICE,
    "networking.istio.io/service-type": _GATEWAY,
    "networking.istio.io/traffic-distribution": ("Service", "ServiceEntry", "Namespace"),
    "topology.istio.io/controlPlaneClusters": ("Namespace",),
    "traffic.istio.io/nodeSelector": _SERVICE,
}
_DEPRECATED = frozenset(
    {
        "alpha.istio.io/canonical-serviceaccounts",
        "alpha.istio.io/kubernetes-serviceaccounts",
        "sidecar.istio.io/discoveryAddress",
        "sidecar.istio.io/extraStatTags",
        INJECT,
        "sidecar.istio.io/statsInclusionPrefixes",
        "sidecar.istio.io/statsInclusionRegexps",
        "sidecar.istio.io/statsInclusionSuffixes",
    }
)
KNOWN: Mapping[str, Annotation] = {
    name: Annotation(kinds=kinds, deprecated=name in _DEPRECATED, check=_CHECKS.get(name))
    for name, kinds in sorted([*((name, _POD) for name in _PODS), *_OTHERS.items()])
}
"""By name."""
