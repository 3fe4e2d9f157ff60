"""Sidecar: listeners with ports and hosts that do not get in each other's way."""

from __future__ import annotations

from varka.resources.parsing import Meta
from varka.resources.traffic import sidecars as written
from varka.resources.traffic.destination_rules import HttpPool
from varka.resources.validation import destination_rules, http_routes, names, workloads
from varka.resources.validation.findings import Findings
from varka.resources.validation.gateways import PROTOCOLS, check_server_tls

_HTTP = {"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", ""}


def check(spec: written.Sidecar, meta: Meta, found: Findings) -> None:
    """Check a whole Sidecar."""
    if spec.workload_selector is not None:
        if not spec.workload_selector.labels:
            found.warning("spec.workloadSelector", "workload selector specified without labels, it applies to the whole namespace")
        names.check_match_labels(spec.workload_selector.labels, "spec.workloadSelector.labels", found)
    if not (spec.egress or spec.ingress or spec.inbound_connection_pool or spec.outbound_traffic_policy):
        found.error("spec", "sidecar: empty configuration provided")
    ports: set[int] = set()
    for index, listener in enumerate(spec.ingress):
        path = f"spec.ingress[{index}]"
        _check_ingress(listener, path, found)
        number = listener.port.number if listener.port is not None else 0
        if number in ports:
            found.error(f"{path}.port.number", f"sidecar: ports on IP bound listeners must be unique: {number}")
        ports.add(number)
    _check_egress(spec, found)
    _check_duplicate_hosts(spec, meta.namespace, found)
    if spec.inbound_connection_pool is not None:
        destination_rules.check_connection_pool(spec.inbound_connection_pool, "spec.inboundConnectionPool", found)
    if spec.outbound_traffic_policy is not None:
        _check_policy(spec.outbound_traffic_policy, found)


def _check_ingress(listener: written.IngressListener, path: str, found: Findings) -> None:
    if listener.port is None:
        found.error(f"{path}.port", "sidecar: port is required for ingress listeners")
        return
    names.check_port(listener.port.number, f"{path}.port.number", found)
    protocol = listener.port.protocol.upper()
    _check_port(listener.port, path, found)
    if listener.bind and not names.is_ip(listener.bind):
        found.error(f"{path}.bind", f"{listener.bind!r} is not an IP address")
    _check_endpoint(listener.default_endpoint, f"{path}.defaultEndpoint", found)
    if listener.tls is not None:
        _check_tls(listener, protocol, f"{path}.tls", found)
    if listener.connection_pool is not None:
        destination_rules.check_connection_pool(listener.connection_pool, f"{path}.connectionPool", found)
        http = listener.connection_pool.http
        if http is not None and http != HttpPool() and protocol not in _HTTP:
            found.warning(f"{path}.connectionPool.http", f"sidecar: HTTP connection pool settings have no effect on {protocol} ports")


def _check_port(port: written.SidecarPort, path: str, found: Findings) -> None:
    if port.protocol and port.protocol.upper() not in PROTOCOLS:
        found.error(f"{path}.port.protocol", f"invalid protocol {port.protocol!r}")
    if port.target_port:
        found.error(f"{path}.port.targetPort", "targetPort has no impact on Sidecars")
    if port.name and not names.is_label(port.name):
        found.error(f"{path}.port.name", f"invalid port name {port.name!r}")


