"""Where requests may go and how: routes (from VirtualService), policies per destination (DestinationRule), and gateway servers.

Hosts are fully qualified, durations are seconds, and every default that Istio documents is applied, so that the
`envoy` stage never has to know what was written and what was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from varka.model.services import Hostname, Protocol


class MatchKind(StrEnum):
    EXACT = "exact"
    PREFIX = "prefix"
    REGEX = "regex"
    PRESENT = "present"
    """Any value (an empty StringMatch)."""


class StringMatch(Struct, frozen=True, kw_only=True):
    kind: MatchKind
    value: str = ""


class HttpMatch(Struct, frozen=True, kw_only=True):
    """All conditions must hold. `gateways` are `namespace/name` or `mesh`; empty means those of the VirtualService."""

    name: str = ""
    uri: StringMatch | None = None
    ignore_uri_case: bool = False
    whole_segments: bool = False
    """A prefix of `uri` ends where a segment of the path ends, as the Gateway API has it."""
    scheme: StringMatch | None = None
    method: StringMatch | None = None
    authority: StringMatch | None = None
    headers: Mapping[str, StringMatch] = field(default_factory=dict)
    without_headers: Mapping[str, StringMatch] = field(default_factory=dict)
    query_params: Mapping[str, StringMatch] = field(default_factory=dict)
    port: int | None = None
    source_labels: Mapping[str, str] = field(default_factory=dict)
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()
    stat_prefix: str = ""


class HeaderOperations(Struct, frozen=True, kw_only=True):
    set: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


class Headers(Struct, frozen=True, kw_only=True):
    request: HeaderOperations = HeaderOperations()
    response: HeaderOperations = HeaderOperations()


class Destination(Struct, frozen=True, kw_only=True):
    """`port` is None when the service has one port only, or the port of the request is meant."""

    host: Hostname
    subset: str = ""
    port: int | None = None


class WeightedDestination(Struct, frozen=True, kw_only=True):
    destination: Destination
    weight: int = 100
    headers: Headers = Headers()


class Redirect(Struct, frozen=True, kw_only=True):
    uri: str = ""
    uri_prefix_rewrite: str = ""
    """From `uri: "%PREFIX()%…"`: replaces the matched prefix."""
    regex: str = ""
    substitution: str = ""
    """What replaces the match of `regex` in the path."""
    authority: str = ""
    scheme: str = ""
    port: int | None = None
    derive_port: str = ""
    """FROM_PROTOCOL_DEFAULT or FROM_REQUEST_PORT."""
    code: int = 301


class DirectResponse(Struct, frozen=True, kw_only=True):
    status: int
    body: bytes | None = None


class Rewrite(Struct, frozen=True, kw_only=True):
    uri: str = ""
    authority: str = ""
    regex: str = ""
    substitution: str = ""


class Delay(Struct, frozen=True, kw_only=True):
    seconds: float
    percentage: float = 100.0


class Abort(Struct, frozen=True, kw_only=True):
    """Exactly one of `http_status` and `grpc_status`."""

    percentage: float = 100.0
    http_status: int | None = None
    grpc_status: str | None = None


class Retries(Struct, frozen=True, kw_only=True):
    """`attempts` 0 switches retries off; a None of the whole means Istio's default policy."""

    attempts: int = 2
    per_try_timeout: float | None = None
    retry_on: str = ""
    remote_localities: bool | None = None
    ignore_previous_hosts: bool = True
    backoff: float | None = None


class Mirror(Struct, frozen=True, kw_only=True):
    destination: Destination
    percentage: float = 100.0


class Cors(Struct, frozen=True, kw_only=True):
    allow_origins: tuple[StringMatch, ...] = ()
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: float | None = None
    allow_credentials: bool | None = None
    unmatched_preflights: str = ""


