"""What one proxy may see of the mesh: the only input of the `envoy` stage.

A view holds what Sidecar scope, exportTo and selectors leave. Proxies of equal scope share the very same
`OutboundView` object, and parts that did not change between two snapshots are the same objects in both: that
identity is what later stages key their caches on.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache

from msgspec import Struct, field

from varka.model import patches
from varka.model.patches import Extensions
from varka.model.security import AuthorizationPolicy, Authorizer, JwtRule, MutualTls
from varka.model.services import Endpoint, Hostname, Service, ServicePort
from varka.model.telemetry import DEFAULT, MeshTelemetry, Telemetry
from varka.model.traffic import ConnectionPool, Destination, DestinationRule, GatewayServer, LocalityLb, Retries, ServerTls, VirtualService


class ProxyType(StrEnum):
    SIDECAR = "sidecar"
    ROUTER = "router"


class Topology(Struct, frozen=True, kw_only=True):
    """What stands in front of a gateway (`gatewayTopology`)."""

    trusted_proxies: int = 0
    forward_client_cert: str = ""
    """`SANITIZE`, `FORWARD_ONLY`, `APPEND_FORWARD`, `SANITIZE_SET` or `ALWAYS_FORWARD_ONLY`."""
    proxy_protocol: bool = False
    """Whether connections begin with a PROXY header."""


class Proxy(Struct, frozen=True, kw_only=True):
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

    @property
    def redirected(self) -> bool:
        """Whether the workload's connections come here by themselves; if not, only listeners that a Sidecar names are of use."""
        return self.metadata.get("INTERCEPTION_MODE") != "NONE"

    topology: Topology = Topology()

    @property
    def ips(self) -> tuple[str, ...]:
        """All addresses of the workload, the first one first."""
        return _addresses(self.ip, self.metadata.get("INSTANCE_IPS", ""))

    @property
    def families(self) -> tuple[int, ...]:
        """4, 6 or both, that of the first address first."""
        return _families(self.ip, self.metadata.get("INSTANCE_IPS", ""))


@lru_cache(4096)
def _addresses(first: str, others: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(ip for ip in (first, *map(str.strip, others.split(","))) if ip))


@lru_cache(4096)
def _families(first: str, others: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(6 if ":" in ip else 4 for ip in _addresses(first, others))) or (4,)


class KeepAlive(Struct, frozen=True, kw_only=True):
    """TCP keepalive of connections to other workloads; 0 leaves a value to the operating system."""

    probes: int = 0
    time: float = 0.0
    interval: float = 0.0


class Term(Struct, frozen=True, kw_only=True):
    """One requirement of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.operator == "Exists":
            return value is not None
        if self.operator == "DoesNotExist":
            return value is None
        return (value in self.values) == (self.operator == "In")


class MeshSettings(Struct, frozen=True, kw_only=True):
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
    egress_proxy: Destination | None = None
    """Where requests to unknown hosts go (a Sidecar's); None: to the address that was asked for."""
    access_log_file: str = ""
    access_log_format: str = ""
    access_log_json: bool = False
    telemetry: MeshTelemetry = MeshTelemetry()
    default_retry: Retries = Retries()
    """For routes that do not say how often to try again."""
    dns_refresh_rate: float = 60.0
    tcp_keepalive: KeepAlive | None = None
    locality: LocalityLb | None = None
    """For services whose DestinationRule does not say which localities to prefer."""
    inbound_localhost: bool = False
    """Whether the application is reached at its loopback address instead of the pod's."""
    inbound_stat_name: str = ""
    outbound_stat_name: str = ""
    """Patterns with `%SERVICE%` and the like."""
    disable_listener_log: bool = False
    discovery_selectors: tuple[tuple[Term, ...], ...] = ()
    """Which namespaces the mesh looks at; none: all of them."""
    ingress_class: str = "istio"
    ingress_controller_mode: str = "STRICT"
    """OFF: no Ingress is ours; DEFAULT: those without a class are, too."""
    ingress_selector: str = "ingressgateway"
    """Value of the label `istio` of the pods that serve Ingresses."""
    ingress_service: str = "istio-ingressgateway"
    """Whose address Ingresses get in their status."""
    h2_upgrade: bool = False
    path_normalization: str = "BASE"
    min_tls_version: str = ""
    authorizers: tuple[Authorizer, ...] = ()
    """Of `extensionProviders`, those that authorize requests."""
    default_export_to_service: frozenset[str] = frozenset({"*"})
    default_export_to_virtual_service: frozenset[str] = frozenset({"*"})
    default_export_to_destination_rule: frozenset[str] = frozenset({"*"})


class OutboundView(Struct, frozen=True, kw_only=True):
    """Where a group of proxies of equal scope may send requests.

    `endpoints` is keyed by host and service port; a port without endpoints has no entry. `virtual_services` are those
    for the gateway `mesh`, most specific host first, then oldest. `destination_rules` are resolved per visible host
    and already merged.
    """

    services: tuple[Service, ...]
    endpoints: Mapping[tuple[Hostname, int], tuple[Endpoint, ...]]
    virtual_services: tuple[VirtualService, ...] = ()
    destination_rules: Mapping[Hostname, DestinationRule] = field(default_factory=dict)
    listeners: tuple[EgressListener, ...] = ()
    """Those of a Sidecar, the one for all other ports last; none: one for everything."""


class EgressListener(Struct, frozen=True, kw_only=True):
    """A listener that a Sidecar asks for, and what can be reached through it; without `port`, for all ports left over.

    `bind` is an address or `unix://` and a path, empty for the services' own addresses. `bound`: the proxy listens there
    by itself, rather than taking what was captured.
    """

    reach: OutboundView
    port: ServicePort | None = None
    http_proxy: bool = False
    bind: str = ""
    bound: bool = False


class InboundPort(Struct, frozen=True, kw_only=True):
    """A port of the workload itself that a service points at, or that a Sidecar names.

    `target_port` is the port that clients connect to. The rest is a Sidecar's: `address` to listen on, `bound` when the
    proxy listens there by itself, `endpoint` where the application is (`address:port`, `unix://path`; empty: at the same
    port), `tls` that the proxy terminates, and the limits of connections.
    """

    service: Service
    service_port: ServicePort
    target_port: int
    address: str = ""
    bound: bool = False
    endpoint: str = ""
    tls: ServerTls | None = None
    pool: ConnectionPool | None = None


class GatewayBinding(Struct, frozen=True, kw_only=True):
    """A server of this gateway proxy and the VirtualServices bound to it, in order of precedence."""

    server: GatewayServer
    virtual_services: tuple[VirtualService, ...] = ()


class ProxyView(Struct, frozen=True, kw_only=True):
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
    network_gateways: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)
    """By network: address and port of the gateways that pass mutual TLS on to endpoints there."""
    dns_capture: bool = False
    """The proxy's agent answers the workload's DNS queries."""
    extensions: Extensions = patches.NONE
    telemetry: Telemetry = DEFAULT
