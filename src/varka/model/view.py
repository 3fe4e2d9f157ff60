"""What one proxy may see of the mesh: the only input of the `envoy` stage.

A view holds what Sidecar scope, exportTo and selectors leave. Proxies of equal scope share the very same
`OutboundView` object, and parts that did not change between two snapshots are the same objects in both: that
identity is what later stages key their caches on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from varka.model import patches
from varka.model.patches import Extensions
from varka.model.security import AuthorizationPolicy, Authorizer, JwtRule, MutualTls
from varka.model.services import Endpoint, Hostname, Service, ServicePort
from varka.model.traffic import DestinationRule, GatewayServer, VirtualService


class ProxyType(StrEnum):
    SIDECAR = "sidecar"
    ROUTER = "router"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """One Envoy: what its node ID and metadata say of it.

    The node ID is `type~ip~pod.namespace~namespace.svc.cluster.local`.
    """

    id: str
    type: ProxyType
    name: str
    """Pod name."""
    namespace: str
    ip: str
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    workload: str = ""
    owner: str = ""
    dns_domain: str = ""
    locality: str = ""
    network: str = ""
    cluster_id: str = "Kubernetes"
    revision: str = "default"
    istio_version: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """The part of MeshConfig (ConfigMap `istio`) that the stages act on; field names follow MeshConfig, times in seconds."""

    trust_domain: str = "cluster.local"
    trust_domain_aliases: tuple[str, ...] = ()
    cluster_domain: str = "cluster.local"
    root_namespace: str = "istio-system"
    proxy_listen_port: int = 15001
    proxy_inbound_listen_port: int = 15006
    connect_timeout: float = 10.0
    protocol_detection_timeout: float = 0.0
    enable_auto_mtls: bool = True
    outbound_registry_only: bool = False
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_json: bool = False
    default_retries: int = 2
    dns_refresh_rate: float = 60.0
    tcp_keepalive: bool = False
    h2_upgrade: bool = False
    ingress_service: str = "istio-ingressgateway"
    ingress_selector: str = "ingressgateway"
    path_normalization: str = "BASE"
    min_tls_version: str = ""
    authorizers: tuple[Authorizer, ...] = ()
    """Of `extensionProviders`, those that authorize requests."""
    default_export_to_service: frozenset[str] = frozenset({"*"})
    default_export_to_virtual_service: frozenset[str] = frozenset({"*"})
    default_export_to_destination_rule: frozenset[str] = frozenset({"*"})


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboundView:
    """Where a group of proxies of equal scope may send requests.

    `endpoints` is keyed by host and service port; a port without endpoints has no entry. `virtual_services` are those
    for the gateway `mesh`, most specific host first, then oldest. `destination_rules` are resolved per visible host
    and already merged.
    """

    services: tuple[Service, ...]
    endpoints: Mapping[tuple[Hostname, int], tuple[Endpoint, ...]]
    virtual_services: tuple[VirtualService, ...] = ()
    destination_rules: Mapping[Hostname, DestinationRule] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundPort:
    """A port of the workload itself that a service points at; `address` is the bind address for a Sidecar ingress listener."""

    service: Service
    service_port: ServicePort
    target_port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayBinding:
    """A server of this gateway proxy and the VirtualServices bound to it, in order of precedence."""

    server: GatewayServer
    virtual_services: tuple[VirtualService, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyView:
    """Everything that decides one proxy's configuration."""

    proxy: Proxy
    mesh: MeshSettings
    outbound: OutboundView
    inbound: tuple[InboundPort, ...] = ()
    mutual_tls: MutualTls = MutualTls()
    authorization: tuple[AuthorizationPolicy, ...] = ()
    """In order of evaluation inputs: root namespace first, then the workload's; any action."""
    jwt_rules: tuple[JwtRule, ...] = ()
    gateways: tuple[GatewayBinding, ...] = ()
    extensions: Extensions = patches.NONE
