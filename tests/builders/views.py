"""Small builders for what the `envoy` stage reads, with everything filled in that a test does not care about."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from varka.model.services import Endpoint, Hostname, Protocol, Resolution, Service, ServicePort
from varka.model.traffic import Destination, DestinationRule, HttpRoute, VirtualService, WeightedDestination
from varka.model.view import InboundPort, MeshSettings, OutboundView, Proxy, ProxyType, ProxyView

MESH = MeshSettings()


def host(name: str, namespace: str = "default") -> Hostname:
    """`reviews` as `reviews.default.svc.cluster.local`."""
    return Hostname(name if "." in name else f"{name}.{namespace}.svc.cluster.local")


def service(name: str, ports: Mapping[int, Protocol] | None = None, address: str = "10.96.0.10", **fields: Any) -> Service:
    """A Kubernetes service whose identity is its own name; one HTTP port 9080 unless others are given."""
    namespace = fields.pop("namespace", "default")
    found = tuple(
        ServicePort(number=number, name=f"{protocol.value.lower()}-{number}", protocol=protocol, target_port=number)
        for number, protocol in (ports or {9080: Protocol.HTTP}).items()
    )
    fields.setdefault("service_accounts", (f"spiffe://cluster.local/ns/{namespace}/sa/{name}",))
    fields.setdefault("addresses", (address,) if address else ())
    return Service(hostname=host(name, namespace), namespace=namespace, name=name, ports=found, **fields)


def external(name: str, ports: Mapping[int, Protocol], resolution: Resolution = Resolution.DNS, **fields: Any) -> Service:
    """A ServiceEntry for a host outside the mesh."""
    return replace(service(name, ports, address="", service_accounts=(), mesh_external=True, registry="External", **fields), resolution=resolution)


def endpoint(of: Service, port: int, address: str = "10.244.0.2", **fields: Any) -> Endpoint:
    """An endpoint with a sidecar."""
    fields.setdefault("mutual_tls", True)
    fields.setdefault("workload", of.name)
    fields.setdefault("labels", {"app": of.name})
    return Endpoint(address=address, port=port, service_port=port, hostname=of.hostname, namespace=of.namespace, **fields)


def outbound(services: Iterable[Service], endpoints: Iterable[Endpoint] = (), **fields: Any) -> OutboundView:
    """A view of these services; endpoints are grouped by host and port."""
    grouped: dict[tuple[Hostname, int], tuple[Endpoint, ...]] = {}
    for item in endpoints:
        key = (item.hostname, item.service_port)
        grouped[key] = (*grouped.get(key, ()), item)
    return OutboundView(services=tuple(services), endpoints=grouped, **fields)


def rules(name: str, *http: HttpRoute, hosts: Iterable[str] = (), gateways: Iterable[str] = ("mesh",), **fields: Any) -> VirtualService:
    """A VirtualService for one host, its own name unless hosts are given."""
    return VirtualService(name=name, namespace="default", hosts=tuple(host(item) for item in hosts or (name,)), gateways=tuple(gateways), http=http, **fields)


def to(name: str, subset: str = "", port: int | None = None, weight: int = 100) -> WeightedDestination:
    """A destination with a weight."""
    return WeightedDestination(destination=Destination(host=host(name), subset=subset, port=port), weight=weight)


def destination_rules(*found: DestinationRule) -> dict[Hostname, DestinationRule]:
    """By host, as a view has them."""
    return {rule.host: rule for rule in found}


def sidecar(name: str = "client", ip: str = "10.244.0.1", **fields: Any) -> Proxy:
    """A sidecar in namespace default."""
    return Proxy(
        id=f"sidecar~{ip}~{name}.default~default.svc.cluster.local",
        type=ProxyType.SIDECAR,
        name=name,
        namespace="default",
        ip=ip,
        service_account=name,
        workload=name,
        **fields,
    )


def gateway(name: str = "ingress", ip: str = "10.244.0.3", **fields: Any) -> Proxy:
    """A gateway in namespace istio-system."""
    return replace(sidecar(name, ip, **fields), type=ProxyType.ROUTER, namespace="istio-system")


def view(proxy: Proxy, seen: OutboundView, own: Iterable[Service] = (), **fields: Any) -> ProxyView:
    """What one proxy sees; `own` are the services of its workload."""
    inbound = tuple(InboundPort(service=item, service_port=port, target_port=port.target_port or port.number) for item in own for port in item.ports)
    fields.setdefault("mesh", MESH)
    return ProxyView(proxy=proxy, outbound=seen, inbound=inbound, **fields)