def _check_endpoint(endpoint: str, path: str, found: Findings) -> None:
    if not endpoint:
        return
    if endpoint.startswith("unix://"):
        workloads.check_socket(endpoint, path, found)
        return
    address, _, port = endpoint.rpartition(":")
    if address not in {"", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"}:
        found.error(path, f"{endpoint!r} must be 127.0.0.1, 0.0.0.0, [::1] or [::] and a port, or a unix:// path")
    if not port.isdecimal() or not 1 <= int(port) <= 65535:
        found.error(path, f"{endpoint!r} has no valid port")


def _check_tls(listener: written.IngressListener, protocol: str, path: str, found: Findings) -> None:
    tls = listener.tls
    if tls is None:
        return
    if tls.mode in {"ISTIO_MUTUAL", "AUTO_PASSTHROUGH"}:
        found.error(f"{path}.mode", f"sidecar: TLS mode {tls.mode} is not supported for ingress listeners")
    if protocol not in {"HTTPS", "TLS"}:
        found.error(path, f"sidecar: server TLS needs protocol HTTPS or TLS, not {protocol or 'none'}")
    if tls.subject_alt_names:
        found.error(f"{path}.subjectAltNames", "sidecar: subjectAltNames is not supported in ingress tls")
    if tls.https_redirect:
        found.error(f"{path}.httpsRedirect", "sidecar: httpsRedirect is not supported")
    for name, given in (("credentialName", tls.credential_name), ("credentialNames", tls.credential_names), ("tlsCertificates", tls.tls_certificates)):
        if given:
            found.error(f"{path}.{name}", f"sidecar: {name} is not currently supported")
    check_server_tls(tls, path, found)


def _check_egress(spec: written.Sidecar, found: Findings) -> None:
    seen: set[str] = set()
    catch_alls = [index for index, listener in enumerate(spec.egress) if listener.port is None]
    if catch_alls and catch_alls[0] != len(spec.egress) - 1:
        found.error(f"spec.egress[{catch_alls[0]}]", "sidecar: the egress listener with empty port should be the last listener in the list")
    for index, listener in enumerate(spec.egress):
        path = f"spec.egress[{index}]"
        if not listener.hosts:
            found.error(f"{path}.hosts", "sidecar: egress listener must contain at least one host")
        for number, host in enumerate(listener.hosts):
            _check_host(host, f"{path}.hosts[{number}]", found)
        key = "" if listener.port is None else str(listener.port.number or listener.bind)
        if key in seen:
            found.error(path, f"sidecar: ports and sockets of egress listeners must be unique: {key or 'no port'} is taken twice")
        seen.add(key)
        _check_bind(listener, path, found)


def _check_bind(listener: written.EgressListener, path: str, found: Findings) -> None:
    if listener.port is None:
        return
    if listener.port.number == 0:
        if listener.bind.startswith("unix://"):
            workloads.check_socket(listener.bind, f"{path}.bind", found)
        else:
            found.error(f"{path}.bind", "sidecar: a port with number 0 must have a unix:// path to bind to")
        if listener.capture_mode not in {"DEFAULT", "NONE"}:
            found.error(f"{path}.captureMode", "sidecar: captureMode must be DEFAULT/NONE for unix domain socket listeners")
    else:
        names.check_port(listener.port.number, f"{path}.port.number", found)
        if listener.bind and not names.is_ip(listener.bind):
            found.error(f"{path}.bind", f"{listener.bind!r} is not an IP address; a unix:// path goes with port number 0")
    _check_port(listener.port, path, found)


def _check_host(host: str, path: str, found: Findings) -> None:
    where, slash, name = host.partition("/")
    if not slash or not where or not name:
        found.error(path, f"{host!r} is not of the form namespace/dnsName")
        return
    names.check_host("*" if where == "~" else where, name, path, found)


def _check_duplicate_hosts(spec: written.Sidecar, namespace: str, found: Findings) -> None:
    """Warn of hosts that a wildcard of the same listener has taken already."""
    for index, listener in enumerate(spec.egress):
        seen: dict[str, set[str]] = {}
        for host in listener.hosts:
            where, slash, name = host.partition("/")
            if not slash:
                continue
            taken = seen.setdefault(namespace if where == "." else where, set())
            if name in taken or "*" in taken or (name == "*" and taken):
                found.warning(f"spec.egress[{index}].hosts", f"{host!r} is there twice: one entry includes the other", "Duplicate")
            taken.add(name)
        if "*" in seen.get("*", ()) and len(seen) > 1:
            found.warning(f"spec.egress[{index}].hosts", "'*/*' includes all other hosts", "Duplicate")


def _check_policy(policy: written.OutboundTrafficPolicy, found: Findings) -> None:
    proxy = policy.egress_proxy
    if proxy is None:
        return
    path = "spec.outboundTrafficPolicy.egressProxy"
    if policy.mode != "ALLOW_ANY":
        found.error(path, "sidecar: egress_proxy must be set only with ALLOW_ANY outbound_traffic_policy mode")
    if proxy.port is None:
        found.error(f"{path}.port", "sidecar: egress_proxy must have a port")
    if names.check_domain(proxy.host, f"{path}.host", found, wildcard=False):
        http_routes.check_destination(proxy, path, found)
