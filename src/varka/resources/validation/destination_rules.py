"""DestinationRule: host, subsets, and traffic policies that hold together."""

from __future__ import annotations

import math

from varka.resources.parsing import Meta
from varka.resources.traffic import destination_rules as written
from varka.resources.validation import localities, names
from varka.resources.validation.findings import Findings

_LARGEST_MAGLEV = 5000011


def check(spec: written.DestinationRule, meta: Meta, found: Findings) -> None:
    """Check a whole DestinationRule."""
    names.check_domain(spec.host, "spec.host", found)
    check_policy(spec.traffic_policy, "spec.trafficPolicy", found)
    seen: set[str] = set()
    for index, subset in enumerate(spec.subsets):
        path = f"spec.subsets[{index}]"
        if not names.is_label(subset.name):
            found.error(f"{path}.name", f"invalid subset name {subset.name!r}")
        if subset.name in seen:
            found.error(f"{path}.name", f"duplicate subset names: {subset.name}")
        seen.add(subset.name)
        names.check_labels(subset.labels, f"{path}.labels", found)
        check_policy(subset.traffic_policy, f"{path}.trafficPolicy", found)
    names.check_export_to(spec.export_to, meta.namespace, "spec.exportTo", found)
    names.check_selector(spec.workload_selector, "spec.workloadSelector", found)
    if spec.workload_selector is not None and not set(spec.export_to) <= {".", meta.namespace}:
        found.error("spec.exportTo", "a destination rule with a workload selector is for its own namespace; export it to '.' or leave exportTo out")


def check_policy(policy: written.TrafficPolicy | None, path: str, found: Findings) -> None:
    """Check a traffic policy; an empty one is a mistake."""
    if policy is None:
        return
    if policy == written.TrafficPolicy():
        found.error(path, "traffic policy must have at least one field")
    _check_parts(policy, path, found)
    numbers: set[int] = set()
    for index, port in enumerate(policy.port_level_settings):
        where = f"{path}.portLevelSettings[{index}]"
        number = port.port.number if port.port is not None else None
        names.check_port(number, f"{where}.port.number", found)
        if number in numbers:
            found.warning(f"{where}.port.number", f"port {number} has more than one policy")
        numbers.add(number or 0)
        if not (port.tls or port.connection_pool or port.outlier_detection or port.load_balancer):
            found.error(where, "port traffic policy must have at least one field")
        _check_parts(port, where, found)
    if policy.tunnel is not None:
        if policy.tunnel.protocol not in {"", "CONNECT", "POST"}:
            found.error(f"{path}.tunnel.protocol", "tunnel protocol must be CONNECT or POST")
        if not names.is_ip(policy.tunnel.target_host):
            names.check_domain(policy.tunnel.target_host, f"{path}.tunnel.targetHost", found, wildcard=False)
        if policy.proxy_protocol is not None:
            found.error(path, "tunnel and proxyProtocol must not be set together")
        names.check_port(policy.tunnel.target_port, f"{path}.tunnel.targetPort", found)


def _check_parts(policy: written.TrafficPolicy | written.PortPolicy, path: str, found: Findings) -> None:
    if policy.tls is not None:
        check_client_tls(policy.tls, f"{path}.tls", found)
    if policy.connection_pool is not None:
        check_connection_pool(policy.connection_pool, f"{path}.connectionPool", found)
    if policy.outlier_detection is not None:
        _check_outliers(policy.outlier_detection, f"{path}.outlierDetection", found)
    if policy.load_balancer is not None:
        _check_load_balancer(policy.load_balancer, policy.outlier_detection is not None, f"{path}.loadBalancer", found)


