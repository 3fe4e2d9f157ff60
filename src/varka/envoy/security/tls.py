"""TLS on both ends: what a proxy presents, what it accepts, and the ALPN names by which two proxies know each other.

Certificates never travel over ADS: contexts name a secret (`default`, `ROOTCA`) that the agent beside Envoy serves.

ALPN does two jobs. The client's offer, seen by the server's listener before any byte is decrypted, selects the filter
chain: a name that begins with `istio` means mesh mTLS, and one of `istio-http/1.1`, `istio-h2` means HTTP was seen by
the client's side. And the protocol agreed on selects the codec, so the list of the server's side holds `h2` and
`http/1.1` only, and a client offers exactly the one that it will speak. A sniffed port speaks whatever its client did:
there nothing is agreed on, and the server's side tells the codec by the first bytes.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from envoy.config.core.v3 import base_pb2, config_source_pb2, grpc_service_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import any_pb2

from varka.envoy import messages, names, protowire
from varka.model.services import Protocol

TLS_SOCKET = "envoy.transport_sockets.tls"
RAW_SOCKET = "envoy.transport_sockets.raw_buffer"

Combined = tls_pb2.CommonTlsContext.CombinedCertificateValidationContext
UPSTREAM = messages.TYPE_PREFIX + tls_pb2.UpstreamTlsContext.DESCRIPTOR.full_name
COMMON = protowire.number(tls_pb2.UpstreamTlsContext, "common_tls_context")
SNI = protowire.number(tls_pb2.UpstreamTlsContext, "sni")
COMBINED = protowire.number(tls_pb2.CommonTlsContext, "combined_validation_context")
VALIDATION = protowire.number(Combined, "default_validation_context")
NAMES = protowire.number(common_pb2.CertificateValidationContext, "match_typed_subject_alt_names")

HTTP_ALPN = ("h2", "http/1.1")
TCP_ALPN = (names.ALPN_MESH_PEER_EXCHANGE, *HTTP_ALPN)
CIPHERS = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)


def secret_from_agent(name: str, wait: Any = messages.NO_TIME) -> Any:
    """A secret that the agent beside Envoy serves: the workload's own certificate, the roots of the mesh, or a file."""
    source = config_source_pb2.ApiConfigSource(
        api_type=config_source_pb2.ApiConfigSource.GRPC,
        transport_api_version=config_source_pb2.ApiVersion.V3,
        set_node_on_first_message_only=True,
        grpc_services=[grpc_service_pb2.GrpcService(envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=names.SDS_CLUSTER))],
    )
    config = config_source_pb2.ConfigSource(api_config_source=source, resource_api_version=config_source_pb2.ApiVersion.V3, initial_fetch_timeout=wait)
    return secret_pb2.SdsSecretConfig(name=name, sds_config=config)


def kubernetes(name: str) -> str:
    """The name by which a proxy asks the control plane for a Kubernetes Secret."""
    return name if "://" in name else f"kubernetes://{name}"


SECRET_WAIT = messages.duration(3)
"""How long a listener or cluster waits for a Secret or a file. Without it, connections that need it fail and all others work."""
FROM_ADS = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(),
    resource_api_version=config_source_pb2.ApiVersion.V3,
    initial_fetch_timeout=SECRET_WAIT,
)


def secret_from_ads(name: str) -> Any:
    """A secret that the control plane serves, from a Kubernetes Secret; it may not exist."""
    return secret_pb2.SdsSecretConfig(name=name, sds_config=FROM_ADS)


def certificate_from_files(chain: str, key: str) -> Any:
    """A certificate and key in files that the agent reads, again whenever they change."""
    return secret_from_agent(f"file-cert:{chain}~{key}", SECRET_WAIT)


def roots_from_file(path: str) -> Any:
    """Authorities in a file that the agent reads, again whenever it changes; `system` are those of the operating system."""
    return secret_from_agent(f"file-root:{path}", SECRET_WAIT)


WORKLOAD = secret_from_agent(names.WORKLOAD_SECRET)
ROOT = secret_from_agent(names.ROOT_SECRET)
RAW = base_pb2.TransportSocket(name=RAW_SOCKET, typed_config=messages.packed(raw_buffer_pb2.RawBuffer()))
SERVER_PARAMETERS = common_pb2.TlsParameters


