"""The mesh at one moment: everything resolved and merged, for all proxies at once.

`build` is a pure function of the inputs; the snapshot before only saves work. Stages run when one of the tuples that
they read is another object than last time, and inside a stage only the pieces whose resources changed are made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from msgspec import Struct

from varka.model.discovery import namespaces, networks, pods, registry
from varka.model.discovery.pods import Pods
from varka.model.discovery.registry import Registry
from varka.model.extending import envoy_filters, wasm_plugins
from varka.model.extending.envoy_filters import EnvoyFilters
from varka.model.extending.wasm_plugins import WasmPlugins
from varka.model.gateway_api import translation
from varka.model.gateway_api.translation import Translation
from varka.model.inputs import Inputs
from varka.model.memo import Kept, Memo
from varka.model.policies import authorization, peer_authentication, telemetry
from varka.model.policies.authorization import Policies, Requests
from varka.model.policies.peer_authentication import Peers
from varka.model.policies.telemetry import Telemetries
from varka.model.routing import destination_rules, gateways, sidecar_scope, virtual_services
from varka.model.routing.destination_rules import DestinationRules
from varka.model.routing.gateways import Gateway
from varka.model.routing.sidecar_scope import Scopes
from varka.model.routing.virtual_services import VirtualServices
from varka.model.security import AuthorizationPolicy
from varka.model.view import MeshSettings


class Snapshot(Struct, frozen=True, kw_only=True, eq=False):
    """All that the mesh means. `inputs` is what it was built from; `views` holds the views that were asked for."""

    inputs: Inputs
    mesh: MeshSettings
    pods: Pods
    registry: Registry
    virtual_services: VirtualServices
    destination_rules: DestinationRules
    gateways: tuple[Gateway, ...]
    sidecars: Scopes
    peers: Peers
    authorization: Policies[AuthorizationPolicy]
    requests: Requests
    envoy_filters: EnvoyFilters
    wasm_plugins: WasmPlugins
    telemetry: Telemetries
    gateway_api: Translation
    """What Gateway API and Ingress come to; its gateways and routes are among the others."""
    namespaces: Mapping[str, Mapping[str, str]]
    """Labels by namespace."""
    network: str
    """Of pods that do not name one."""
    network_gateways: Mapping[str, tuple[tuple[str, int], ...]]
    memo: Memo
    views: Kept


def build(inputs: Inputs, previous: Snapshot | None = None) -> Snapshot:
    """The snapshot of these inputs; parts that are as in the previous one are the very same objects."""
    memo = Memo(previous.memo if previous is not None else None)
    mesh = inputs.mesh
    given = inputs
    if mesh.discovery_selectors:
        looked_at = tuple(getattr(inputs, name) for name in inputs.__struct_fields__)
        inputs = memo.stage("namespaces", looked_at, partial(namespaces.discovered, inputs, mesh.discovery_selectors, mesh.root_namespace))
    root = mesh.root_namespace
    network = memo.stage("network", (inputs.namespaces, root), lambda _: networks.own(inputs.namespaces, root))
    found = memo.stage("pods", (inputs.pods, inputs.nodes, mesh, network), partial(pods.index, inputs.pods, inputs.nodes, mesh, network))
    peers = memo.stage("peers", (inputs.peer_authentications, root), partial(peer_authentication.index, inputs.peer_authentications, root))
    services = (inputs.services, inputs.endpoint_slices, inputs.service_entries, inputs.workload_entries)
    known = memo.stage("registry", (*services, inputs.allocated, mesh, found, peers), partial(registry.build, inputs, found, peers))
    translated = memo.stage("gateway api", (*translation.inputs_of(inputs), known.services), partial(translation.translate, inputs, known.services))
    routes, opened = translated.virtual_services, translated.gateways
    return Snapshot(
        inputs=given,
        network=network,
        network_gateways=memo.stage("network gateways", (inputs.services,), lambda _: networks.gateways(inputs.services)),
        mesh=mesh,
        pods=found,
        registry=known,
        virtual_services=memo.stage(
            "virtual services", (inputs.virtual_services, routes, mesh), partial(virtual_services.index, inputs.virtual_services, mesh, routes)
        ),
        destination_rules=memo.stage("destination rules", (inputs.destination_rules, mesh), partial(destination_rules.index, inputs.destination_rules, mesh)),
        gateways=memo.stage("gateways", (inputs.gateways, opened), partial(gateways.index, inputs.gateways, opened)),
        gateway_api=translated,
        sidecars=memo.stage("sidecars", (inputs.sidecars, mesh), partial(sidecar_scope.index, inputs.sidecars, mesh)),
        peers=peers,
        authorization=memo.stage(
            "authorization", (inputs.authorization_policies, root), partial(authorization.index_policies, inputs.authorization_policies, root)
        ),
        requests=memo.stage("requests", (inputs.request_authentications, root), partial(authorization.index_requests, inputs.request_authentications, root)),
        envoy_filters=memo.stage("envoy filters", (inputs.envoy_filters, root), partial(envoy_filters.index, inputs.envoy_filters, root)),
        wasm_plugins=memo.stage("wasm plugins", (inputs.wasm_plugins, root), partial(wasm_plugins.index, inputs.wasm_plugins, root)),
        telemetry=memo.stage("telemetry", (inputs.telemetries, mesh.telemetry, root), partial(telemetry.index, inputs.telemetries, mesh.telemetry, root)),
        namespaces={item.meta.name: item.meta.labels for item in inputs.namespaces},
        memo=memo,
        views=Kept(previous.views if previous is not None else None),
    )
