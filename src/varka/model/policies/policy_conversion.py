"""The parts of a traffic policy, from the words of the API to those of the model; times become seconds."""

from __future__ import annotations

from varka.model.routing.route_conversion import seconds
from varka.model.traffic import (
    ClientTls,
    ConnectionPool,
    HashKey,
    LbAlgorithm,
    LoadBalancer,
    LocalityLb,
    OutlierDetection,
    RetryBudget,
    TlsMode,
    TrafficPolicy,
    Tunnel,
)
from varka.resources.traffic import destination_rules as written

_SIMPLE = {
    "LEAST_CONN": LbAlgorithm.LEAST_REQUEST,
    "LEAST_REQUEST": LbAlgorithm.LEAST_REQUEST,
    "RANDOM": LbAlgorithm.RANDOM,
    "PASSTHROUGH": LbAlgorithm.PASSTHROUGH,
    "ROUND_ROBIN": LbAlgorithm.ROUND_ROBIN,
}


def traffic_policy(given: written.TrafficPolicy | None) -> TrafficPolicy:
    """A policy of a rule or a subset, with its ports by number."""
    if given is None:
        return TrafficPolicy()
    return TrafficPolicy(
        load_balancer=load_balancer(given.load_balancer),
        connection_pool=connection_pool(given.connection_pool),
        outlier_detection=outlier_detection(given.outlier_detection),
        tls=client_tls(given.tls),
        ports={
            port.port.number: TrafficPolicy(
                load_balancer=load_balancer(port.load_balancer),
                connection_pool=connection_pool(port.connection_pool),
                outlier_detection=outlier_detection(port.outlier_detection),
                tls=client_tls(port.tls),
            )
            for port in given.port_level_settings
            if port.port is not None and port.port.number
        },
        tunnel=_tunnel(given.tunnel),
        proxy_protocol=given.proxy_protocol.version if given.proxy_protocol is not None else "",
        retry_budget=retry_budget(given.retry_budget),
    )


def _tunnel(given: written.Tunnel | None) -> Tunnel | None:
    if given is None or not given.target_host or not given.target_port:
        return None
    return Tunnel(host=given.target_host, port=given.target_port, post=given.protocol == "POST")


def retry_budget(given: written.RetryBudget | None) -> RetryBudget | None:
    """A share of the running requests for retries; Istio's defaults where nothing is said."""
    if given is None:
        return None
    usual = RetryBudget()
    return RetryBudget(
        percent=usual.percent if given.percent is None else given.percent,
        min_retry_concurrency=usual.min_retry_concurrency if given.min_retry_concurrency is None else given.min_retry_concurrency,
    )


def client_tls(given: written.ClientTls | None) -> ClientTls | None:
    """TLS of opened connections."""
    if given is None:
        return None
    return ClientTls(
        mode=TlsMode(given.mode),
        client_certificate=given.client_certificate,
        private_key=given.private_key,
        ca_certificates=given.ca_certificates,
        ca_crl=given.ca_crl,
        credential_name=given.credential_name,
        subject_alt_names=given.subject_alt_names,
        sni=given.sni,
        insecure_skip_verify=bool(given.insecure_skip_verify),
    )


def connection_pool(given: written.ConnectionPool | None) -> ConnectionPool | None:
    """Limits; 0 counts as not given."""
    if given is None:
        return None
    tcp, http = given.tcp or written.TcpPool(), given.http or written.HttpPool()
    keepalive = tcp.tcp_keepalive or written.TcpKeepalive()
    return ConnectionPool(
        max_connections=tcp.max_connections or None,
        connect_timeout=seconds(tcp.connect_timeout),
        tcp_keepalive=tcp.tcp_keepalive is not None,
        tcp_keepalive_probes=keepalive.probes or None,
        tcp_keepalive_time=seconds(keepalive.time),
        tcp_keepalive_interval=seconds(keepalive.interval),
        max_connection_duration=seconds(tcp.max_connection_duration),
        tcp_idle_timeout=seconds(tcp.idle_timeout),
        http1_max_pending_requests=http.http1_max_pending_requests or None,
        http2_max_requests=http.http2_max_requests or None,
        max_requests_per_connection=http.max_requests_per_connection or None,
        max_retries=http.max_retries or None,
        http_idle_timeout=seconds(http.idle_timeout),
        h2_upgrade=http.h2_upgrade_policy or "DEFAULT",
        use_client_protocol=http.use_client_protocol,
        max_concurrent_streams=http.max_concurrent_streams or None,
    )


def outlier_detection(given: written.OutlierDetection | None) -> OutlierDetection | None:
    """When endpoints are left out; the old `consecutiveErrors` counts as gateway errors."""
    if given is None:
        return None
    gateway = given.consecutive_gateway_errors
    return OutlierDetection(
        consecutive_5xx=given.consecutive_5xx_errors,
        consecutive_gateway_errors=gateway if gateway is not None else given.consecutive_errors or None,
        consecutive_local_origin_failures=given.consecutive_local_origin_failures,
        split_external_local_origin_errors=given.split_external_local_origin_errors,
        interval=seconds(given.interval),
        base_ejection_time=seconds(given.base_ejection_time),
        max_ejection_percent=given.max_ejection_percent or None,
        min_health_percent=given.min_health_percent or 0,
    )


def load_balancer(given: written.LoadBalancer | None) -> LoadBalancer | None:
    """How endpoints are picked; unspecified is LEAST_REQUEST."""
    if given is None:
        return None
    warmup = given.warmup or written.Warmup(duration=given.warmup_duration_secs)
    sticky = given.consistent_hash
    algorithm = _SIMPLE.get(given.simple or "", LbAlgorithm.LEAST_REQUEST)
    if sticky is not None:
        algorithm = LbAlgorithm.MAGLEV if sticky.maglev is not None else LbAlgorithm.RING_HASH
    ring = sticky.ring_hash.minimum_ring_size if sticky is not None and sticky.ring_hash is not None else None
    return LoadBalancer(
        algorithm=algorithm,
        hash_key=_hash_key(sticky) if sticky is not None else None,
        minimum_ring_size=(ring or sticky.minimum_ring_size or None) if sticky is not None else None,
        table_size=(sticky.maglev.table_size or None) if sticky is not None and sticky.maglev is not None else None,
        warmup_seconds=seconds(warmup.duration),
        warmup_minimum_percent=warmup.minimum_percent,
        warmup_aggression=warmup.aggression,
        locality=locality(given.locality_lb_setting) if given.locality_lb_setting is not None else None,
    )


def _hash_key(given: written.ConsistentHash) -> HashKey | None:
    if given.http_header_name is not None:
        return HashKey(header=given.http_header_name)
    if given.http_cookie is not None:
        cookie = given.http_cookie
        attributes = {item.name: item.value for item in cookie.attributes}
        return HashKey(cookie=cookie.name, cookie_path=cookie.path, cookie_ttl=seconds(cookie.ttl), cookie_attributes=attributes)
    if given.http_query_parameter_name is not None:
        return HashKey(query_parameter=given.http_query_parameter_name)
    return HashKey(source_ip=True) if given.use_source_ip else None


def locality(given: written.LocalityLoadBalancer) -> LocalityLb:
    """Which localities are preferred."""
    return LocalityLb(
        enabled=given.enabled is not False,
        distribute={item.from_: dict(item.to) for item in given.distribute},
        failover={item.from_: item.to for item in given.failover},
        failover_priority=given.failover_priority,
    )
