"""Whether a patch is meant for an object: Istio's rules, one function a kind of object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from varka.envoy import names
from varka.model.patches import Context, Patch, RouteMatch

OLD_NAMES: Mapping[str, str] = {
    "envoy.buffer": "envoy.filters.http.buffer",
    "envoy.client_ssl_auth": "envoy.filters.network.client_ssl_auth",
    "envoy.cors": "envoy.filters.http.cors",
    "envoy.csrf": "envoy.filters.http.csrf",
    "envoy.ext_authz": "envoy.filters.http.ext_authz",
    "envoy.fault": "envoy.filters.http.fault",
    "envoy.grpc_http1_bridge": "envoy.filters.http.grpc_http1_bridge",
    "envoy.grpc_json_transcoder": "envoy.filters.http.grpc_json_transcoder",
    "envoy.grpc_web": "envoy.filters.http.grpc_web",
    "envoy.gzip": "envoy.filters.http.gzip",
    "envoy.health_check": "envoy.filters.http.health_check",
    "envoy.http_connection_manager": "envoy.filters.network.http_connection_manager",
    "envoy.ip_tagging": "envoy.filters.http.ip_tagging",
    "envoy.lua": "envoy.filters.http.lua",
    "envoy.mongo_proxy": "envoy.filters.network.mongo_proxy",
    "envoy.rate_limit": "envoy.filters.http.ratelimit",
    "envoy.ratelimit": "envoy.filters.network.ratelimit",
    "envoy.redis_proxy": "envoy.filters.network.redis_proxy",
    "envoy.router": "envoy.filters.http.router",
    "envoy.tcp_proxy": "envoy.filters.network.tcp_proxy",
    "envoy.listener.http_inspector": "envoy.filters.listener.http_inspector",
    "envoy.listener.original_dst": "envoy.filters.listener.original_dst",
    "envoy.listener.proxy_protocol": "envoy.filters.listener.proxy_protocol",
    "envoy.listener.tls_inspector": "envoy.filters.listener.tls_inspector",
}
"""Names that Envoy once had for its filters, and that people still write."""


class Ports(Struct, frozen=True, kw_only=True):
    """The ports that a gateway's servers declare, each with those that it listens on."""

    listening: Mapping[int, frozenset[int]] = field(default_factory=dict)

    def same(self, wanted: int, actual: int) -> bool:
        return wanted == actual or actual in self.listening.get(wanted, ())


NO_PORTS = Ports()


def in_context(patch: Patch, context: Context) -> bool:
    """Whether the patch is for this side of this kind of proxy."""
    return patch.context in (Context.ANY, context)


def same_name(wanted: str, name: str) -> bool:
    """Old names count as the new ones; an empty name is everything."""
    return not wanted or wanted == name or OLD_NAMES.get(wanted) == name


def listener(patch: Patch, given: Any) -> bool:
    """By name and port; `virtualInbound` has the ports of its chains."""
    match = patch.listener
    if match is None:
        return patch.route is None and patch.cluster is None
    if match.name and match.name != given.name:
        return False
    return not match.port or given.name == names.VIRTUAL_INBOUND or given.address.socket_address.port_value == match.port


def chain(patch: Patch, listener_name: str, given: Any) -> bool:
    """By what the chain's own condition asks of connections."""
    match = patch.listener
    if match is None:
        return True
    condition = given.filter_chain_match
    port = condition.destination_port.value
    if listener_name == names.VIRTUAL_INBOUND and match.port and port != match.port:
        return False
    return (
        (not match.chain or match.chain == given.name)
        and (not match.sni or match.sni in condition.server_names)
        and (not match.transport_protocol or match.transport_protocol == condition.transport_protocol)
        and set(match.application_protocols) <= set(condition.application_protocols)
        and (not match.destination_port or match.destination_port == port)
    )


def route_configuration(patch: Patch, name: str, context: Context, ports: Ports) -> bool:
    """By what the name says: the port on a sidecar; port, server and gateway on a gateway."""
    match = patch.route
    if match is None:
        return patch.listener is None and patch.cluster is None
    if match.name and match.name != name:
        return False
    port, port_name, gateway = _named(name)
    if context is not Context.GATEWAY:
        return not match.port or match.port == port
    if match.port and not ports.same(match.port, port):
        return False
    return (not match.port_name or match.port_name == port_name) and (not match.gateway or match.gateway == gateway)


def _named(name: str) -> tuple[int, str, str]:
    """Port, server's port name and gateway: `9080`, `inbound|9080||`, `http.8080`, `https.443.name.gateway.namespace`."""
    if name.startswith("inbound|"):
        return _number(name.split("|")[1]), "", ""
    parts = name.split(".")
    if parts[0] == "http" and len(parts) > 1:
        return _number(parts[1]), "", ""
    if parts[0] == "https" and len(parts) >= 5:
        return _number(parts[1]), parts[2], f"{parts[4]}/{parts[3]}"
    return _number(name.rpartition(":")[2]), "", ""


def _number(text: str) -> int:
    return int(text) if text.isdigit() else 0


def virtual_host(match: RouteMatch | None, given: Any) -> bool:
    """By name and by one of the domains."""
    if match is None:
        return True
    return (not match.virtual_host or match.virtual_host == given.name) and (not match.domain or match.domain in given.domains)


def route(match: RouteMatch | None, given: Any) -> bool:
    """By name and by what is done with the request."""
    if match is None:
        return True
    if match.route and match.route != given.name:
        return False
    return not match.action or given.WhichOneof("action") == match.action.lower()


def cluster(patch: Patch, name: str, hosts: Iterable[str]) -> bool:
    """By name alone, or by the parts of it; an inbound cluster stands for the services in `hosts`."""
    match = patch.cluster
    if match is None:
        return patch.listener is None and patch.route is None
    if match.name:
        return match.name == name
    parts = name.split("|")
    if len(parts) != 4:
        return not (match.service or match.subset or match.port)
    direction, port, subset, host = parts
    served = set(hosts) if direction == "inbound" else {host}
    if match.subset and match.subset != subset:
        return False
    if match.service and match.service not in served:
        return False
    return not match.port or str(match.port) == port


def specific(patch: Patch) -> bool:
    """Whether the patch names an element among the ones that it is put beside."""
    match, routes = patch.listener, patch.route
    named = {
        "LISTENER_FILTER": bool(match and match.listener_filter),
        "NETWORK_FILTER": bool(match and match.filter),
        "HTTP_FILTER": bool(match and match.sub_filter),
        "HTTP_ROUTE": bool(routes and (routes.route or routes.action)),
    }
    return named.get(patch.place.value, False)