class HttpRoute(Struct, frozen=True, kw_only=True):
    """One rule: any of `matches` (none: always), then exactly one of redirect, direct_response and destinations."""

    name: str = ""
    matches: tuple[HttpMatch, ...] = ()
    destinations: tuple[WeightedDestination, ...] = ()
    absent_status: int = 503
    """What the share of a destination that does not exist is answered with; the Gateway API wants 500."""
    redirect: Redirect | None = None
    direct_response: DirectResponse | None = None
    rewrite: Rewrite | None = None
    timeout: float | None = None
    """None: no timeout (Istio's default is disabled)."""
    retries: Retries | None = None
    delay: Delay | None = None
    abort: Abort | None = None
    mirrors: tuple[Mirror, ...] = ()
    cors: Cors | None = None
    headers: Headers = Headers()


class L4Match(Struct, frozen=True, kw_only=True):
    """For tls and tcp routes; `sni_hosts` is empty for tcp."""

    sni_hosts: tuple[str, ...] = ()
    destination_subnets: tuple[str, ...] = ()
    port: int | None = None
    source_subnet: str = ""
    source_labels: Mapping[str, str] = field(default_factory=dict)
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()


class L4Route(Struct, frozen=True, kw_only=True):
    matches: tuple[L4Match, ...] = ()
    destinations: tuple[WeightedDestination, ...] = ()


class VirtualService(Struct, frozen=True, kw_only=True):
    """`gateways` are `namespace/name` and `mesh`; `hosts` are fully qualified."""

    name: str
    namespace: str
    hosts: tuple[Hostname, ...]
    gateways: tuple[str, ...]
    http: tuple[HttpRoute, ...] = ()
    tls: tuple[L4Route, ...] = ()
    tcp: tuple[L4Route, ...] = ()
    export_to: frozenset[str] = frozenset({"*"})
    created: float = 0.0


class TlsMode(StrEnum):
    """Of a connection that a proxy opens."""

    DISABLE = "DISABLE"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"


class ClientTls(Struct, frozen=True, kw_only=True):
    mode: TlsMode
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    subject_alt_names: tuple[str, ...] = ()
    sni: str = ""
    insecure_skip_verify: bool = False


class ConnectionPool(Struct, frozen=True, kw_only=True):
    """None: Envoy's or Istio's default. Times in seconds."""

    max_connections: int | None = None
    connect_timeout: float | None = None
    tcp_keepalive_probes: int | None = None
    tcp_keepalive_time: float | None = None
    tcp_keepalive_interval: float | None = None
    tcp_keepalive: bool = False
    max_connection_duration: float | None = None
    tcp_idle_timeout: float | None = None
    http1_max_pending_requests: int | None = None
    http2_max_requests: int | None = None
    max_requests_per_connection: int | None = None
    max_retries: int | None = None
    http_idle_timeout: float | None = None
    h2_upgrade: str = "DEFAULT"
    use_client_protocol: bool = False
    max_concurrent_streams: int | None = None


class OutlierDetection(Struct, frozen=True, kw_only=True):
    consecutive_5xx: int | None = None
    consecutive_gateway_errors: int | None = None
    consecutive_local_origin_failures: int | None = None
    split_external_local_origin_errors: bool = False
    interval: float | None = None
    base_ejection_time: float | None = None
    max_ejection_percent: int | None = None
    min_health_percent: int = 0


class LbAlgorithm(StrEnum):
    LEAST_REQUEST = "LEAST_REQUEST"
    RANDOM = "RANDOM"
    ROUND_ROBIN = "ROUND_ROBIN"
    PASSTHROUGH = "PASSTHROUGH"
    RING_HASH = "RING_HASH"
    MAGLEV = "MAGLEV"


class HashKey(Struct, frozen=True, kw_only=True):
    """Exactly one is set; a cookie has a name, and may have a path, a lifetime in seconds and attributes."""

    header: str = ""
    cookie: str = ""
    cookie_path: str = ""
    cookie_ttl: float | None = None
    cookie_attributes: Mapping[str, str] = field(default_factory=dict)
    query_parameter: str = ""
    source_ip: bool = False


