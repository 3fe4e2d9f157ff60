"""Connections passed on as bytes, to one cluster or shared out by weight."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from varka.envoy import access_log, messages, policies, virtual_hosts
from varka.model.traffic import WeightedDestination
from varka.model.view import MeshSettings

NAME = "envoy.filters.network.tcp_proxy"
TcpProxy = tcp_proxy_pb2.TcpProxy


def to_cluster(cluster: str, mesh: MeshSettings, stats: Iterable[Any] = (), stat_prefix: str = "") -> Any:
    """The network filter that passes everything on to one cluster."""
    proxy = TcpProxy(stat_prefix=stat_prefix or cluster, cluster=cluster, access_log=[*access_log.loggers(mesh), *stats])
    return _filter(proxy)


def to_destinations(origin: virtual_hosts.Origin, destinations: tuple[WeightedDestination, ...], stats: Iterable[Any] = ()) -> Any:
    """The same for the destinations of a tcp or tls route."""
    weighted = [choice for choice in destinations if choice.weight > 0] or list(destinations[:1])
    loggers = [*access_log.loggers(origin.mesh), *stats]
    clusters = [virtual_hosts.cluster_of(origin, choice.destination) for choice in weighted]
    proxy = TcpProxy(stat_prefix=clusters[0], access_log=loggers)
    if len(weighted) == 1:
        proxy.cluster = clusters[0]
        _apply_pool(proxy, origin, weighted[0])
    else:
        for choice, cluster in zip(weighted, clusters, strict=True):
            proxy.weighted_clusters.clusters.add(name=cluster, weight=max(1, choice.weight))
    return _filter(proxy)


def _apply_pool(proxy: Any, origin: virtual_hosts.Origin, choice: WeightedDestination) -> None:
    rule = origin.view.destination_rules.get(choice.destination.host)
    pool = policies.merged(rule, virtual_hosts.port_of(origin, choice.destination), choice.destination.subset).connection_pool
    if pool is not None and pool.tcp_idle_timeout is not None:
        proxy.idle_timeout.CopyFrom(messages.duration(pool.tcp_idle_timeout))
    if pool is not None and pool.max_connection_duration is not None:
        proxy.max_downstream_connection_duration.CopyFrom(messages.duration(pool.max_connection_duration))


def _filter(proxy: Any) -> Any:
    return listener_components_pb2.Filter(name=NAME, typed_config=messages.packed(proxy))
