"""What the injector told a proxy: the arguments of `pilot-agent proxy`, its environment, and the ProxyConfig in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from varka.base import durations
from varka.base.errors import VarkaError

DEFAULT_DISCOVERY = "istiod.istio-system.svc:15012"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """One proxy's settings; field names follow ProxyConfig, times are seconds."""

    type: str
    """`sidecar` or `router`."""
    pod: str
    namespace: str
    service_account: str
    ip: str
    trust_domain: str = "cluster.local"
    domain: str = ""
    discovery_address: str = DEFAULT_DISCOVERY
    status_port: int = 15020
    admin_port: int = 15000
    concurrency: int = 2
    drain_duration: float = 45.0
    termination_drain_duration: float = 5.0
    log_level: str = "warning"
    component_log_level: str = "misc:error"
    certificate_lifetime: float = 0.0
    """What to ask the authority for; 0 leaves it to the authority."""
    app_probers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    prometheus: Mapping[str, str] = field(default_factory=dict)
    """Where the application serves metrics of its own: scrape, path, port."""
    config: Mapping[str, Any] = field(default_factory=dict)
    """The ProxyConfig as it is written."""
    environment: Mapping[str, str] = field(default_factory=dict)
    home: str = ""
    """Folder that stands before the proxy's own paths, for a proxy that has no file system of its own."""
    discovery_ip: str = ""
    """Where the control plane is, for a proxy whose name server does not know it."""

    @property
    def captures_dns(self) -> bool:
        """Whether the workload's DNS queries are answered beside the proxy."""
        return self.type == "sidecar" and self.redirected and self.environment.get("ISTIO_META_DNS_CAPTURE", "").lower() in {"true", "1"}

    @property
    def redirected(self) -> bool:
        """Whether the workload's connections come to the proxy by themselves."""
        return self.environment.get("ISTIO_META_INTERCEPTION_MODE") != "NONE"

    @property
    def discovery(self) -> tuple[str, int]:
        """Host and port of the control plane."""
        host, _, port = self.discovery_address.rpartition(":")
        return host, int(port)


def parse(arguments: list[str], environment: Mapping[str, str]) -> ProxySettings:
    """Settings from the container's arguments and environment; VarkaError names what is missing or malformed."""
    hint = "the injector sets it: compare the pod with the output of `istioctl kube-inject`"
    missing = [name for name in ("POD_NAME", "POD_NAMESPACE") if not environment.get(name)]
    if missing:
        raise VarkaError(f"the proxy's environment has no {' and no '.join(missing)}", hint)
    try:
        config = _object(environment.get("PROXY_CONFIG"))
        probers = _object(environment.get("ISTIO_KUBE_APP_PROBERS"))
        prometheus = _object(environment.get("ISTIO_PROMETHEUS_ANNOTATIONS"))
        return ProxySettings(
            type=arguments[0] if arguments and not arguments[0].startswith("-") else "sidecar",
            pod=environment["POD_NAME"],
            namespace=environment["POD_NAMESPACE"],
            service_account=environment.get("SERVICE_ACCOUNT", "default"),
            ip=environment.get("INSTANCE_IP", "127.0.0.1"),
            trust_domain=environment.get("TRUST_DOMAIN") or "cluster.local",
            domain=_flag(arguments, "domain") or f"{environment['POD_NAMESPACE']}.svc.cluster.local",
            discovery_address=str(config.get("discoveryAddress") or environment.get("CA_ADDR") or DEFAULT_DISCOVERY),
            status_port=int(config.get("statusPort") or 15020),
            admin_port=int(config.get("proxyAdminPort") or 15000),
            concurrency=int(config["concurrency"]) if config.get("concurrency") is not None else 2,
            drain_duration=durations.seconds(str(config.get("drainDuration") or "45s")),
            termination_drain_duration=durations.seconds(environment.get("TERMINATION_DRAIN_DURATION") or str(config.get("terminationDrainDuration") or "5s")),
            log_level=_flag(arguments, "proxyLogLevel") or "warning",
            component_log_level=_flag(arguments, "proxyComponentLogLevel"),
            certificate_lifetime=durations.seconds(environment.get("SECRET_TTL") or "0s"),
            app_probers=probers,
            prometheus={key: str(value) for key, value in prometheus.items()},
            config=config,
            environment=dict(environment),
        )
    except (ValueError, TypeError) as error:
        raise VarkaError(f"the proxy's settings cannot be read: {error}", hint) from error


def _object(text: str | None) -> dict[str, Any]:
    found = json.loads(text) if text else {}
    if not isinstance(found, dict):
        raise ValueError(f"expected a JSON object, found {text!r}")
    return found


def _flag(arguments: list[str], name: str) -> str:
    for index, argument in enumerate(arguments):
        if argument == f"--{name}" and index + 1 < len(arguments):
            return arguments[index + 1]
        if argument.startswith(f"--{name}="):
            return argument.partition("=")[2]
    return ""