class LocalityLb(Struct, frozen=True, kw_only=True):
    """`distribute`: from-locality → (to-locality → percent); `failover`: from-region → to-region."""

    enabled: bool = True
    distribute: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    failover: Mapping[str, str] = field(default_factory=dict)
    failover_priority: tuple[str, ...] = ()


class LoadBalancer(Struct, frozen=True, kw_only=True):
    algorithm: LbAlgorithm = LbAlgorithm.LEAST_REQUEST
    hash_key: HashKey | None = None
    minimum_ring_size: int | None = None
    table_size: int | None = None
    warmup_seconds: float | None = None
    warmup_minimum_percent: float | None = None
    warmup_aggression: float | None = None
    locality: LocalityLb | None = None


class Tunnel(Struct, frozen=True, kw_only=True):
    """TCP inside HTTP: the destination is a proxy that is asked by CONNECT or POST for `host:port`."""

    host: str
    port: int
    post: bool = False


class RetryBudget(Struct, frozen=True, kw_only=True):
    """How many retries may run at once: a share of the running requests, but at least a number."""

    percent: float = 20.0
    min_retry_concurrency: int = 3


class TrafficPolicy(Struct, frozen=True, kw_only=True):
    """None: not said at this level, so the level above decides; at the top, Istio's default."""

    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier_detection: OutlierDetection | None = None
    tls: ClientTls | None = None
    ports: Mapping[int, TrafficPolicy] = field(default_factory=dict)
    tunnel: Tunnel | None = None
    proxy_protocol: str = ""
    """V1 or V2; empty: none."""
    retry_budget: RetryBudget | None = None


class Subset(Struct, frozen=True, kw_only=True):
    name: str
    labels: Mapping[str, str]
    policy: TrafficPolicy = TrafficPolicy()


class DestinationRule(Struct, frozen=True, kw_only=True):
    name: str
    namespace: str
    host: Hostname
    policy: TrafficPolicy = TrafficPolicy()
    subsets: tuple[Subset, ...] = ()
    workload_selector: Mapping[str, str] = field(default_factory=dict)
    export_to: frozenset[str] = frozenset({"*"})
    created: float = 0.0


class ServerTlsMode(StrEnum):
    PASSTHROUGH = "PASSTHROUGH"
    SIMPLE = "SIMPLE"
    MUTUAL = "MUTUAL"
    AUTO_PASSTHROUGH = "AUTO_PASSTHROUGH"
    ISTIO_MUTUAL = "ISTIO_MUTUAL"
    OPTIONAL_MUTUAL = "OPTIONAL_MUTUAL"


class CertificateFiles(Struct, frozen=True, kw_only=True):
    """Paths in the gateway's container."""

    certificate: str
    private_key: str


class ServerTls(Struct, frozen=True, kw_only=True):
    """None of `mode` on a server means `tls` was given only for the redirect."""

    mode: ServerTlsMode | None = None
    https_redirect: bool = False
    certificates: tuple[CertificateFiles, ...] = ()
    """One of each kind of key; not used where there are `credential_names`."""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_names: tuple[str, ...] = ()
    ca_credential_name: str = ""
    """Where the authorities of clients are; empty: with the first of `credential_names`."""
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_version: str = ""
    max_version: str = ""
    cipher_suites: tuple[str, ...] = ()


class GatewayServer(Struct, frozen=True, kw_only=True):
    """One server of one Gateway, on the port that the proxy really listens on.

    `hosts` keep their `namespace/` part (`*/` by default). `target_port` is the container port behind the gateway's
    Service port `port`.
    """

    gateway: str
    """`namespace/name` of the Gateway."""
    port: int
    target_port: int
    port_name: str
    protocol: Protocol
    name: str = ""
    bind: str = ""
    hosts: tuple[str, ...] = ()
    tls: ServerTls | None = None
