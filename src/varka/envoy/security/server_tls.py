"""TLS that a gateway ends: which certificates it presents, and which it asks its clients for.

Certificates come from Kubernetes Secrets by name (the control plane serves them), from files of the gateway's container
(its agent serves them, again whenever they change), or are the mesh's own (ISTIO_MUTUAL).
"""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from varka.envoy import messages
from varka.envoy.security import tls
from varka.model.traffic import ServerTls, ServerTlsMode

ASKING = frozenset({ServerTlsMode.MUTUAL, ServerTlsMode.OPTIONAL_MUTUAL})
CA_SUFFIX = "-cacert"


def _authorities(settings: ServerTls) -> str:
    """The secret with the authorities of clients; empty when they are in a file."""
    name = settings.ca_credential_name or next(iter(settings.credential_names), "")
    return tls.kubernetes(name.removesuffix(CA_SUFFIX) + CA_SUFFIX) if name else ""


def socket(settings: ServerTls, alpn: tuple[str, ...], trust_domains: tuple[str, ...]) -> Any:
    """The socket of a gateway's HTTPS or TLS server."""
    if settings.mode is ServerTlsMode.ISTIO_MUTUAL:
        return tls.mesh_server(trust_domains, bool(alpn), settings.min_version)
    context = tls_pb2.CommonTlsContext(tls_params=tls.parameters(settings.min_version, settings.max_version, settings.cipher_suites), alpn_protocols=alpn)
    for name in settings.credential_names:
        context.tls_certificate_sds_secret_configs.append(tls.secret_from_ads(tls.kubernetes(name)))
    if not settings.credential_names:
        for pair in settings.certificates:
            context.tls_certificate_sds_secret_configs.append(tls.certificate_from_files(pair.certificate, pair.private_key))
    if settings.mode in ASKING:
        _accept_clients(context, settings)
    made = tls_pb2.DownstreamTlsContext(common_tls_context=context, require_client_certificate=messages.boolean(settings.mode is ServerTlsMode.MUTUAL))
    return base_pb2.TransportSocket(name=tls.TLS_SOCKET, typed_config=messages.packed(made))


def _accept_clients(context: Any, settings: ServerTls) -> None:
    kind = common_pb2.SubjectAltNameMatcher
    validation = common_pb2.CertificateValidationContext(
        verify_certificate_spki=settings.verify_certificate_spki,
        verify_certificate_hash=settings.verify_certificate_hash,
        match_typed_subject_alt_names=[
            tls.san_matcher(string_pb2.StringMatcher(exact=name), kind.URI if "://" in name else kind.DNS) for name in settings.subject_alt_names
        ],
    )
    if settings.ca_crl:
        validation.crl.filename = settings.ca_crl
    authorities = _authorities(settings)
    combined = context.combined_validation_context
    combined.default_validation_context.CopyFrom(validation)
    source = tls.secret_from_ads(authorities) if authorities else tls.roots_from_file(settings.ca_certificates)
    combined.validation_context_sds_secret_config.CopyFrom(source)
