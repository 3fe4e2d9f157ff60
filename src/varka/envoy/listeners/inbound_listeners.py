"""The listener for connections to the application: `virtualInbound` on port 15006, with a set of filter chains a port.

Which connections a port takes follows from its mTLS mode. STRICT takes mesh mTLS only, DISABLE plain bytes only,
PERMISSIVE both: there the ALPN names that a sidecar offers tell mesh mTLS from TLS of the application's own. Ports that no
service points at are served by chains without a port, under the workload's mode, so that nothing goes around it.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2
from msgspec import Struct

from varka.base.wire import WireResource
from varka.envoy import memo, messages, names
from varka.envoy.listeners import chains, http_connection_manager, http_filters, listener_filters, tcp_proxies
from varka.envoy.observing import access_log, labels, stats
from varka.envoy.routing import routes
from varka.envoy.security import jwt, peers, rbac, server_tls, tls
from varka.model.security import MutualTlsMode
from varka.model.services import Protocol
from varka.model.view import InboundPort, ProxyView

MESH_TCP = (names.ALPN_MESH, names.ALPN_MESH_PEER_EXCHANGE)
MESH_ALL = (*MESH_TCP, *names.ALPN_MESH_HTTP)
PASSTHROUGH_PORT = 0


class Speaks(StrEnum):
    """What is known of a port's protocol before a connection comes."""

    HTTP = "http"
    TCP = "tcp"
    UNKNOWN = "unknown"


class Option(Struct, frozen=True, kw_only=True):
    """One kind of connection that a port takes, and how it is read."""

    transport: str
    protocols: tuple[str, ...] = ()
    http: bool = False
    mutual_tls: bool = False
    own_tls: bool = False
    """The proxy takes the TLS off that a Sidecar describes."""


def options(mode: MutualTlsMode, speaks: Speaks) -> tuple[Option, ...]:
    """The kinds of connections that a port with this mode and protocol takes."""
    http = speaks is Speaks.HTTP
    tls_http = Option(transport=chains.TLS, protocols=names.ALPN_MESH_HTTP, http=True, mutual_tls=True)
    if mode is MutualTlsMode.STRICT:
        if speaks is Speaks.UNKNOWN:
            return (tls_http, Option(transport=chains.TLS, mutual_tls=True))
        return (Option(transport=chains.TLS, http=http, mutual_tls=True),)
    plain_http = Option(transport=chains.RAW, protocols=chains.PLAIN_HTTP, http=True)
    if mode is MutualTlsMode.DISABLE:
        if speaks is not Speaks.UNKNOWN:
            return (Option(transport="", http=http),)
        return (plain_http, Option(transport=chains.RAW), Option(transport=chains.TLS))
    if http:
        return (Option(transport=chains.TLS, protocols=MESH_ALL, http=True, mutual_tls=True), Option(transport=chains.RAW, http=True))
    own_tls, plain = Option(transport=chains.TLS), Option(transport=chains.RAW)
    if speaks is Speaks.TCP:
        return (Option(transport=chains.TLS, protocols=MESH_ALL, mutual_tls=True), plain, own_tls)
    return (tls_http, Option(transport=chains.TLS, protocols=MESH_TCP, mutual_tls=True), plain_http, plain, own_tls)


def speaks(protocol: Protocol) -> Speaks:
    """What a service port's protocol tells of its connections."""
    if protocol.is_http:
        return Speaks.HTTP
    return Speaks.UNKNOWN if protocol is Protocol.AUTO else Speaks.TCP


_built: memo.Memo[list[WireResource]] = memo.Memo(4096)


def build(view: ProxyView) -> list[WireResource]:
    """`virtualInbound` and the listeners that the proxy binds by itself; the same for all proxies of equal policies and ports."""
    objects = (view.mesh, view.telemetry, view.mutual_tls, view.authorization, view.jwt_rules, *view.inbound)
    return _built.get(objects, view.proxy.families, lambda: _build(view))


def _build(view: ProxyView) -> list[WireResource]:
    mesh = view.mesh
    ports = _first_of_each_port(view.inbound)
    captured = [port for port in ports if not port.bound]
    hole = tcp_proxies.to_cluster(names.BLACK_HOLE_CLUSTER, mesh, view.telemetry.server)
    blocked = chains.match(port=mesh.proxy_inbound_listen_port)
    found = [chains.chain("virtualInbound-blackhole", [hole], blocked)]
    security = _Security(view)
    for mode_port in sorted(set(view.mutual_tls.ports) - {port.target_port for port in captured}):
        found += _chains(view, security, None, mode_port)
    found += _chains(view, security, None, None)
    for port in captured:
        found += _chains(view, security, port, port.target_port)
    listener = listener_pb2.Listener(
        name=names.VIRTUAL_INBOUND,
        address=messages.address("0.0.0.0" if 4 in view.proxy.families else "::", mesh.proxy_inbound_listen_port),
        additional_addresses=chains.other_family(view.proxy.families, mesh.proxy_inbound_listen_port),
        traffic_direction=base_pb2.INBOUND,
        filter_chains=found,
        listener_filters=_inspectors(view, captured),
        listener_filters_timeout=messages.duration(mesh.protocol_detection_timeout),
        continue_on_listener_filters_timeout=True,
        access_log=access_log.of_listener(mesh, view.telemetry.server),
    )
    return [messages.resource(listener.name, listener), *(_bound(view, security, port) for port in ports if port.bound)]


