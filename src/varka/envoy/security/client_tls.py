"""TLS that a proxy begins towards a server outside the mesh (SIMPLE and MUTUAL): what it presents and whom it believes.

Without trust of its own the system's authorities count. A server name that nobody chose is the host that the request
is for, and then so is the name that the server's certificate must carry.
"""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from varka.envoy import messages
from varka.envoy.security import tls
from varka.model.traffic import ClientTls, TlsMode

CA_SUFFIX = "-cacert"
SYSTEM = "system"
"""The authorities of the operating system."""


def names_itself(settings: ClientTls) -> bool:
    """Whether the server name is taken from each request: nobody chose one."""
    return settings.mode in {TlsMode.SIMPLE, TlsMode.MUTUAL} and not settings.sni


def socket(settings: ClientTls, sni: str, identities: tuple[str, ...], alpn: tuple[str, ...]) -> Any:
    """The socket for SIMPLE and MUTUAL; `identities` are the service's names where the settings have none."""
    kind = common_pb2.SubjectAltNameMatcher
    context = tls_pb2.CommonTlsContext(alpn_protocols=alpn)
    accepted = settings.subject_alt_names or identities
    expected = [tls.san_matcher(string_pb2.StringMatcher(exact=name), kind.URI if "://" in name else kind.DNS) for name in accepted]
    if not settings.insecure_skip_verify:
        _trust(context, settings, common_pb2.CertificateValidationContext(match_typed_subject_alt_names=expected))
    if settings.mode is TlsMode.MUTUAL:
        if settings.credential_name:
            context.tls_certificate_sds_secret_configs.append(tls.secret_from_ads(tls.kubernetes(settings.credential_name)))
        elif settings.client_certificate:
            context.tls_certificate_sds_secret_configs.append(tls.certificate_from_files(settings.client_certificate, settings.private_key))
    made = tls_pb2.UpstreamTlsContext(sni=settings.sni or sni, common_tls_context=context)
    return base_pb2.TransportSocket(name=tls.TLS_SOCKET, typed_config=messages.packed(made))


def _trust(context: Any, settings: ClientTls, validation: Any) -> None:
    if settings.ca_crl:
        validation.crl.filename = settings.ca_crl
    if settings.credential_name:
        source = tls.secret_from_ads(tls.kubernetes(settings.credential_name).removesuffix(CA_SUFFIX) + CA_SUFFIX)
    else:
        source = tls.roots_from_file(settings.ca_certificates or SYSTEM)
    combined = context.combined_validation_context
    combined.default_validation_context.CopyFrom(validation)
    combined.validation_context_sds_secret_config.CopyFrom(source)
