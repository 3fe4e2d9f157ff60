"""Gateway: servers with ports, hosts and, where the protocol asks for it, TLS."""

from __future__ import annotations

from varka.resources import ciphers
from varka.resources.parsing import Meta
from varka.resources.traffic import gateways as written
from varka.resources.validation import names
from varka.resources.validation.findings import Findings

PROTOCOLS = {"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTPS", "TLS", "TCP", "MONGO", "REDIS", "MYSQL", "UDP", "HTTP_PROXY", "HBONE"}
_PLAIN = {"HTTP", "HTTP2", "GRPC", "GRPC-WEB", "HTTP_PROXY"}
_CERTIFIED = {"SIMPLE", "MUTUAL", "OPTIONAL_MUTUAL"}


def check(spec: written.Gateway, meta: Meta, found: Findings) -> None:
    """Check a whole Gateway."""
    if not spec.servers:
        found.error("spec.servers", "gateway must have at least one server")
    if "." in meta.name:
        found.warning("metadata.name", f"gateway name {meta.name!r} has a dot, which older references by name.namespace cannot express")
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
        found.error("spec.servers", "duplicate server names")


def _check_server(server: written.Server, path: str, found: Findings) -> None:
    if not server.hosts:
        found.error(f"{path}.hosts", "server config must contain at least one host")
    for index, host in enumerate(server.hosts):
        check_host(host, f"{path}.hosts[{index}]", found)
    if server.port is None:
        found.error(f"{path}.port", "port is required")
        return
    names.check_port(server.port.number, f"{path}.port.number", found)
    protocol = server.port.protocol.upper()
    if protocol not in PROTOCOLS:
        found.error(f"{path}.port.protocol", f"invalid protocol {server.port.protocol!r}, supported protocols are HTTP, HTTP2, GRPC, HTTPS, TLS, TCP, MONGO")
    if server.bind and not names.is_ip(server.bind) and not server.bind.startswith("unix://"):
        found.error(f"{path}.bind", f"{server.bind!r} is not an IP address or a unix:// path")
    if server.default_endpoint:
        found.warning(f"{path}.defaultEndpoint", "defaultEndpoint has no effect on gateways")
    _check_tls(server.tls, protocol, path, found)


def check_host(host: str, path: str, found: Findings) -> None:
    """Check a host of a server, with its namespace if it has one."""
    where, slash, name = host.partition("/")
    if slash and where not in {"*", "."} and not names.is_label(where):
        found.error(path, f"invalid namespace value {where!r} in {host!r}")
    name = name if slash else host
    if names.is_partial_wildcard(name):
        found.error(path, f'partial wildcard "{name}" not allowed')
    elif not names.is_ip(name):
        names.check_domain(name, path, found)


def _check_tls(tls: written.ServerTls | None, protocol: str, path: str, found: Findings) -> None:
    if tls is None:
        if protocol in {"HTTPS", "TLS"}:
            found.error(f"{path}.tls", f"server must have TLS settings for {protocol} protocol")
        return
    if protocol in _PLAIN:
        if tls.mode is not None and tls.mode != "PASSTHROUGH":
            found.warning(f"{path}.tls", "tls.mode is ignored on plain HTTP ports; use protocol HTTPS to terminate TLS")
        return
    if tls.https_redirect:
        found.error(f"{path}.tls.httpsRedirect", f"tls.httpsRedirect should only be used with http servers, not {protocol}")
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
    for name in tls.cipher_suites:
        if name not in ciphers.KNOWN:
            found.warning(f"{path}.cipherSuites", f"ignoring invalid cipher suite {name!r}; known are {', '.join(sorted(ciphers.KNOWN))}")
    if tls.min_protocol_version and tls.max_protocol_version:
        versions = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
        low, high = versions.index(tls.min_protocol_version), versions.index(tls.max_protocol_version)
        if 0 < high < low:
            found.error(path, f"minProtocolVersion {tls.min_protocol_version} is above maxProtocolVersion {tls.max_protocol_version}")