def check_client_tls(tls: written.ClientTls, path: str, found: Findings) -> None:
    """Check TLS of opened connections."""
    if tls.insecure_skip_verify and tls.mode == "SIMPLE" and (tls.ca_certificates or tls.credential_name or tls.subject_alt_names):
        found.error(path, "cannot specify CaCertificates or CredentialName or SubjectAltNames when InsecureSkipVerify is set true")
    if tls.insecure_skip_verify and tls.mode == "MUTUAL" and (tls.ca_certificates or tls.subject_alt_names):
        found.error(path, "cannot specify CaCertificates or SubjectAltNames when InsecureSkipVerify is set true")
    files = tls.client_certificate or tls.private_key or tls.ca_certificates or tls.ca_crl
    if tls.mode in {"SIMPLE", "MUTUAL"} and tls.credential_name:
        if files:
            found.error(path, "cannot specify client certificates or CA certificate or CA CRL if credentialName is set")
    elif tls.mode == "MUTUAL":
        if not tls.client_certificate:
            found.error(f"{path}.clientCertificate", "client certificate required for mutual tls")
        if not tls.private_key:
            found.error(f"{path}.privateKey", "private key required for mutual tls")


def check_connection_pool(pool: written.ConnectionPool, path: str, found: Findings) -> None:
    """Check limits; at least one part has to be there and none may be negative."""
    if pool.http is None and pool.tcp is None:
        found.error(path, "connection pool must have at least one field")
    if pool.http is not None:
        if pool.http.h2_upgrade_policy == "UPGRADE" and pool.http.use_client_protocol:
            found.error(f"{path}.http.useClientProtocol", "useClientProtocol must not be true when h2UpgradePolicy is UPGRADE")
        for field in ("http1_max_pending_requests", "http2_max_requests", "max_requests_per_connection", "max_retries", "max_concurrent_streams"):
            if (getattr(pool.http, field) or 0) < 0:
                found.error(f"{path}.http", f"{field.replace('_', ' ')} must be non-negative")
    if pool.tcp is not None and (pool.tcp.max_connections or 0) < 0:
        found.error(f"{path}.tcp.maxConnections", "max connections must be non-negative")


def _check_outliers(given: written.OutlierDetection, path: str, found: Findings) -> None:
    if given.consecutive_errors:
        found.warning(f"{path}.consecutiveErrors", "consecutiveErrors is deprecated; use consecutiveGatewayErrors or consecutive5xxErrors", "Deprecated")
    for name, value in (("maxEjectionPercent", given.max_ejection_percent), ("minHealthPercent", given.min_health_percent)):
        if value is not None and not 0 <= value <= 100:
            found.error(f"{path}.{name}", f"percentage {value} is not in range 0..100")
    if given.consecutive_local_origin_failures and not given.split_external_local_origin_errors:
        found.error(f"{path}.consecutiveLocalOriginFailures", "needs splitExternalLocalOriginErrors to be true")


def _check_load_balancer(given: written.LoadBalancer, outliers: bool, path: str, found: Findings) -> None:
    sticky = given.consistent_hash
    if sticky is not None:
        _check_sticky(sticky, f"{path}.consistentHash", found)
    if given.warmup_duration_secs is not None and given.warmup is not None:
        found.error(path, "only one of warmup or warmupDurationSecs can be set")
    if given.locality_lb_setting is not None:
        localities.check(given.locality_lb_setting, outliers, f"{path}.localityLbSetting", found)


def _check_sticky(sticky: written.ConsistentHash, path: str, found: Findings) -> None:
    keys = (sticky.http_header_name, sticky.http_cookie, sticky.use_source_ip, sticky.http_query_parameter_name)
    if all(key is None for key in keys):
        found.warning(path, "without one of httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName requests are not told apart")
    if sticky.http_cookie is not None and sticky.http_cookie.ttl is None:
        found.warning(f"{path}.httpCookie.ttl", "without a ttl the cookie is not generated by the proxy")
    if sticky.minimum_ring_size:
        found.warning(f"{path}.minimumRingSize", "minimumRingSize is deprecated; use ringHash", "Deprecated")
        if sticky.ring_hash is not None or sticky.maglev is not None:
            found.error(path, "only one of minimumRingSize, ringHash and maglev can be set")
    if sticky.maglev is not None:
        size = sticky.maglev.table_size or 0
        if not 0 < size < _LARGEST_MAGLEV or not _is_prime(size):
            found.error(f"{path}.maglev.tableSize", f"tableSize {size} must be a prime number below {_LARGEST_MAGLEV}")


def _is_prime(number: int) -> bool:
    return number in (2, 3) or (number > 3 and number % 2 == 1 and all(number % factor for factor in range(3, math.isqrt(number) + 1, 2)))