def mesh_alpn(protocol: Protocol) -> tuple[str, ...]:
    """What a client offers to another sidecar on a port of this protocol."""
    if protocol.is_http2:
        return ("istio-h2", names.ALPN_MESH, "h2")
    if protocol.is_http:
        return ("istio-http/1.1", names.ALPN_MESH, "http/1.1")
    if protocol is Protocol.AUTO:
        return (names.ALPN_SNIFFED, names.ALPN_MESH)
    return (names.ALPN_MESH_PEER_EXCHANGE, names.ALPN_MESH)


def san_matcher(matcher: Any, kind: int) -> Any:
    """A condition on one kind of subject alternative name."""
    return common_pb2.SubjectAltNameMatcher(san_type=kind, matcher=matcher)


@cache
def _mesh_client_template(alpn: tuple[str, ...]) -> bytes:
    context = tls_pb2.UpstreamTlsContext(
        common_tls_context=tls_pb2.CommonTlsContext(
            tls_params=CLIENT_PARAMETERS,
            alpn_protocols=alpn,
            tls_certificate_sds_secret_configs=(WORKLOAD,),
            combined_validation_context=Combined(validation_context_sds_secret_config=ROOT),
        ),
    )
    return bytes(context.SerializeToString(deterministic=True))


def mesh_client(sni: str, identities: tuple[str, ...], alpn: tuple[str, ...]) -> Any:
    """The socket of a connection to another sidecar, which must prove one of `identities` (none known: any of the mesh)."""
    accepted = b"".join(_uri_matcher(identity) for identity in identities)
    expected = protowire.tagged(COMMON, protowire.tagged(COMBINED, protowire.tagged(VALIDATION, accepted)))
    value = _mesh_client_template(alpn) + expected + protowire.tagged(SNI, sni.encode())
    return base_pb2.TransportSocket(name=TLS_SOCKET, typed_config=any_pb2.Any(type_url=UPSTREAM, value=value))


@lru_cache(maxsize=8192)
def _uri_matcher(identity: str) -> bytes:
    matcher = san_matcher(string_pb2.StringMatcher(exact=identity), common_pb2.SubjectAltNameMatcher.URI)
    return protowire.tagged(NAMES, matcher.SerializeToString(deterministic=True))


@lru_cache(maxsize=64)
def mesh_server(trust_domains: tuple[str, ...], http: bool, min_version: str = "") -> Any:
    """The socket of a listener that asks for a certificate of the mesh: a SPIFFE ID of one of the trust domains."""
    kind = common_pb2.SubjectAltNameMatcher.URI
    accepted = [san_matcher(string_pb2.StringMatcher(prefix=f"spiffe://{domain}/"), kind) for domain in trust_domains]
    context = tls_pb2.DownstreamTlsContext(
        require_client_certificate=messages.TRUE,
        common_tls_context=tls_pb2.CommonTlsContext(
            tls_params=parameters(min_version, "", ()),
            alpn_protocols=HTTP_ALPN if http else TCP_ALPN,
            tls_certificate_sds_secret_configs=[WORKLOAD],
            combined_validation_context=tls_pb2.CommonTlsContext.CombinedCertificateValidationContext(
                default_validation_context=common_pb2.CertificateValidationContext(match_typed_subject_alt_names=accepted),
                validation_context_sds_secret_config=ROOT,
            ),
        ),
    )
    return base_pb2.TransportSocket(name=TLS_SOCKET, typed_config=messages.packed(context))


VERSIONS = {"TLSV1_0": "TLSv1_0", "TLSV1_1": "TLSv1_1", "TLSV1_2": "TLSv1_2", "TLSV1_3": "TLSv1_3"}


def parameters(min_version: str, max_version: str, ciphers: tuple[str, ...]) -> Any:
    """Versions and ciphers of accepted connections; empty means the defaults."""
    versions = SERVER_PARAMETERS.TlsProtocol
    return SERVER_PARAMETERS(
        tls_minimum_protocol_version=versions.Value(VERSIONS.get(min_version, "TLSv1_2")),
        tls_maximum_protocol_version=versions.Value(VERSIONS.get(max_version, "TLSv1_3")),
        cipher_suites=ciphers or CIPHERS,
    )


CLIENT_PARAMETERS = SERVER_PARAMETERS(tls_minimum_protocol_version=SERVER_PARAMETERS.TLSv1_2, tls_maximum_protocol_version=SERVER_PARAMETERS.TLSv1_3)
