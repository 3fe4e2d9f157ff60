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
_PASSED = {None, "", "PASSTHROUGH", "AUTO_PASSTHROUGH"}
"""Modes that leave TLS as it is; PASSTHROUGH is the default."""


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
        found.error(f"{path}.port.number", "port number must be 0 for unix domain socket")
    elif not socket:
        names.check_port(port.number, f"{path}.port.number", found)
    if port.protocol.upper() not in PROTOCOLS:
        found.error(f"{path}.port.protocol", f"invalid protocol {port.protocol!r}, supported protocols are HTTP, HTTP2, GRPC, HTTPS, TLS, TCP, MONGO")
    if port.target_port:
        found.error(f"{path}.port.targetPort", "targetPort has no impact on Gateways; the Service of the gateway has one")
    if socket:
        workloads.check_socket(bind, f"{path}.bind", found)
    elif bind and not names.is_ip(bind):
        found.error(f"{path}.bind", f"{bind} is not a valid IP address, nor a unix:// path")


def _check_tls(tls: written.ServerTls | None, protocol: str, path: str, found: Findings) -> None:
    if tls is None:
        if protocol in {"HTTPS", "TLS"}:
            found.error(f"{path}.tls", f"server must have TLS settings for {protocol} protocol")
        return
    if tls.https_redirect and protocol not in _PLAIN:
        found.warning(f"{path}.tls.httpsRedirect", f"tls.httpsRedirect should only be used with http servers, not {protocol}")
    if protocol not in _ENCRYPTED:
        certified = tls.ca_certificates or tls.private_key or tls.server_certificate
        if protocol not in _PLAIN or certified or tls.mode not in _PASSED:
            found.error(f"{path}.tls", f"server cannot have TLS settings for port of protocol {protocol}; use HTTPS or TLS")
    check_server_tls(tls, f"{path}.tls", found)


def check_server_tls(tls: written.ServerTls, path: str, found: Findings) -> None:
    """Check TLS of accepted connections."""
    _check_versions(tls, path, found)
    files = tls.server_certificate or tls.private_key or tls.ca_certificates
    stored = tls.credential_name or tls.credential_names
    if tls.mode == "ISTIO_MUTUAL":
        if files or stored or tls.tls_certificates:
            found.error(path, "ISTIO_MUTUAL TLS cannot have associated certificates or a credentialName; the mesh provides them")
        return
    if tls.mode in _PASSED and (files or stored or tls.tls_certificates or tls.ca_crl):
        found.warning(path, f"{tls.mode or 'PASSTHROUGH'} mode does not use certificates, they will be ignored")
    if sum(map(bool, (tls.server_certificate and tls.private_key, tls.credential_name, tls.credential_names, tls.tls_certificates))) > 1:
        found.error(path, "only one of credentialName, credentialNames, serverCertificate with privateKey, tlsCertificates should be specified")
    if tls.mode in _CERTIFIED and not stored:
        _check_files(tls, path, found)
    if tls.ca_crl and tls.credential_name and tls.mode not in _CERTIFIED:
        found.error(f"{path}.caCrl", "CRL is not supported with credentialName: it belongs into the credential")
    if tls.ca_crl and tls.mode == "SIMPLE":
        found.error(f"{path}.caCrl", "CRL is not supported with SIMPLE TLS")


def _check_files(tls: written.ServerTls, path: str, found: Findings) -> None:
    """Certificates and keys in files, as a mode with certificates needs them."""
    mode = "SIMPLE TLS" if tls.mode == "SIMPLE" else "MUTUAL TLS"
    if tls.mode != "SIMPLE" and not tls.ca_certificates:
        found.error(f"{path}.caCertificates", f"{mode} requires a client CA bundle or a credentialName")
    pairs: list[tuple[str, written.ServerTls | written.TlsCertificate]]
    pairs = [(f"{path}.tlsCertificates[{index}]", item) for index, item in enumerate(tls.tls_certificates)]
    for where, given in pairs or [(path, tls)]:
        if not given.server_certificate:
            found.error(f"{where}.serverCertificate", f"{mode} requires a server certificate or a credentialName")
        if not given.private_key:
            found.error(f"{where}.privateKey", f"{mode} requires a private key or a credentialName")


def _check_versions(tls: written.ServerTls, path: str, found: Findings) -> None:
    if tls.min_protocol_version in {"TLSV1_0", "TLSV1_1"} and not tls.cipher_suites:
        found.warning(f"{path}.minProtocolVersion", "TLS below version 1.2 needs cipherSuites that go with it; the default has none")
    for index, name in enumerate(tls.cipher_suites):
        if name not in ciphers.KNOWN:
            found.warning(f"{path}.cipherSuites", f"ignoring invalid cipher suite {name!r}; known are {', '.join(sorted(ciphers.KNOWN))}")
        elif name in tls.cipher_suites[:index]:
            found.warning(f"{path}.cipherSuites", f"ignoring duplicate cipher suite {name!r}")
    if tls.min_protocol_version and tls.max_protocol_version:
        versions = ("TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3")
        low, high = versions.index(tls.min_protocol_version), versions.index(tls.max_protocol_version)
        if 0 < high < low:
            found.error(path, f"minProtocolVersion {tls.min_protocol_version} is above maxProtocolVersion {tls.max_protocol_version}")
