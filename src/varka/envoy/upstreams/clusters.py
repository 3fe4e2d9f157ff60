"""Clusters: the groups of addresses that a proxy may open connections to, and how it opens them.

Outbound there is one per service port and subset, `outbound|9080|v1|reviews.default.svc.cluster.local`; inbound one
per port of the application, `inbound|9080||`; and three fixed ones for traffic that no service stands for.
"""

from __future__ import annotations

from typing import Any

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from varka.base.wire import WireResource
from varka.envoy import memo, messages, names, protowire
from varka.envoy.security import policies
from varka.envoy.upstreams import balancing, circuit_breakers, endpoints, stat_names, transports, upstream_protocols
from varka.model.services import Endpoint, Hostname, Protocol, Resolution, Service, ServicePort
from varka.model.traffic import ConnectionPool, DestinationRule, TrafficPolicy
from varka.model.view import InboundPort, MeshSettings, OutboundView

Cluster = cluster_pb2.Cluster
METADATA = protowire.number(Cluster, "metadata")
TYPES = {
    Resolution.EDS: Cluster.EDS,
    Resolution.DNS: Cluster.STRICT_DNS,
    Resolution.DNS_ROUND_ROBIN: Cluster.LOGICAL_DNS,
    Resolution.PASSTHROUGH: Cluster.ORIGINAL_DST,
}
_outbound: memo.Memo[tuple[WireResource, ...]] = memo.Memo(32768)
_with_addresses: memo.Memo[tuple[tuple[Hostname, int], ...]] = memo.Memo(256)
NO_ENDPOINTS: tuple[Endpoint, ...] = ()


def outbound(view: OutboundView, mesh: MeshSettings) -> list[WireResource]:
    """Every cluster of every service that the view shows, in the order of services and ports."""
    result: list[WireResource] = []
    for service in view.services:
        rule = view.destination_rules.get(service.hostname)
        for port in service.ports:
            known = NO_ENDPOINTS if service.resolution is Resolution.EDS else view.endpoints.get((service.hostname, port.number), NO_ENDPOINTS)
            result.extend(of_port(service, port, rule, known, mesh))
    return result


def with_addresses(services: tuple[Service, ...]) -> tuple[tuple[Hostname, int], ...]:
    """The ports, by host, whose clusters carry their endpoints themselves; all others depend on no endpoint."""

    def build() -> tuple[tuple[Hostname, int], ...]:
        return tuple((service.hostname, port.number) for service in services if service.resolution is not Resolution.EDS for port in service.ports)

    return _with_addresses.get((services,), None, build)


def of_port(service: Service, port: ServicePort, rule: DestinationRule | None, known: tuple[Endpoint, ...], mesh: MeshSettings) -> tuple[WireResource, ...]:
    """The cluster of a port and those of its subsets; `known` matters only where addresses are part of the cluster."""
    return _outbound.get((service, port, rule, known, mesh), None, lambda: _of_port(service, port, rule, known, mesh))


def _of_port(service: Service, port: ServicePort, rule: DestinationRule | None, known: tuple[Endpoint, ...], mesh: MeshSettings) -> tuple[WireResource, ...]:
    if port.protocol.value == "UDP":
        return ()
    subsets = ("", *(subset.name for subset in rule.subsets)) if rule else ("",)
    return tuple(_described(build(service, port, rule, known, mesh, name), service, port, rule, name) for name in subsets)


def build(service: Service, port: ServicePort, rule: DestinationRule | None, known: tuple[Endpoint, ...], mesh: MeshSettings, subset: str = "") -> Any:
    """One outbound cluster as a message, without its metadata."""
    name = names.outbound(port.number, subset, service.hostname)
    policy = policies.merged(rule, port.number, subset)
    kind = TYPES[service.resolution]
    pool = policy.connection_pool
    cluster = Cluster(
        name=name,
        type=kind,
        connect_timeout=messages.duration(pool.connect_timeout if pool and pool.connect_timeout else mesh.connect_timeout),
        circuit_breakers=circuit_breakers.of(policy),
    )
    if kind == Cluster.EDS:
        cluster.eds_cluster_config.CopyFrom(Cluster.EdsClusterConfig(eds_config=messages.ADS, service_name=name))
    elif kind != Cluster.ORIGINAL_DST:
        cluster.dns_lookup_family = Cluster.V4_ONLY
        cluster.dns_refresh_rate.CopyFrom(messages.duration(mesh.dns_refresh_rate))
        cluster.respect_dns_ttl = True
        cluster.load_assignment.CopyFrom(_dns_assignment(name, service, port, known, rule, subset))
    balancing.apply(cluster, policy, passthrough=kind == Cluster.ORIGINAL_DST)
    _apply_keepalive(cluster, pool, mesh)
    upstream_protocols.apply(cluster, port.protocol, pool, mesh, transports.server_names(service, policy))
    transports.apply(cluster, transports.Target(service=service, port=port, subset=subset, known=known), policy, mesh)
    if mesh.outbound_stat_name:
        cluster.alt_stat_name = stat_names.of(mesh.outbound_stat_name, service, port, subset)
    return cluster


