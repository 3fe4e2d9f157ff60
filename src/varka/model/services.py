"""Services and endpoints as the mesh sees them, whatever they were written as: Service, ServiceEntry, EndpointSlice, WorkloadEntry."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import NewType

from msgspec import Struct, field

Hostname = NewType("Hostname", str)
"""A fully qualified host name in lower case, or one with a leading `*.`, or `*`."""


class Protocol(StrEnum):
    """Application protocol of a port; AUTO is to be sniffed on the first bytes."""

    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    GRPC_WEB = "GRPC-Web"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "Mongo"
    REDIS = "Redis"
    MYSQL = "MySQL"
    UDP = "UDP"
    AUTO = "AUTO"

    @property
    def is_http(self) -> bool:
        return self in {Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}

    @property
    def is_http2(self) -> bool:
        return self in {Protocol.HTTP2, Protocol.GRPC, Protocol.GRPC_WEB}

    @property
    def is_tls(self) -> bool:
        return self in {Protocol.HTTPS, Protocol.TLS}

    @property
    def is_tcp(self) -> bool:
        """Bytes that Envoy passes on unread; neither HTTP, nor TLS to be read for SNI, nor AUTO, nor UDP."""
        return self in {Protocol.TCP, Protocol.MONGO, Protocol.REDIS, Protocol.MYSQL}

    @property
    def after_tls(self) -> Protocol:
        """What is left when TLS has been taken off."""
        return Protocol.HTTP if self is Protocol.HTTPS else Protocol.TCP if self is Protocol.TLS else self


class Resolution(StrEnum):
    """How a proxy finds the endpoints of a service (Istio's `Resolution`)."""

    EDS = "ClientSideLB"
    DNS = "DNSLB"
    DNS_ROUND_ROBIN = "DNSRoundRobinLB"
    PASSTHROUGH = "Passthrough"
    """The address that the client asked for: headless services and resolution NONE."""


class ServicePort(Struct, frozen=True, kw_only=True):
    """One port of a service; `target_port` is None where it is a name that endpoints resolve."""

    number: int
    name: str
    protocol: Protocol
    target_port: int | None = None
    target_name: str = ""
    """Name of the container port where `target_port` is None."""


class Service(Struct, frozen=True, kw_only=True):
    """One host name of the mesh.

    `addresses` are virtual IPs or CIDRs; empty or `0.0.0.0` means none. `export_to` holds namespaces, `*` or `.`
    already resolved to the service's own namespace, or `~` for nobody.
    """

    hostname: Hostname
    namespace: str
    name: str
    ports: tuple[ServicePort, ...]
    resolution: Resolution = Resolution.EDS
    addresses: tuple[str, ...] = ()
    allocated: tuple[str, ...] = ()
    """Addresses made up for a host that has none; they count for proxies that capture DNS."""
    mesh_external: bool = False
    headless: bool = False
    node_local: bool = False
    prefers_near: bool = False
    """Whether the nearest endpoints are used for as long as there are any (`trafficDistribution`)."""
    external_name: str = ""
    aliases: tuple[Hostname, ...] = ()
    """Other hosts that stand for this one: Services of type ExternalName that point at it."""
    registry: str = "Kubernetes"
    labels: Mapping[str, str] = field(default_factory=dict)
    selector: Mapping[str, str] = field(default_factory=dict)
    service_accounts: tuple[str, ...] = ()
    """SPIFFE IDs that serve this host, from its endpoints and `subjectAltNames`; sorted."""
    export_to: frozenset[str] = frozenset({"*"})
    created: float = 0.0
    """Creation time in seconds since the epoch: the older of two claims to one host wins."""

    def port(self, number: int) -> ServicePort | None:
        return next((port for port in self.ports if port.number == number), None)


class Health(StrEnum):
    """An endpoint that drains keeps its sessions and gets no new ones."""

    HEALTHY = "HEALTHY"
    UNHEALTHY = "UNHEALTHY"
    DRAINING = "DRAINING"


class Endpoint(Struct, frozen=True, kw_only=True):
    """One address that serves one port of one service."""

    address: str
    """An IP, a DNS name (resolution DNS), or `unix://` and a path."""
    port: int
    service_port: int
    hostname: Hostname
    namespace: str
    labels: Mapping[str, str] = field(default_factory=dict)
    service_account: str = ""
    """SPIFFE ID, empty when unknown."""
    workload: str = ""
    """Name of the Deployment or other owner, for telemetry."""
    locality: str = ""
    """`region/zone/subzone`."""
    network: str = ""
    weight: int = 1
    mutual_tls: bool = False
    """The endpoint has a sidecar that takes mesh mTLS (label `security.istio.io/tlsMode: istio`)."""
    health: Health = Health.HEALTHY
    node: str = ""
