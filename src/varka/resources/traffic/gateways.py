"""Gateway: which ports and hosts a proxy at the edge of the mesh serves."""

from __future__ import annotations

from typing import Annotated, Literal

from varka.resources.schema import Schema, Spec, UInt32

_TLS_RULES = (
    (
        "(has(self.tlsCertificates) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1",
        "only one of credentialNames or tlsCertificates can be set",
    ),
    (
        "(has(self.credentialName) ? 1 : 0) + (has(self.credentialNames) ? 1 : 0) <= 1",
        "only one of credentialName or credentialNames can be set",
    ),
)
TlsVersion = Literal["TLS_AUTO", "TLSV1_0", "TLSV1_1", "TLSV1_2", "TLSV1_3"]


class Port(Spec):
    """A port that is listened on."""

    number: Annotated[UInt32, Schema(required=True)] = 0
    protocol: Annotated[str, Schema(required=True)] = ""
    name: Annotated[str, Schema(required=True)] = ""
    target_port: UInt32 | None = None


class TlsCertificate(Spec):
    """Paths of a certificate chain and its key."""

    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""


class ServerTls(Spec):
    """TLS of the connections that are accepted."""

    schema_rules = _TLS_RULES

    https_redirect: bool = False
    mode: Literal["PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"] | None = None
    server_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    ca_crl: str = ""
    credential_name: str = ""
    credential_names: Annotated[tuple[str, ...], Schema(minItems=1, maxItems=2)] = ()
    ca_cert_credential_name: str = ""
    tls_certificates: Annotated[tuple[TlsCertificate, ...], Schema(minItems=1, maxItems=2)] = ()
    subject_alt_names: tuple[str, ...] = ()
    verify_certificate_spki: tuple[str, ...] = ()
    verify_certificate_hash: tuple[str, ...] = ()
    min_protocol_version: TlsVersion | None = None
    max_protocol_version: TlsVersion | None = None
    cipher_suites: tuple[str, ...] = ()


class Server(Spec):
    """One port with its hosts, and TLS if it has any."""

    port: Annotated[Port | None, Schema(required=True)] = None
    bind: str = ""
    hosts: Annotated[tuple[str, ...], Schema(required=True)] = ()
    tls: ServerTls | None = None
    default_endpoint: str = ""
    name: str = ""


class Gateway(Spec):
    """Servers for the proxies that carry the labels of `selector`."""

    servers: tuple[Server, ...] = ()
    selector: dict[str, str] = {}