def unread(service: Service, port: ServicePort, rule: DestinationRule | None, known: tuple[Endpoint, ...], mesh: MeshSettings, subset: str) -> WireResource:
    """`outbound_.9080_.v1_.host`: the same endpoints for bytes that are encrypted already, on a gateway between networks."""

    def make() -> WireResource:
        cluster = build(service, port, rule, known, mesh, subset)
        cluster.name = names.outbound_sni(port.number, subset, service.hostname)
        cluster.ClearField("transport_socket")
        cluster.ClearField("transport_socket_matches")
        cluster.ClearField("typed_extension_protocol_options")
        return _described(cluster, service, port, rule, subset)

    return _unread.get((service, port, rule, known, mesh), subset, make)


_unread: memo.Memo[WireResource] = memo.Memo(1024)


def _described(cluster: Any, service: Service, port: ServicePort, rule: DestinationRule | None, subset: str) -> WireResource:
    """The cluster with what telemetry and people want to know of it, flat because log formats cannot look into lists."""
    fields = {
        "service_host": service.hostname,
        "service_name": service.name,
        "service_namespace": service.namespace,
        "request_protocol": request_protocol(port),
    }
    if rule is not None:
        fields["config"] = f"/apis/networking.istio.io/v1/namespaces/{rule.namespace}/destination-rule/{rule.name}"
    if subset:
        fields["subset"] = subset
    metadata = protowire.tagged(METADATA, protowire.text_metadata("istio", fields))
    return WireResource(name=cluster.name, type_url=messages.CLUSTER, body=cluster.SerializeToString(deterministic=True) + metadata)


def request_protocol(port: ServicePort) -> str:
    """The value of Istio's label of that name: `grpc`, `http` or `tcp`."""
    if port.protocol in {Protocol.GRPC, Protocol.GRPC_WEB}:
        return "grpc"
    return "http" if port.protocol.is_http or port.protocol is Protocol.AUTO else "tcp"


def _dns_assignment(name: str, service: Service, port: ServicePort, known: tuple[Endpoint, ...], rule: DestinationRule | None, subset: str) -> Any:
    if known:
        return endpoints.assignment(name, endpoints.of_subset(known, rule, subset))
    host = service.external_name or service.hostname
    if host.startswith("*"):
        return endpoint_pb2.ClusterLoadAssignment(cluster_name=name)
    address = messages.address(host, port.number)
    single = endpoint_components_pb2.LbEndpoint(endpoint=endpoint_components_pb2.Endpoint(address=address))
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=[endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[single])])


def _apply_keepalive(cluster: Any, pool: ConnectionPool | None, mesh: MeshSettings) -> None:
    if pool is None or not pool.tcp_keepalive:
        if mesh.tcp_keepalive is not None:
            _keep_alive(cluster, mesh.tcp_keepalive.probes, mesh.tcp_keepalive.time, mesh.tcp_keepalive.interval)
        return
    _keep_alive(cluster, pool.tcp_keepalive_probes, pool.tcp_keepalive_time, pool.tcp_keepalive_interval)


def _keep_alive(cluster: Any, probes: int | None, time: float | None, interval: float | None) -> None:
    keepalive = cluster.upstream_connection_options.tcp_keepalive
    keepalive.SetInParent()
    if probes:
        keepalive.keepalive_probes.value = probes
    if time:
        keepalive.keepalive_time.value = int(time)
    if interval:
        keepalive.keepalive_interval.value = int(interval)


