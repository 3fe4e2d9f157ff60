"""AUTO_PASSTHROUGH: a gateway between networks, which passes mutual TLS of the mesh on unread.

The client's sidecar puts the cluster that it means into the TLS server name, `outbound_.9080_.v1_.reviews.…`; the gateway
has a chain for each such name, and a cluster of that name that opens plain connections to the same endpoints.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from varka.envoy import names
from varka.envoy.listeners import chains, tcp_proxies
from varka.envoy.observing import stats
from varka.envoy.security import rbac
from varka.model.services import Service, ServicePort
from varka.model.traffic import GatewayServer, ServerTlsMode
from varka.model.view import ProxyView


def wanted(server: GatewayServer) -> bool:
    """Whether a server is of this kind."""
    return server.tls is not None and server.tls.mode is ServerTlsMode.AUTO_PASSTHROUGH


def build(server: GatewayServer, view: ProxyView) -> list[Any]:
    """A chain for every port and subset of the services of the mesh that the server's hosts cover."""
    result = []
    for service, port, subset in destinations(view, server):
        name = names.outbound_sni(port.number, subset, service.hostname)
        side = view.telemetry.client
        onward = tcp_proxies.to_cluster(name, view.mesh, side, stats.of_connections_sent(side.metrics))
        filters = [*rbac.network_filters(view.authorization, view.mesh), onward]
        result.append(chains.chain("", filters, chains.match(server_names=(name,))))
    return result


def destinations(view: ProxyView, server: GatewayServer) -> Iterator[tuple[Service, ServicePort, str]]:
    """What can be reached through a server: service, port and subset (empty: all of the service)."""
    for service in view.outbound.services:
        if service.mesh_external or not any(_covers(host, service) for host in server.hosts or ("*/*",)):
            continue
        rule = view.outbound.destination_rules.get(service.hostname)
        for port in service.ports:
            if port.protocol.value != "UDP":
                for subset in ("", *(subset.name for subset in rule.subsets)) if rule is not None else ("",):
                    yield service, port, subset


def _covers(host: str, service: Service) -> bool:
    namespace, _, pattern = host.rpartition("/")
    if namespace not in {"", "*", service.namespace}:
        return False
    return pattern in {"*", service.hostname} or (pattern.startswith("*") and service.hostname.endswith(pattern[1:]))
