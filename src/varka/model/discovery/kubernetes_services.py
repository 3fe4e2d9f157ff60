"""Kubernetes Services and their EndpointSlices as services and endpoints of the mesh."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct

from varka.model.discovery import hosts, protocols
from varka.model.discovery.pods import PodInfo, Pods
from varka.model.policies.peer_authentication import Peers
from varka.model.routing import visibility
from varka.model.security import MutualTls, MutualTlsMode
from varka.model.services import Endpoint, Health, Resolution, Service, ServicePort
from varka.model.view import MeshSettings
from varka.resources import Parsed, kubernetes

SLICE_OF = "kubernetes.io/service-name"
"""Label of an EndpointSlice: the Service that it belongs to."""
_EXPORT_TO = "networking.istio.io/exportTo"
_ACCOUNTS = "alpha.istio.io/canonical-serviceaccounts"
_STICKY = "istio.io/persistent-session"

Endpoints = Mapping[int, tuple[Endpoint, ...]]
"""By service port; a port without endpoints has no entry."""


class Backend(Struct, frozen=True, kw_only=True, eq=False):
    """One address behind a service, before ports come in. `ready` says whether it gets new requests."""

    address: str
    ready: bool
    pod: tuple[str, str] | None
    node: str


class SliceView(Struct, frozen=True, kw_only=True, eq=False):
    """An EndpointSlice, unfolded once."""

    backends: tuple[Backend, ...]
    ports: Mapping[str, int]
    namespace: str


_DISTRIBUTION = "networking.istio.io/traffic-distribution"
_NEAR = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})


def service(parsed: Parsed[kubernetes.Service], mesh: MeshSettings) -> Service:
    """The service without the identities that its endpoints bring."""
    body, meta = parsed.spec, parsed.meta
    assert body is not None
    spec = body.spec
    headless = spec.cluster_ip == "None"
    external = spec.external_name if spec.type == "ExternalName" else ""
    resolution = Resolution.DNS if external else Resolution.PASSTHROUGH if headless else Resolution.EDS
    addresses = tuple(address for address in (spec.cluster_ips or (spec.cluster_ip,)) if address and address != "None")
    exported = meta.annotations.get(_EXPORT_TO, "").split(",")
    return Service(
        hostname=hosts.of_service(meta.name, meta.namespace, mesh.cluster_domain),
        namespace=meta.namespace,
        name=meta.name,
        ports=tuple(_port(port) for port in spec.ports),
        resolution=resolution,
        addresses=(*addresses, *spec.external_ips) if not headless else (),
        headless=headless,
        prefers_near=(meta.annotations.get(_DISTRIBUTION) or spec.traffic_distribution) in _NEAR,
        node_local=spec.internal_traffic_policy == "Local",
        external_name=external,
        labels=dict(meta.labels),
        selector=dict(spec.selector),
        service_accounts=_given_accounts(parsed, mesh),
        export_to=visibility.export_to(exported, meta.namespace, mesh.default_export_to_service),
        created=meta.created,
    )


def _given_accounts(parsed: Parsed[kubernetes.Service], mesh: MeshSettings) -> tuple[str, ...]:
    text = parsed.meta.annotations.get(_ACCOUNTS, "")
    return tuple(sorted(f"spiffe://{name.strip()}" for name in text.split(",") if name.strip()))


def _port(port: kubernetes.ServicePort) -> ServicePort:
    target = port.target_port or port.port
    number = target if isinstance(target, int) else int(target) if target.isdecimal() else None
    return ServicePort(
        number=port.port,
        name=port.name,
        protocol=protocols.of_port(port.port, port.name, port.protocol, port.app_protocol),
        target_port=number,
        target_name="" if number is not None else str(target),
    )


def slice_view(parsed: Parsed[kubernetes.EndpointSlice]) -> SliceView:
    """The addresses and ports of an EndpointSlice; addresses that are no IP are passed over."""
    body = parsed.spec
    assert body is not None
    backends: list[Backend] = []
    for endpoint in body.endpoints if body.address_type in {"IPv4", "IPv6"} else ():
        ready = endpoint.conditions.ready is not False
        draining = not ready and bool(endpoint.conditions.serving) and bool(endpoint.conditions.terminating)
        if not ready and not draining:
            continue
        target = endpoint.target_ref
        pod = (target.namespace or parsed.meta.namespace, target.name) if target is not None and target.kind == "Pod" else None
        backends.extend(Backend(address=address, ready=ready, pod=pod, node=endpoint.node_name) for address in endpoint.addresses[:1])
    ports = {port.name: port.port for port in body.ports if port.port is not None}
    return SliceView(backends=tuple(backends), ports=ports, namespace=parsed.meta.namespace)


def backing_pods(slices: Iterable[SliceView], pods: Pods) -> tuple[PodInfo | None, ...]:
    """The pods behind some slices, in the order of their backends."""
    return tuple(pods.by_name.get(backend.pod) if backend.pod is not None else None for view in slices for backend in view.backends)


def endpoints(of: Service, slices: tuple[SliceView, ...], behind: tuple[PodInfo | None, ...], localities: Mapping[str, str], peers: Peers) -> Endpoints:
    """The endpoints of a service by port; `behind` are the pods of `backing_pods`."""
    if of.external_name:
        return {port.number: (_external(of, port),) for port in of.ports}
    modes: dict[int, MutualTls] = {}
    found: dict[int, dict[str, Endpoint]] = {}
    keep_draining = _STICKY in of.labels
    infos = iter(behind)
    for view in slices:
        targets = [(port.number, view.ports[port.name]) for port in of.ports if port.name in view.ports]
        for backend in view.backends:
            pod = next(infos)
            if not backend.ready and not keep_draining:
                continue
            tls = _accepts(pod, modes, peers)
            for number, target in targets:
                mutual = tls is not None and tls.of(target) is not MutualTlsMode.DISABLE
                found.setdefault(number, {}).setdefault(backend.address, _endpoint(of, backend, pod, (number, target), localities, mutual))
    return {number: tuple(by_address[address] for address in sorted(by_address)) for number, by_address in sorted(found.items())}


def _accepts(pod: PodInfo | None, modes: dict[int, MutualTls], peers: Peers) -> MutualTls | None:
    if pod is None or not pod.sidecar:
        return None
    if id(pod) not in modes:
        modes[id(pod)] = peers.of(pod.namespace, pod.labels)
    return modes[id(pod)]


def _endpoint(of: Service, backend: Backend, pod: PodInfo | None, ports: tuple[int, int], localities: Mapping[str, str], mutual_tls: bool) -> Endpoint:
    number, target = ports
    return Endpoint(
        address=backend.address,
        port=target,
        service_port=number,
        hostname=of.hostname,
        namespace=of.namespace,
        labels=pod.labels if pod is not None else {},
        service_account=pod.service_account if pod is not None else "",
        workload=pod.workload if pod is not None else "",
        locality=pod.locality if pod is not None else localities.get(backend.node, ""),
        network=pod.network if pod is not None else "",
        mutual_tls=mutual_tls,
        health=Health.HEALTHY if backend.ready else Health.DRAINING,
        node=backend.node,
    )


def _external(of: Service, port: ServicePort) -> Endpoint:
    return Endpoint(address=of.external_name, port=port.number, service_port=port.number, hostname=of.hostname, namespace=of.namespace)
