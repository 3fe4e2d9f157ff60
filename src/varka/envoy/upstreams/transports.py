"""What lies between a cluster's connection and the bytes on the wire: TLS of the mesh, TLS of others, the PROXY header, or nothing.

Without a policy the endpoints decide: mesh mTLS for those that have a sidecar, plain bytes for the others.
"""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, proxy_protocol_pb2
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2
from msgspec import Struct

from varka.envoy import messages, names
from varka.envoy.security import client_tls, tls
from varka.envoy.upstreams import upstream_protocols
from varka.model.services import Endpoint, Service, ServicePort
from varka.model.traffic import ClientTls, TlsMode, TrafficPolicy
from varka.model.view import MeshSettings

Cluster = cluster_pb2.Cluster
PROXY_SOCKET = "envoy.transport_sockets.upstream_proxy_protocol"


class Target(Struct, frozen=True, kw_only=True):
    """Whom a cluster stands for; `known` matters only where its type leaves no endpoints to look at."""

    service: Service
    port: ServicePort
    subset: str
    known: tuple[Endpoint, ...]


def apply(cluster: Any, target: Target, policy: TrafficPolicy, mesh: MeshSettings) -> None:
    """Give a cluster its transport socket, or one for each kind of endpoint."""
    if policy.tls is None:
        if mesh.enable_auto_mtls and not (target.service.mesh_external and target.port.protocol.is_tls):
            _apply_auto_mtls(cluster, target)
    else:
        _apply_tls(cluster, target, policy.tls)
    if policy.proxy_protocol:
        _announce_client(cluster, policy.proxy_protocol)


def server_names(service: Service, policy: TrafficPolicy) -> upstream_protocols.ServerNames:
    """Where the server name of a TLS connection comes from, and whether the certificate is checked against it."""
    settings = policy.tls
    if settings is None or not client_tls.names_itself(settings):
        return upstream_protocols.ServerNames()
    known = settings.subject_alt_names or _names_of(service, settings)
    return upstream_protocols.ServerNames(from_request=True, checked=not known and not settings.insecure_skip_verify)


def _apply_tls(cluster: Any, target: Target, settings: ClientTls) -> None:
    service, port = target.service, target.port
    if settings.mode is TlsMode.DISABLE:
        return
    if settings.mode is TlsMode.ISTIO_MUTUAL:
        sni = settings.sni or names.outbound_sni(port.number, target.subset, service.hostname)
        identities = settings.subject_alt_names or service.service_accounts
        cluster.transport_socket.CopyFrom(tls.mesh_client(sni, identities, tls.mesh_alpn(port.protocol)))
        return
    alpn = ("h2",) if port.protocol.is_http2 else ()
    host = "" if service.hostname.startswith("*") else service.hostname
    cluster.transport_socket.CopyFrom(client_tls.socket(settings, host, _names_of(service, settings), alpn))


def _names_of(service: Service, settings: ClientTls) -> tuple[str, ...]:
    """The names that a ServiceEntry gives its servers; a Kubernetes service's identities are those of sidecars."""
    if settings.insecure_skip_verify or service.registry == "Kubernetes":
        return ()
    return tuple(name for name in service.service_accounts if not name.startswith("spiffe://"))


def _apply_auto_mtls(cluster: Any, target: Target) -> None:
    """mTLS to the endpoints that have a sidecar, plain bytes to the others.

    Which is which stands in the endpoint's metadata. A cluster that takes the address from the connection has no
    endpoints to look at: there it is mTLS only if all that are known can do it.
    """
    service, port = target.service, target.port
    sni = names.outbound_sni(port.number, target.subset, service.hostname)
    if cluster.type == Cluster.ORIGINAL_DST:
        if target.known and all(endpoint.mutual_tls for endpoint in target.known):
            cluster.transport_socket.CopyFrom(tls.mesh_client(sni, service.service_accounts, tls.mesh_alpn(port.protocol)))
        return
    socket = tls.mesh_client(sni, service.service_accounts, tls.mesh_alpn(port.protocol))
    cluster.transport_socket_matches.add(name="tlsMode-istio", match=ISTIO_MODE, transport_socket=socket)
    cluster.transport_socket_matches.append(WITHOUT_MTLS)


def _announce_client(cluster: Any, version: str) -> None:
    """Send the PROXY header, with the client's address, before anything else."""
    if not cluster.transport_socket_matches:
        cluster.transport_socket.CopyFrom(_wrapped(cluster.transport_socket if cluster.HasField("transport_socket") else tls.RAW, version))
    for match in cluster.transport_socket_matches:
        match.transport_socket.CopyFrom(_wrapped(match.transport_socket, version))


def _wrapped(socket: Any, version: str) -> Any:
    config = proxy_protocol_pb2.ProxyProtocolConfig(version=proxy_protocol_pb2.ProxyProtocolConfig.Version.Value(version))
    made = upstream_proxy_protocol_pb2.ProxyProtocolUpstreamTransport(config=config, transport_socket=socket)
    return base_pb2.TransportSocket(name=PROXY_SOCKET, typed_config=messages.packed(made))


ISTIO_MODE = messages.struct({names.TLS_MODE_KEY: names.TLS_MODE_ISTIO})
WITHOUT_MTLS = Cluster.TransportSocketMatch(name="tlsMode-disabled", match=messages.struct({}), transport_socket=tls.RAW)
