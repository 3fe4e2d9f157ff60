"""Connections passed on as bytes, to one cluster or shared out by weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.extensions.filters.network.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from varka.envoy import messages, names
from varka.envoy.observing import access_log
from varka.envoy.routing import virtual_hosts
from varka.envoy.security import policies
from varka.model.services import Protocol
from varka.model.telemetry import Side
from varka.model.traffic import WeightedDestination
from varka.model.view import MeshSettings

NAME = "envoy.filters.network.tcp_proxy"
TcpProxy = tcp_proxy_pb2.TcpProxy


def to_cluster(cluster: str, mesh: MeshSettings, side: Side, stats: Iterable[Any] = ()) -> Any:
    """The network filter that passes everything on to one cluster."""
    proxy = TcpProxy(stat_prefix=cluster, cluster=cluster)
    _log(proxy, mesh, side, stats)
    return _filter(proxy)


def _log(proxy: Any, mesh: MeshSettings, side: Side, stats: Iterable[Any]) -> None:
    """Metrics are told when a connection is made and when it ends, the log only when it ends."""
    counting = list(stats)
    for logger in access_log.loggers(mesh, side):
        proxy.access_log.append(access_log.at_end(logger) if counting else logger)
    if counting:
        proxy.access_log.extend(counting)
        proxy.access_log_options.flush_access_log_on_connected = True


def to_destinations(origin: virtual_hosts.Origin, destinations: tuple[WeightedDestination, ...], stats: Iterable[Any] = ()) -> list[Any]:
    """The network filters for the destinations of a tcp or tls route.

    The cluster of a sniffed port announces HTTP to the other sidecar, so connections that are not HTTP must say otherwise.
    """
    weighted = [choice for choice in destinations if choice.weight > 0] or list(destinations[:1])
    clusters = [virtual_hosts.cluster_of(origin, choice.destination) for choice in weighted]
    proxy = TcpProxy(stat_prefix=clusters[0])
    _log(proxy, origin.mesh, origin.side, stats)
    _apply_policy(proxy, origin, weighted[0])
    if len(weighted) == 1:
        proxy.cluster = clusters[0]
    else:
        for choice, cluster in zip(weighted, clusters, strict=True):
            proxy.weighted_clusters.clusters.add(name=cluster, weight=max(1, choice.weight))
    sniffed = any(_is_sniffed(origin, choice) for choice in weighted)
    return [NOT_HTTP, _filter(proxy)] if sniffed else [_filter(proxy)]


def _is_sniffed(origin: virtual_hosts.Origin, choice: WeightedDestination) -> bool:
    service = origin.services.get(choice.destination.host)
    if service is None or service.mesh_external:
        return False
    port = service.port(virtual_hosts.port_of(origin, choice.destination))
    return port is not None and port.protocol is Protocol.AUTO


def _announce(protocols: Iterable[str]) -> Any:
    source = base_pb2.DataSource(inline_string=",".join(protocols))
    value = value_pb2.FilterStateValue(
        object_key="envoy.network.application_protocols",
        format_string=substitution_format_string_pb2.SubstitutionFormatString(text_format_source=source),
        shared_with_upstream=value_pb2.FilterStateValue.ONCE,
    )
    config = set_filter_state_pb2.Config(on_new_connection=[value])
    return listener_components_pb2.Filter(name="envoy.filters.network.set_filter_state", typed_config=messages.packed(config))


NOT_HTTP = _announce((names.ALPN_MESH_PEER_EXCHANGE, names.ALPN_MESH))


def _apply_policy(proxy: Any, origin: virtual_hosts.Origin, choice: WeightedDestination) -> None:
    """Time limits, source hashing and tunnel of the destination; of several destinations those of the first count, as in Istio."""
    rule = origin.view.destination_rules.get(choice.destination.host)
    policy = policies.merged(rule, virtual_hosts.port_of(origin, choice.destination), choice.destination.subset)
    pool, tunnel = policy.connection_pool, policy.tunnel
    if pool is not None and pool.tcp_idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(messages.duration(pool.tcp_idle_timeout))
    if pool is not None and pool.max_connection_duration is not None:
        proxy.max_downstream_connection_duration.CopyFrom(messages.duration(pool.max_connection_duration))
    balancer = policy.load_balancer
    if balancer is not None and balancer.hash_key is not None and balancer.hash_key.source_ip:
        proxy.hash_policy.add().source_ip.SetInParent()
    if tunnel is not None:
        proxy.tunneling_config.hostname = f"{tunnel.host}:{tunnel.port}"
        proxy.tunneling_config.use_post = tunnel.post


def _filter(proxy: Any) -> Any:
    return listener_components_pb2.Filter(name=NAME, typed_config=messages.packed(proxy))