def inbound(port: InboundPort, mesh: MeshSettings, redirected: bool = True) -> WireResource:
    """`inbound|9080||`: the application itself, at the address that the client asked for.

    Where connections are `redirected`, ours have to be told from the application's.
    """
    return _inbound.get((port, mesh), redirected, lambda: _build_inbound(port, mesh, redirected))


_inbound: memo.Memo[WireResource] = memo.Memo()


def _build_inbound(port: InboundPort, mesh: MeshSettings, redirected: bool) -> WireResource:
    name = names.inbound(port.target_port)
    cluster = Cluster(
        name=name,
        type=Cluster.ORIGINAL_DST,
        lb_policy=Cluster.CLUSTER_PROVIDED,
        connect_timeout=messages.duration(mesh.connect_timeout),
        circuit_breakers=circuit_breakers.of(TrafficPolicy(connection_pool=port.pool)),
    )
    if port.endpoint or mesh.inbound_localhost:
        _apply_endpoint(cluster, port.endpoint or f"127.0.0.1:{port.target_port}")
    if redirected and not port.endpoint.startswith(UNIX):
        cluster.upstream_bind_config.CopyFrom(messages.INBOUND_BIND)
    if port.pool is not None:
        if port.pool.connect_timeout is not None:
            cluster.connect_timeout.CopyFrom(messages.duration(port.pool.connect_timeout))
        _apply_keepalive(cluster, port.pool, mesh)
    if mesh.inbound_stat_name:
        cluster.alt_stat_name = stat_names.of(mesh.inbound_stat_name, port.service, port.service_port, "")
    upstream_protocols.apply(cluster, _spoken_to_the_application(port), port.pool, mesh)
    return _described(cluster, port.service, port.service_port, None, "")


UNIX = "unix://"


def _spoken_to_the_application(port: InboundPort) -> Protocol:
    return port.service_port.protocol.after_tls if port.tls is not None else port.service_port.protocol


def _apply_endpoint(cluster: Any, endpoint: str) -> None:
    """The one place where the application listens, by a Sidecar's word."""
    cluster.type, cluster.lb_policy = Cluster.STATIC, Cluster.ROUND_ROBIN
    host, _, port = endpoint.rpartition(":")
    address = messages.address(endpoint, 0) if endpoint.startswith(UNIX) else messages.address(host.strip("[]"), int(port))
    single = endpoint_components_pb2.LbEndpoint(endpoint=endpoint_components_pb2.Endpoint(address=address))
    groups = [endpoint_components_pb2.LocalityLbEndpoints(lb_endpoints=[single])]
    cluster.load_assignment.CopyFrom(endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster.name, endpoints=groups))


def fixed(mesh: MeshSettings, sidecar: bool, redirected: bool = True) -> list[WireResource]:
    """The clusters that do not come from services: where unknown traffic goes, and where refused traffic ends."""
    return _fixed.get((mesh,), (sidecar, redirected), lambda: _build_fixed(mesh, sidecar, redirected))


_fixed: memo.Memo[list[WireResource]] = memo.Memo(64)


def _build_fixed(mesh: MeshSettings, sidecar: bool, redirected: bool) -> list[WireResource]:
    passthrough = Cluster(
        name=names.PASSTHROUGH_CLUSTER,
        type=Cluster.ORIGINAL_DST,
        lb_policy=Cluster.CLUSTER_PROVIDED,
        connect_timeout=messages.duration(mesh.connect_timeout),
        circuit_breakers=circuit_breakers.NO_LIMITS,
    )
    upstream_protocols.follow_client(passthrough)
    hole = Cluster(name=names.BLACK_HOLE_CLUSTER, type=Cluster.STATIC, connect_timeout=messages.duration(mesh.connect_timeout))
    clusters = [passthrough, hole] if sidecar else [hole]
    if sidecar:
        within = Cluster()
        within.CopyFrom(passthrough)
        within.name = names.INBOUND_PASSTHROUGH_CLUSTER
        if redirected:
            within.upstream_bind_config.CopyFrom(messages.INBOUND_BIND)
        clusters.append(within)
    for cluster in clusters:
        cluster.metadata.filter_metadata["istio"].CopyFrom(messages.struct({"service_name": cluster.name}))
    return [messages.resource(cluster.name, cluster) for cluster in clusters]
