"""Gateway: servers with ports, hosts and, where the protocol asks for it, TLS."""

from __future__ import annotations

from varka.resources import ciphers
from varka.resources.parsing import Meta
from varka.resources.traffic import gateways as written
from varka.resources.validation import names, workloads
from varka.resources.validation.findings import Findings

PROTOCOLS = {"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO", "REDIS", "MYSQL", "UDP", "HTTP_PROXY", "HBONE"}
_PLAIN = {"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"}
_ENCRYPTED = {"HTTPS", "TLS"}
_CERTIFIED = {"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"}


def check(spec: written.Gateway, meta: Meta, found: Findings) -> None:
    """Check a whole Gateway."""
    if not spec.servers:
        found.error("spec.servers", "gateway must have at least one server")
    if not names.is_label(meta.name):
        found.error("metadata.name", f"invalid gateway name {meta.name!r}: write a DNS label, without dots")
    ports: set[str] = set()
    for index, server in enumerate(spec.servers):
        path = f"spec.servers[{index}]"
        _check_server(server, path, found)
        name = server.port.name if server.port is not None else ""
        if name and name in ports:
            found.error(f"{path}.port.name", f"port names in servers must be unique: duplicate name {name}")
        ports.add(name)
    named = [server.name for server in spec.servers if server.name]
    if len(set(named)) != len(named):
        found.warning("spec.servers", "duplicate server names")


def _check_server(server: written.Server, path: str, found: Findings) -> None:
    if not server.hosts:
        found.error(f"{path}.hosts", "server config must contain at least one host")
    for index, host in enumerate(server.hosts):
        where, slash, name = host.partition("/")
        names.check_host(where if slash else "*", name if slash else host, f"{path}.hosts[{index}]", found, addresses=True)
    if server.port is None:
        found.error(f"{path}.port", "port is required")
        return
    _check_port(server.port, server.bind, path, found)
    if server.default_endpoint:
        found.warning(f"{path}.defaultEndpoint", "defaultEndpoint has no effect on gateways")
    _check_tls(server.tls, server.port.protocol.upper(), path, found)


def _check_port(port: written.Port, bind: str, path: str, found: Findings) -> None:
    socket = bind.startswith("unix://")
    if socket and port.number:
        found.error(f"{path}.port.number", "port number must be 0 for a unix domain socket")
    elif not socket:
        names.check_port(port.number, f"{path}.port.number", found)
    if port.protocol.upper() not in PROTOCOLS:
        found.error(f"{path}.port.protocol", f"invalid protocol {port.protocol!r}, supported protocols are HTTP, HTTP2, GRPC, HTTPS, TLS, TCP, MONGO")
    if port.target_port:
        found.error(f"{path}.port.targetPort", "targetPort has no impact on Gateways; the Service of the gateway has one")
    if socket:
        workloads.check_socket(bind, f"{path}.bind", found)
    elif bind and not names.is_ip(bind):
        found.error(f"{path}.bind", f"{bind!r} is not an IP address or a unix:// path")


def _check_tls(tls: written.ServerTls | None, protocol: str, path: str, found: Findings) -> None:
    if tls is None:
        if protocol in {"HTTPS", "TLS"}:
            found.error(f"{path}.tls", f"server must have TLS settings for {protocol} protocol")
        return
    if tls.https_redirect and protocol not in _PLAIN:
        found.warning(f"{path}.tls.httpsRedirect", f"tls.httpsRedirect should only be used with http servers, not {protocol}")
    if protocol not in _ENCRYPTED:
        certified = tls.ca_certificates or tls.private_key or tls.server_certificate
        if protocol not in _PLAIN or certified or tls.mode not in {None, "PASSTHROUGH", "AUTO_PASSTHROUGH"}:
            found.error(f"{path}.tls", f"server cannot have TLS settings for port of protocol {protocol}; use HTTPS or TLS")
    check_server_tls(tls, f"{path}.tls", found)


def check_server_tls(tls: written.ServerTls, path: str, found: Findings) -> None:
    """Check TLS of accepted connections."""
    stored = tls.credential_name or tls.credential_names or tls.tls_certificates
    if tls.mode == "ISTIO_MUTUAL":
        given = (tls.server_certificate, tls.private_key, tls.ca_certificates, tls.credential_name, tls.credential_names)
        if any(given):
            found.error(path, "ISTIO_MUTUAL TLS cannot have certificates or a credentialName; the mesh provides them")
    elif tls.mode in _CERTIFIED and not stored:
        if not tls.server_certificate:
            found.error(f"{path}.serverCertificate", f"{tls.mode} TLS requires a server certificate or a credentialName")
        if not tls.private_key:
            found.error(f"{path}.privateKey", f"{tls.mode} TLS requires a private key or a credentialName")
        if tls.mode != "SIMPLE" and not tls.ca_certificates:
            found.error(f"{path}.caCertificates", f"{tls.mode} TLS requires a client CA bundle or a credentialName")
    if tls.mode in {"PASSTHROUGH", "AUTO_PASSTHROUGH"} and (tls.ca_crl or tls.server_certificate or tls.private_key or tls.ca_certificates or stored):
        found.warning(path, f"{tls.mode} does not use certificates, they are ignored")
    if tls.ca_crl and tls.mode == "SIMPLE":
        found.error(f"{path}.caCrl", "a list of revoked certificates needs clients with certificates, mode MUTUAL")
    if tls.min_protocol_version in {"TLSV1_0", "TLSV1_1"} and not tls.cipher_suites:
        found.warning(f"{path}.minProtocolVersion", "versions below TLSV1_2 need cipherSuites that fit them, the default has none")
    if len(set(tls.cipher_suites)) != len(tls.cipher_suites):
        found.warning(f"{path}.cipherSuites", "ignoring duplicate cipher suites")
    for name in tls.cipher_suites:
        if name not in ciphers.KNOWN:
            found.warning(f"{path}.cipherSuites", f"ignoring invalid cipher suite {name!r}; known are {', '.join(sorted(ciphers.KNOWN))}")
    if tls.min_protocol_version and tls.max_protocol_version:
        versions = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
        low, high = versions.index(tls.min_protocol_version), versions.index(tls.max_protocol_version)
        if 0 < high < low:
            found.error(path, f"minProtocolVersion {tls.min_protocol_version} is above maxProtocolVersion {tls.max_protocol_version}")