def _bound(view: ProxyView, security: _Security, port: InboundPort) -> WireResource:
    """The listener of a port that is not captured: clients connect to the proxy itself."""
    chosen = _chains(view, security, port, port.target_port)
    for chain in chosen:
        chain.filter_chain_match.ClearField("destination_port")
    listener = listener_pb2.Listener(
        name=f"{port.address}_{port.target_port}",
        address=messages.address(port.address, port.target_port),
        traffic_direction=base_pb2.INBOUND,
        filter_chains=chosen,
        listener_filters=[item for item in _inspectors(view, [port]) if item is not listener_filters.ORIGINAL_DST],
        listener_filters_timeout=messages.duration(view.mesh.protocol_detection_timeout),
        continue_on_listener_filters_timeout=True,
        access_log=access_log.of_listener(view.mesh, view.telemetry.server),
    )
    return messages.resource(listener.name, listener)


def _first_of_each_port(inbound: Iterable[InboundPort]) -> list[InboundPort]:
    """Two services may point at one port of the application: the first decides what it speaks."""
    found: dict[int, InboundPort] = {}
    for port in inbound:
        if port.service_port.protocol is not Protocol.UDP:
            found.setdefault(port.target_port, port)
    return [found[number] for number in sorted(found)]


def _inspectors(view: ProxyView, ports: list[InboundPort]) -> list[Any]:
    """Ports where nothing depends on the first bytes are not looked at, so that the server may speak first there."""
    known = {port.target_port for port in ports if speaks(port.service_port.protocol) is not Speaks.UNKNOWN}
    plain = {port.target_port for port in ports if view.mutual_tls.of(port.target_port) is MutualTlsMode.DISABLE and port.tls is None}
    return [
        listener_filters.ORIGINAL_DST,
        listener_filters.except_ports(listener_filters.TLS_INSPECTOR, plain & known),
        listener_filters.except_ports(listener_filters.HTTP_INSPECTOR, known),
    ]


class _Security:
    """The filters that policies put in front of the application: the same in all chains, so built once."""

    def __init__(self, view: ProxyView) -> None:
        self.http = [*jwt.filters(view), *rbac.http_filters(view.authorization, view.mesh)]
        self.network = rbac.network_filters(view.authorization, view.mesh)
        self.trust_domains = (view.mesh.trust_domain, *view.mesh.trust_domain_aliases)


def _chains(view: ProxyView, security: _Security, port: InboundPort | None, number: int | None) -> list[Any]:
    """The chains of one port; of a port without a service when `port` is None, of all the rest when `number` is too."""
    mode = view.mutual_tls.mode if number is None else view.mutual_tls.of(number)
    result = []
    for option in _options(port, mode):
        condition = chains.match(port=number, transport=option.transport, protocols=option.protocols)
        filters = _http(view, security, port, number, option) if option.http else _tcp(view, security, port, option)
        result.append(chains.chain(_name(port, number, option), filters, condition, _socket(view, security, port, option)))
    return result


def _options(port: InboundPort | None, mode: MutualTlsMode) -> tuple[Option, ...]:
    """TLS that a Sidecar describes counts where mutual TLS is switched off: two kinds of it on one port could not be told apart."""
    if port is None:
        return options(mode, Speaks.UNKNOWN)
    if port.tls is not None and mode is MutualTlsMode.DISABLE:
        return (Option(transport=chains.TLS, http=port.service_port.protocol.after_tls.is_http, own_tls=True),)
    return options(mode, speaks(port.service_port.protocol))


def _socket(view: ProxyView, security: _Security, port: InboundPort | None, option: Option) -> Any:
    if option.own_tls and port is not None and port.tls is not None:
        return server_tls.socket(port.tls, tls.HTTP_ALPN if option.http else (), security.trust_domains)
    return tls.mesh_server(security.trust_domains, option.http, view.mesh.min_tls_version) if option.mutual_tls else None


def _name(port: InboundPort | None, number: int | None, option: Option) -> str:
    if port is not None:
        return f"{port.address or '0.0.0.0'}_{number}"
    suffix = "-catchall-http" if option.http else ""
    return f"virtualInbound{suffix}" if number is None else f"virtualInbound-{number}{suffix}"


def _where(option: Option, port: InboundPort | None) -> labels.Where:
    if port is None:
        return labels.Where(mutual_tls=option.mutual_tls, name=names.INBOUND_PASSTHROUGH_CLUSTER)
    return labels.Where(mutual_tls=option.mutual_tls, host=port.service.hostname, name=port.service.name, namespace=port.service.namespace)


def _http(view: ProxyView, security: _Security, port: InboundPort | None, number: int | None, option: Option) -> list[Any]:
    settings = http_connection_manager.Settings(
        place=http_connection_manager.Place.INBOUND,
        stat_prefix=f"inbound_0.0.0.0_{number or PASSTHROUGH_PORT}",
        filters=[peers.KEEP, *security.http, http_filters.GRPC_STATS, http_filters.ROUTER],
        routes=routes.inbound(port) if port else routes.inbound_passthrough(),
        side=view.telemetry.server,
        stats=stats.of_requests_received(_where(option, port), view.telemetry.server.metrics),
    )
    return [http_connection_manager.build(settings, view.mesh)]


def _tcp(view: ProxyView, security: _Security, port: InboundPort | None, option: Option) -> list[Any]:
    cluster = names.inbound(port.target_port) if port else names.INBOUND_PASSTHROUGH_CLUSTER
    side = view.telemetry.server
    loggers = stats.of_connections_received(_where(option, port), side.metrics)
    return [*security.network, tcp_proxies.to_cluster(cluster, view.mesh, side, loggers)]
