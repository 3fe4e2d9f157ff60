"""What a snapshot is built from: the parsed resources, one tuple a kind.

A caller that changes one resource makes a new tuple for its kind and leaves the other tuples as they are: that is how
the stages learn what did not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, field

from varka.model.extending import wasm_code
from varka.model.extending.wasm_code import KnownCode
from varka.model.policies import signing_keys
from varka.model.policies.signing_keys import KnownKeys
from varka.model.view import MeshSettings
from varka.resources import Parsed, extensions, kubernetes, security, telemetry
from varka.resources.gateway_api import gateways as gateway_api
from varka.resources.gateway_api import routes
from varka.resources.gateway_api.kinds import GROUP
from varka.resources.traffic import destination_rules, envoy_filters, gateways, proxy_configs, service_entries, sidecars, virtual_services, workloads


class Inputs(Struct, frozen=True, kw_only=True, eq=False):
    """All that the mesh is made of. Resources without a spec are passed over."""

    mesh: MeshSettings = MeshSettings()
    signing_keys: KnownKeys = signing_keys.NOTHING
    allocated: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By ServiceEntry (`namespace/name`) and host: the address made up for it. Equal maps of one entry are the same object."""
    wasm_code: KnownCode = wasm_code.NOTHING
    services: tuple[Parsed[kubernetes.Service], ...] = ()
    endpoint_slices: tuple[Parsed[kubernetes.EndpointSlice], ...] = ()
    pods: tuple[Parsed[kubernetes.Pod], ...] = ()
    nodes: tuple[Parsed[kubernetes.Node], ...] = ()
    namespaces: tuple[Parsed[kubernetes.Namespace], ...] = ()
    virtual_services: tuple[Parsed[virtual_services.VirtualService], ...] = ()
    destination_rules: tuple[Parsed[destination_rules.DestinationRule], ...] = ()
    gateways: tuple[Parsed[gateways.Gateway], ...] = ()
    service_entries: tuple[Parsed[service_entries.ServiceEntry], ...] = ()
    workload_entries: tuple[Parsed[workloads.WorkloadEntry], ...] = ()
    sidecars: tuple[Parsed[sidecars.Sidecar], ...] = ()
    peer_authentications: tuple[Parsed[security.PeerAuthentication], ...] = ()
    request_authentications: tuple[Parsed[security.RequestAuthentication], ...] = ()
    authorization_policies: tuple[Parsed[security.AuthorizationPolicy], ...] = ()
    envoy_filters: tuple[Parsed[envoy_filters.EnvoyFilter], ...] = ()
    proxy_configs: tuple[Parsed[proxy_configs.ProxyConfig], ...] = ()
    """Read when pods are made, and by no stage."""
    wasm_plugins: tuple[Parsed[extensions.WasmPlugin], ...] = ()
    telemetries: tuple[Parsed[telemetry.Telemetry], ...] = ()
    gateway_classes: tuple[Parsed[gateway_api.GatewayClass], ...] = ()
    gateway_api_gateways: tuple[Parsed[gateway_api.Gateway], ...] = ()
    reference_grants: tuple[Parsed[gateway_api.ReferenceGrant], ...] = ()
    http_routes: tuple[Parsed[routes.HttpRoute], ...] = ()
    grpc_routes: tuple[Parsed[routes.GrpcRoute], ...] = ()
    tls_routes: tuple[Parsed[routes.TlsRoute], ...] = ()
    tcp_routes: tuple[Parsed[routes.TcpRoute], ...] = ()
    ingresses: tuple[Parsed[kubernetes.Ingress], ...] = ()
    ingress_classes: tuple[Parsed[kubernetes.IngressClass], ...] = ()


FIELDS: dict[tuple[str, str], str] = {
    ("", "Service"): "services",
    ("discovery.k8s.io", "EndpointSlice"): "endpoint_slices",
    ("", "Pod"): "pods",
    ("", "Node"): "nodes",
    ("", "Namespace"): "namespaces",
    ("networking.istio.io", "VirtualService"): "virtual_services",
    ("networking.istio.io", "DestinationRule"): "destination_rules",
    ("networking.istio.io", "Gateway"): "gateways",
    ("networking.istio.io", "ServiceEntry"): "service_entries",
    ("networking.istio.io", "WorkloadEntry"): "workload_entries",
    ("networking.istio.io", "Sidecar"): "sidecars",
    ("networking.istio.io", "EnvoyFilter"): "envoy_filters",
    ("networking.istio.io", "ProxyConfig"): "proxy_configs",
    ("extensions.istio.io", "WasmPlugin"): "wasm_plugins",
    (GROUP, "GatewayClass"): "gateway_classes",
    (GROUP, "Gateway"): "gateway_api_gateways",
    (GROUP, "ReferenceGrant"): "reference_grants",
    (GROUP, "HTTPRoute"): "http_routes",
    (GROUP, "GRPCRoute"): "grpc_routes",
    (GROUP, "TLSRoute"): "tls_routes",
    (GROUP, "TCPRoute"): "tcp_routes",
    ("networking.k8s.io", "Ingress"): "ingresses",
    ("networking.k8s.io", "IngressClass"): "ingress_classes",
    ("security.istio.io", "PeerAuthentication"): "peer_authentications",
    ("security.istio.io", "RequestAuthentication"): "request_authentications",
    ("security.istio.io", "AuthorizationPolicy"): "authorization_policies",
    ("telemetry.istio.io", "Telemetry"): "telemetries",
}
"""Group and kind → the field of `Inputs` that holds it."""


def of(resources: Iterable[Parsed[Any]], mesh: MeshSettings | None = None) -> Inputs:
    """Sort parsed resources into kinds; kinds that no snapshot is made of are passed over."""
    found: dict[str, list[Parsed[Any]]] = {}
    for parsed in resources:
        name = FIELDS.get((parsed.group, parsed.kind))
        if name is not None and parsed.spec is not None:
            found.setdefault(name, []).append(parsed)
    kinds: dict[str, Any] = {name: tuple(items) for name, items in found.items()}
    return Inputs(mesh=mesh or MeshSettings(), **kinds)
