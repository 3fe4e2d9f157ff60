"""Listeners of a gateway: one a port, `0.0.0.0_8080`, for all servers of that port.

Plain HTTP servers share one filter chain and one route configuration. Servers that read HTTPS, and those that pass TLS
on unread, are told apart by the name in the TLS handshake, each with a chain of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_pb2

from varka.base.wire import WireResource
from varka.envoy import memo, messages
from varka.envoy.listeners import auto_passthrough, chains, http_connection_manager, http_filters, listener_filters, tcp_proxies, tcp_routes
from varka.envoy.observing import access_log, stats
from varka.envoy.routing import gateway_routes, virtual_hosts
from varka.envoy.security import jwt, rbac, server_tls, tls
from varka.model.services import Protocol
from varka.model.traffic import GatewayServer, L4Match, L4Route, VirtualService
from varka.model.view import GatewayBinding, ProxyView

_listeners: memo.Memo[WireResource | None] = memo.Memo(1024)


def build(view: ProxyView) -> list[WireResource]:
    """The listeners, in order of port; a port whose servers route nothing at all has none."""
    groups: dict[tuple[str, int], list[GatewayBinding]] = {}
    for binding in view.gateways:
        groups.setdefault((binding.server.bind or "0.0.0.0", binding.server.target_port), []).append(binding)
    built = (_of_port(address, port, groups[address, port], view) for address, port in sorted(groups))
    return [listener for listener in built if listener is not None]


def _of_port(address: str, port: int, bindings: list[GatewayBinding], view: ProxyView) -> WireResource | None:
    objects: list[object] = [view.mesh, view.telemetry, view.authorization, view.jwt_rules]
    for binding in bindings:
        objects.append(binding.server)
        if auto_passthrough.wanted(binding.server):
            objects.append(view.outbound)
        if not gateway_routes.reads_http(binding.server):
            origin = _origin(view, binding.server)
            for rules in binding.virtual_services:
                objects += [rules, *tcp_routes.dependencies(origin, rules)]
    key = (address, port, view.proxy.namespace, tuple(sorted(view.proxy.labels.items())), view.proxy.topology)
    return _listeners.get(tuple(objects), key, lambda: _listener(address, port, bindings, view))


def _origin(view: ProxyView, server: GatewayServer) -> virtual_hosts.Origin:
    return virtual_hosts.Origin(
        view=view.outbound,
        mesh=view.mesh,
        services=virtual_hosts.index(view.outbound),
        port=server.port,
        gateway=server.gateway,
        namespace=view.proxy.namespace,
        labels=view.proxy.labels,
        side=view.telemetry.client,
    )


def _listener(address: str, port: int, bindings: list[GatewayBinding], view: ProxyView) -> WireResource | None:
    found: list[Any] = []
    plain = [binding for binding in bindings if not gateway_routes.decrypts(binding.server)]
    if any(gateway_routes.reads_http(binding.server) for binding in plain):
        server = next(binding.server for binding in plain if gateway_routes.reads_http(binding.server))
        found.append(_http(server, view))
    for binding in bindings:
        server = binding.server
        if gateway_routes.decrypts(server):
            found += [_https(server, view)] if server.protocol is Protocol.HTTPS else _connections(binding, view, terminated=True)
        elif auto_passthrough.wanted(server):
            found += auto_passthrough.build(server, view)
        elif not gateway_routes.reads_http(server):
            found += _connections(binding, view, terminated=False)
    found = _without_doubles(found)
    if not found:
        return None
    listener = listener_pb2.Listener(
        name=f"{address}_{port}",
        address=messages.address(address, port),
        traffic_direction=base_pb2.OUTBOUND,
        filter_chains=found,
        access_log=access_log.of_listener(view.mesh, view.telemetry.client),
    )
    if view.proxy.topology.proxy_protocol:
        listener.listener_filters.append(listener_filters.PROXY_PROTOCOL)
    if any(chain.filter_chain_match.server_names or chain.HasField("transport_socket") for chain in found):
        listener.listener_filters.append(listener_filters.TLS_INSPECTOR)
    return messages.resource(listener.name, listener)


def _security(view: ProxyView) -> list[Any]:
    return [*jwt.filters(view), *rbac.http_filters(view.authorization, view.mesh)]


def _manager(server: GatewayServer, view: ProxyView, tls_on: bool) -> Any:
    settings = http_connection_manager.Settings(
        place=http_connection_manager.Place.GATEWAY,
        stat_prefix=f"outbound_0.0.0.0_{server.target_port}",
        filters=[*_security(view), *http_filters.GATEWAY],
        rds=gateway_routes.route_name(server),
        side=view.telemetry.client,
        stats=stats.of_requests_sent(view.telemetry.client.metrics),
        topology=view.proxy.topology,
        tls=tls_on,
    )
    return http_connection_manager.build(settings, view.mesh)


def _http(server: GatewayServer, view: ProxyView) -> Any:
    return chains.chain("", [_manager(server, view, tls_on=False)])


def _server_names(server: GatewayServer) -> tuple[str, ...]:
    hosts = gateway_routes.server_hosts(server)
    return () if "*" in hosts else hosts


def _https(server: GatewayServer, view: ProxyView) -> Any:
    assert server.tls is not None
    socket = server_tls.socket(server.tls, tls.HTTP_ALPN, (view.mesh.trust_domain, *view.mesh.trust_domain_aliases))
    match = chains.match(server_names=_server_names(server))
    return chains.chain("", [_manager(server, view, tls_on=True)], match, socket)


def _connections(binding: GatewayBinding, view: ProxyView, terminated: bool) -> list[Any]:
    """Chains of a TCP server, of one that passes TLS on, and of one that decrypts and passes bytes on (`terminated`)."""
    server = binding.server
    origin = _origin(view, server)
    socket = None
    if terminated and server.tls is not None:
        socket = server_tls.socket(server.tls, (), (view.mesh.trust_domain, *view.mesh.trust_domain_aliases))
    by_name = server.protocol.is_tls and not terminated
    result = []
    for rules in binding.virtual_services:
        shared = gateway_routes.shared_hosts(server, rules)
        if not shared:
            continue
        for route, match in _applying(rules, by_name, origin):
            names_of = tuple(match.sni_hosts) if by_name and match else _server_names(server) if terminated else ()
            result.append(_connection(route, match, tuple(name for name in names_of if name != "*"), socket, origin, view))
    return result


def _applying(rules: VirtualService, by_name: bool, origin: virtual_hosts.Origin) -> Iterable[tuple[L4Route, L4Match | None]]:
    for route in rules.tls if by_name else rules.tcp:
        for match in route.matches or (None,):
            if tcp_routes.applies(match, origin):
                yield route, match


def _connection(route: L4Route, match: L4Match | None, server_names: tuple[str, ...], socket: Any, origin: virtual_hosts.Origin, view: ProxyView) -> Any:
    condition = chains.match(server_names=server_names, blocks=match.destination_subnets if match else ())
    onward = tcp_proxies.to_destinations(origin, route.destinations, stats.of_connections_sent(origin.side.metrics))
    return chains.chain("", [*rbac.network_filters(view.authorization, view.mesh), *onward], condition, socket)


def _without_doubles(found: list[Any]) -> list[Any]:
    """Of chains with the same condition the first is kept; a server name that an earlier chain has is not repeated."""
    result = []
    taken: set[tuple[str, bytes]] = set()
    for chain in found:
        match = chain.filter_chain_match
        wanted = list(match.server_names) or [""]
        rest = type(match)()
        rest.CopyFrom(match)
        del rest.server_names[:]
        key = rest.SerializeToString(deterministic=True)
        free = [name for name in wanted if (name, key) not in taken]
        if not free:
            continue
        taken.update((name, key) for name in free)
        if free != wanted:
            del match.server_names[:]
            match.server_names.extend(free)
        result.append(chain)
    return result
