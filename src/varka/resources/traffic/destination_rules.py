"""DestinationRule: how a proxy talks to a destination once it is chosen, and into which subsets its endpoints fall."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from varka.resources.schema import BoolValue, Duration, Int32, Percent, Schema, Spec, UInt32, UInt32Value, Unsigned
from varka.resources.selection import WorkloadSelector
from varka.resources.traffic.virtual_services import PortSelector


class HttpCookie(Spec):
    """A cookie that keeps a client with one endpoint."""

    class Attribute(Spec):
        """A further attribute of the cookie that is set."""

        name: Annotated[str, Schema(required=True)] = ""
        value: str = ""

    name: Annotated[str, Schema(required=True)] = ""
    path: str = ""
    ttl: str | None = None
    attributes: tuple[Attribute, ...] = ()


class RingHash(Spec):
    """Ketama hashing."""

    minimum_ring_size: Unsigned | None = None


class Maglev(Spec):
    """Maglev hashing."""

    table_size: Unsigned | None = None


class ConsistentHash(Spec):
    """Stickiness by a property of the request."""

    schema_one_of = (("httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"), ("ringHash", "maglev"))

    http_header_name: str | None = None
    http_cookie: HttpCookie | None = None
    use_source_ip: bool | None = None
    http_query_parameter_name: str | None = None
    ring_hash: RingHash | None = None
    maglev: Maglev | None = None
    minimum_ring_size: Unsigned | None = None


class Distribute(Spec):
    """Where requests from one locality go, in per cent."""

    from_: str = msgspec.field(name="from", default="")
    to: dict[str, UInt32] = {}


class Failover(Spec):
    """The region that takes over when another fails."""

    from_: str = msgspec.field(name="from", default="")
    to: str = ""


class LocalityLoadBalancer(Spec):
    """Preference for endpoints nearby."""

    distribute: tuple[Distribute, ...] = ()
    failover: tuple[Failover, ...] = ()
    failover_priority: tuple[str, ...] = ()
    enabled: BoolValue | None = None


class Warmup(Spec):
    """New endpoints get their share by and by."""

    duration: Annotated[Duration | None, Schema(required=True)] = None
    minimum_percent: Percent | None = None
    aggression: Annotated[float | None, Schema(format="double", minimum=1, nullable=True)] = None


class LoadBalancer(Spec):
    """How an endpoint is picked."""

    schema_one_of = (("simple", "consistentHash"),)

    simple: Literal["UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST"] | None = None
    consistent_hash: ConsistentHash | None = None
    locality_lb_setting: LocalityLoadBalancer | None = None
    warmup_duration_secs: Duration | None = None
    warmup: Warmup | None = None


class TcpKeepalive(Spec):
    """Probes on idle connections."""

    probes: UInt32 | None = None
    time: Duration | None = None
    interval: Duration | None = None


class TcpPool(Spec):
    """Limits for connections."""

    max_connections: Int32 | None = None
    connect_timeout: Duration | None = None
    tcp_keepalive: TcpKeepalive | None = None
    max_connection_duration: Duration | None = None
    idle_timeout: str | None = None


class HttpPool(Spec):
    """Limits for requests."""

    http1_max_pending_requests: Int32 | None = None
    http2_max_requests: Int32 | None = None
    max_requests_per_connection: Int32 | None = None
    max_retries: Int32 | None = None
    idle_timeout: Duration | None = None
    h2_upgrade_policy: Literal["DEFAULT", "DO_NOT_UPGRADE", "UPGRADE"] | None = None
    use_client_protocol: bool = False
    max_concurrent_streams: Int32 | None = None


class ConnectionPool(Spec):
    """Limits on what one proxy has open to a destination."""

    tcp: TcpPool | None = None
    http: HttpPool | None = None


class OutlierDetection(Spec):
    """When a failing endpoint is left out, and for how long."""

    consecutive_errors: Int32 | None = None
    split_external_local_origin_errors: bool = False
    consecutive_local_origin_failures: UInt32Value | None = None
    consecutive_gateway_errors: UInt32Value | None = None
    consecutive_5xx_errors: UInt32Value | None = msgspec.field(name="consecutive5xxErrors", default=None)
    interval: Duration | None = None
    base_ejection_time: Duration | None = None
    max_ejection_percent: Int32 | None = None
    min_health_percent: Int32 | None = None


class ClientTls(Spec):
    """TLS of the connections that a proxy opens."""

    mode: Literal["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"] = "DISABLE"
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: BoolValue | None = None


class PortPolicy(Spec):
    """A traffic policy for one port; it replaces the one above it as a whole."""

    port: PortSelector | None = None
    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None


class Tunnel(Spec):
    """TCP carried inside HTTP CONNECT or POST."""

    protocol: str = ""
    target_host: Annotated[str, Schema(required=True)] = ""
    target_port: Annotated[UInt32, Schema(required=True)] = 0


class ProxyProtocol(Spec):
    """The PROXY protocol header sent to the destination."""

    version: Literal["V1", "V2"] = "V1"


class RetryBudget(Spec):
    """Retries as a share of the running requests."""

    percent: Percent | None = None
    min_retry_concurrency: UInt32 | None = None


class TrafficPolicy(Spec):
    """Everything about talking to a destination."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None
    port_level_settings: Annotated[tuple[PortPolicy, ...], Schema(maxItems=4096)] = ()
    tunnel: Tunnel | None = None
    proxy_protocol: ProxyProtocol | None = None
    retry_budget: RetryBudget | None = None


class Subset(Spec):
    """Endpoints that share labels."""

    name: Annotated[str, Schema(required=True)] = ""
    labels: dict[str, str] = {}
    traffic_policy: TrafficPolicy | None = None


class DestinationRule(Spec):
    """How proxies talk to a host, after routing."""

    host: Annotated[str, Schema(required=True)] = ""
    traffic_policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ()
    workload_selector: WorkloadSelector | None = None
