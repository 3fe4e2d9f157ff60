"""ServiceEntries, and the WorkloadEntries and pods that they select, as services and endpoints of the mesh."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from msgspec import Struct

from varka.model.discovery import hosts, protocols
from varka.model.discovery.kubernetes_services import Endpoints
from varka.model.discovery.pods import TLS_MODE, PodInfo
from varka.model.policies.peer_authentication import Peers
from varka.model.routing import visibility
from varka.model.security import MutualTlsMode
from varka.model.services import Endpoint, Hostname, Protocol, Resolution, Service, ServicePort
from varka.model.view import MeshSettings
from varka.resources import Parsed
from varka.resources.traffic.service_entries import ServiceEntry
from varka.resources.traffic.workloads import WorkloadTemplate

_RESOLUTIONS = {
    "NONE": Resolution.PASSTHROUGH,
    "STATIC": Resolution.EDS,
    "DNS": Resolution.DNS,
    "DNS_ROUND_ROBIN": Resolution.DNS_ROUND_ROBIN,
    "DYNAMIC_DNS": Resolution.PASSTHROUGH,
}


class Workload(Struct, frozen=True, kw_only=True, eq=False):
    """A WorkloadEntry that a ServiceEntry may select."""

    name: str
    namespace: str
    entry: WorkloadTemplate


def services(parsed: Parsed[ServiceEntry], mesh: MeshSettings, allocated: Mapping[str, str]) -> tuple[Service, ...]:
    """One service a host; `allocated` are addresses made up for hosts."""
    spec, meta = parsed.spec, parsed.meta
    assert spec is not None
    ports = tuple(
        ServicePort(
            number=port.number,
            name=port.name,
            protocol=protocols.named(port.protocol.lower()) if port.protocol else Protocol.AUTO,
            target_port=port.target_port or port.number,
        )
        for port in spec.ports
        if 1 <= port.number <= 65535
    )
    exported = visibility.export_to(spec.export_to, meta.namespace, mesh.default_export_to_service)
    names = dict.fromkeys(Hostname(host.lower()) for host in spec.hosts)
    return tuple(
        Service(
            hostname=host,
            namespace=meta.namespace,
            name=meta.name,
            ports=ports,
            resolution=_RESOLUTIONS[spec.resolution],
            addresses=tuple(address for address in spec.addresses if _is_network(address)),
            allocated=(allocated[host],) if host in allocated else (),
            mesh_external=spec.location == "MESH_EXTERNAL",
            registry="External",
            labels=dict(meta.labels),
            selector=dict(spec.workload_selector.labels) if spec.workload_selector is not None else {},
            service_accounts=tuple(sorted(set(spec.subject_alt_names))),
            export_to=exported,
            created=meta.created,
        )
        for host in names
    )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def selected(parsed: Parsed[ServiceEntry], workloads: tuple[Workload, ...], pods: tuple[PodInfo, ...]) -> tuple[object, ...]:
    """The workloads and running pods of the same namespace that a ServiceEntry selects; none without a selector."""
    spec = parsed.spec
    if spec is None or spec.workload_selector is None or not spec.workload_selector.labels:
        return ()
    wanted = spec.workload_selector.labels
    chosen: list[object] = [item for item in workloads if visibility.selected(wanted, item.entry.labels.items())]
    chosen.extend(pod for pod in pods if pod.running and pod.ip and visibility.selected(wanted, pod.labels.items()))
    return tuple(chosen)


def endpoints(of: Service, parsed: Parsed[ServiceEntry], chosen: tuple[object, ...], mesh: MeshSettings, peers: Peers) -> Endpoints:
    """The endpoints of one host by port: those written down, those selected, or for DNS the host itself."""
    spec = parsed.spec
    assert spec is not None
    if of.resolution is Resolution.PASSTHROUGH:
        return {}
    found: dict[int, tuple[Endpoint, ...]] = {}
    for port in of.ports:
        made = [_of_entry(of, port, item, mesh, peers) for item in spec.endpoints]
        made += [_of_entry(of, port, item.entry, mesh, peers, item.name) for item in chosen if isinstance(item, Workload)]
        made += [_of_pod(of, port, item, peers) for item in chosen if isinstance(item, PodInfo)]
        if not made and of.resolution in {Resolution.DNS, Resolution.DNS_ROUND_ROBIN} and not of.hostname.startswith("*"):
            made = [_plain(of, port)]
        kept = [endpoint for endpoint in made if endpoint.address]
        if kept:
            found[port.number] = tuple(kept)
    return found


def _plain(of: Service, port: ServicePort) -> Endpoint:
    return Endpoint(address=of.hostname, port=port.target_port or port.number, service_port=port.number, hostname=of.hostname, namespace=of.namespace)


def _of_entry(of: Service, port: ServicePort, entry: WorkloadTemplate, mesh: MeshSettings, peers: Peers, workload: str = "") -> Endpoint:
    target = entry.ports.get(port.name) or port.target_port or port.number
    mode = entry.labels.get(TLS_MODE) or ("istio" if entry.service_account else "disabled")
    mutual = mode == "istio" and peers.of(of.namespace, entry.labels).of(target) is not MutualTlsMode.DISABLE
    return Endpoint(
        address=entry.address,
        port=0 if entry.address.startswith("unix://") else target,
        service_port=port.number,
        hostname=of.hostname,
        namespace=of.namespace,
        labels=dict(entry.labels),
        service_account=hosts.spiffe(mesh.trust_domain, of.namespace, entry.service_account) if entry.service_account else "",
        workload=workload,
        locality=entry.locality,
        network=entry.network,
        weight=max(entry.weight or 1, 1),
        mutual_tls=mutual,
    )


def _of_pod(of: Service, port: ServicePort, pod: PodInfo, peers: Peers) -> Endpoint:
    target = port.target_port or port.number
    return Endpoint(
        address=pod.ip,
        port=target,
        service_port=port.number,
        hostname=of.hostname,
        namespace=of.namespace,
        labels=pod.labels,
        service_account=pod.service_account,
        workload=pod.workload,
        locality=pod.locality,
        network=pod.network,
        mutual_tls=pod.sidecar and peers.of(pod.namespace, pod.labels).of(target) is not MutualTlsMode.DISABLE,
        node=pod.node,
    )
