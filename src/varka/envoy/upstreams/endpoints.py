"""Endpoints: the addresses behind a cluster, grouped by locality, with what the cluster must know of each.

An endpoint with a sidecar carries `tlsMode: istio`, by which the cluster chooses mesh mTLS for it; its workload travels
along for telemetry.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2
from msgspec.structs import replace

from varka.base.wire import WireResource
from varka.envoy import memo, messages, names, protowire
from varka.envoy.security import policies
from varka.envoy.upstreams import localities
from varka.model.services import Endpoint, Health, Resolution, Service
from varka.model.traffic import DestinationRule
from varka.model.view import OutboundView, ProxyView

HEALTH = {
    Health.HEALTHY: health_check_pb2.HEALTHY,
    Health.UNHEALTHY: health_check_pb2.UNHEALTHY,
    Health.DRAINING: health_check_pb2.DRAINING,
}
Assignment = endpoint_pb2.ClusterLoadAssignment
GROUPS = protowire.number(Assignment, "endpoints")
ENDPOINTS = protowire.number(endpoint_components_pb2.LocalityLbEndpoints, "lb_endpoints")
METADATA = protowire.number(endpoint_components_pb2.LbEndpoint, "metadata")
MTLS = protowire.text_metadata(names.TRANSPORT_SOCKET_METADATA, {names.TLS_MODE_KEY: names.TLS_MODE_ISTIO})
NO_ENDPOINTS: tuple[Endpoint, ...] = ()

_assignments: memo.Memo[WireResource] = memo.Memo(65536)
_single: memo.Memo[bytes] = memo.Memo(65536)


def viewpoint(of: ProxyView) -> localities.Viewpoint:
    """Where a proxy stands, as far as any rule that it sees asks for it: proxies with equal viewpoints share their endpoints."""
    view, proxy, default = of.outbound, of.proxy, of.mesh.locality
    wanted: set[str] = {label.partition("=")[0] for label in default.failover_priority} if default is not None else set()
    for rule in view.destination_rules.values():
        for level in (rule.policy, *(subset.policy for subset in rule.subsets)):
            for policy in (level, *level.ports.values()):
                if policy.load_balancer is not None and policy.load_balancer.locality is not None:
                    wanted.update(label.partition("=")[0] for label in policy.load_balancer.locality.failover_priority)
    labels = localities.labels_of(proxy.labels, proxy.locality, proxy.network) if wanted else {}
    abroad = tuple(sorted((network, found) for network, found in of.network_gateways.items() if network != proxy.network))
    chosen = tuple((key, labels[key]) for key in sorted(wanted) if key in labels)
    return localities.Viewpoint(locality=proxy.locality, labels=chosen, default=default, gateways=abroad if proxy.network else ())


def _reachable(found: tuple[Endpoint, ...], gateways: Mapping[str, tuple[tuple[str, int], ...]]) -> tuple[Endpoint, ...]:
    """Endpoints of another network stand behind its gateways, which know by the TLS server name where to; without mutual TLS they cannot be reached.

    A network without gateways is taken for reachable.
    """
    result: list[Endpoint] = []
    behind: dict[str, list[Endpoint]] = {}
    for endpoint in found:
        if endpoint.network not in gateways:
            result.append(endpoint)
        elif endpoint.mutual_tls:
            behind.setdefault(endpoint.network, []).append(endpoint)
    for network, hidden in sorted(behind.items()):
        weight = sum(max(1, endpoint.weight) for endpoint in hidden)
        result += [replace(hidden[0], address=address, port=port, weight=weight, workload="", labels={}) for address, port in gateways[network]]
    return tuple(result)


def outbound(view: OutboundView, own: localities.Viewpoint) -> list[WireResource]:
    """The load assignment of every EDS cluster; one without endpoints is sent empty, so that Envoy need not wait for it."""
    result: list[WireResource] = []
    for service in view.services:
        if service.resolution is not Resolution.EDS:
            continue
        rule = view.destination_rules.get(service.hostname)
        for port in service.ports:
            if port.protocol.value == "UDP":
                continue
            found = view.endpoints.get((service.hostname, port.number), NO_ENDPOINTS)
            result.append(_of(service, port.number, found, rule, "", own))
            if rule is not None:
                result.extend(_of(service, port.number, found, rule, subset.name, own) for subset in rule.subsets)
    return result


def _of(service: Service, port: int, found: tuple[Endpoint, ...], rule: DestinationRule | None, subset: str, own: localities.Viewpoint) -> WireResource:
    name = names.outbound(port, subset, service.hostname)

    def build() -> WireResource:
        chosen = of_subset(found, rule, subset)
        if own.gateways:
            chosen = _reachable(chosen, dict(own.gateways))
        ranked = localities.arrange(chosen, policies.merged(rule, port, subset), own, near=service.prefers_near)
        return WireResource(name=name, type_url=messages.ENDPOINT, body=_serialised(name, ranked))

    return _assignments.get((found, rule), (name, own, service.prefers_near), build)


def of_subset(found: Iterable[Endpoint], rule: DestinationRule | None, subset: str) -> tuple[Endpoint, ...]:
    """The endpoints that carry all labels of the subset."""
    if not subset or rule is None:
        return tuple(found)
    labels = next((candidate.labels for candidate in rule.subsets if candidate.name == subset), None)
    if labels is None:
        return ()
    wanted = tuple(labels.items())
    return tuple(endpoint for endpoint in found if all(endpoint.labels.get(key) == value for key, value in wanted))


def assignment(name: str, found: tuple[Endpoint, ...]) -> Any:
    """The load assignment as a message, for a cluster that carries its own."""
    return Assignment.FromString(_serialised(name, localities.arrange(found, policies.NO_POLICY, localities.Viewpoint())))


def _serialised(name: str, groups: Iterable[localities.Group]) -> bytes:
    head = Assignment(cluster_name=name)
    return bytes(head.SerializeToString(deterministic=True)) + b"".join([protowire.tagged(GROUPS, _group(group)) for group in groups])


def _group(group: localities.Group) -> bytes:
    head = endpoint_components_pb2.LocalityLbEndpoints(
        locality=_locality(group.locality),
        load_balancing_weight=messages.uint32(group.weight),
        priority=group.priority,
    )
    return bytes(head.SerializeToString(deterministic=True)) + b"".join([protowire.tagged(ENDPOINTS, _endpoint(item)) for item in group.endpoints])


def _locality(locality: str) -> Any:
    """Never absent: to consistent hashing a group without a locality has no weight, and so no endpoints."""
    region, _, rest = locality.partition("/")
    zone, _, subzone = rest.partition("/")
    return base_pb2.Locality(region=region, zone=zone, sub_zone=subzone)


def _endpoint(endpoint: Endpoint) -> bytes:
    return _single.get((endpoint,), None, lambda: _build(endpoint))


def _build(endpoint: Endpoint) -> bytes:
    message = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=messages.address(endpoint.address, endpoint.port)),
        health_status=HEALTH[endpoint.health],
        load_balancing_weight=messages.uint32(max(1, endpoint.weight)),
    )
    metadata = protowire.text_metadata("istio", workload_fields(endpoint))
    if endpoint.mutual_tls:
        metadata += MTLS
    return bytes(message.SerializeToString(deterministic=True)) + protowire.tagged(METADATA, metadata)


def workload_fields(endpoint: Endpoint) -> dict[str, str]:
    """`workload` as Istio writes it (name;namespace;canonical service;revision;cluster), and the same by name for telemetry."""
    labels = endpoint.labels
    service = labels.get("service.istio.io/canonical-name") or labels.get("app.kubernetes.io/name") or labels.get("app") or endpoint.workload
    revision = labels.get("service.istio.io/canonical-revision") or labels.get("app.kubernetes.io/version") or labels.get("version") or "latest"
    fields = {
        "workload": f"{endpoint.workload};{endpoint.namespace};{service};{revision};Kubernetes",
        "workload_name": endpoint.workload,
        "workload_namespace": endpoint.namespace,
        "canonical_service": service,
        "canonical_revision": revision,
        "app": labels.get("app", ""),
        "version": labels.get("version", ""),
        "cluster": "Kubernetes" if endpoint.workload else "",
        "principal": endpoint.service_account,
    }
    return {key: value for key, value in fields.items() if value}
