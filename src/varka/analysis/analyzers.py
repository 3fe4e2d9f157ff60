"""The analyzers by name, and all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from varka.analysis.checks import (
    annotated,
    claims,
    clusters,
    deprecations,
    destinations,
    envoy_filters,
    images,
    injection,
    policies,
    resources,
    routes,
    service_ports,
    status,
    telemetries,
    webhooks,
    workload_selectors,
    workloads,
)
from varka.analysis.checks.edge import credentials, gateway_ports, gateways, kubernetes_gateways
from varka.analysis.context import Context, Surroundings
from varka.analysis.messages import Message
from varka.resources import kinds


class Analyzer(Struct, frozen=True):
    """`run` gives messages; `text` says in a line what it checks."""

    run: Callable[[Context], Iterable[Message]]
    text: str


ANALYZERS: Mapping[str, Analyzer] = {
    "annotations.K8sAnalyzer": Analyzer(annotated.analyze, "annotations of Istio on Namespaces, Services, Pods and Deployments"),
    "authn.SelectorAnalyzer": Analyzer(policies.authentication, "that PeerAuthentication and RequestAuthentication select workloads"),
    "authz.AuthorizationPoliciesAnalyzer": Analyzer(policies.authorization, "workloads and namespaces of AuthorizationPolicies"),
    "conditions.ConditionAnalyzer": Analyzer(status.analyze, "conditions in status that say that something is wrong"),
    "deployment.ApplicationUIDAnalyzer": Analyzer(workloads.user_ids, "that no application runs as the proxy's user"),
    "deployment.ServiceAssociationAnalyzer": Analyzer(workloads.services, "that the Services of a Deployment agree about ports"),
    "deprecation.FieldAnalyzer": Analyzer(deprecations.analyze, "deprecated fields and kinds"),
    "destinationrule.CaCertificateAnalyzer": Analyzer(destinations.ca_certificates, "that TLS to a server says how to verify it"),
    "destinationrule.PodNotSelectedAnalyzer": Analyzer(destinations.selected, "hosts and subsets of DestinationRules"),
    "envoyfilter.EnvoyPatchAnalyzer": Analyzer(envoy_filters.analyze, "operations of EnvoyFilters"),
    "externalcontrolplane.ExternalControlPlaneAnalyzer": Analyzer(webhooks.external, "addresses of a control plane outside of the cluster"),
    "gateway.CertificateAnalyzer": Analyzer(credentials.duplicates, "certificates that Gateways share"),
    "gateway.ConflictingGatewayAnalyzer": Analyzer(gateways.conflicts, "Gateways with the same port and host"),
    "gateway.IngressGatewayPortAnalyzer": Analyzer(gateway_ports.analyze, "proxies and ports of Gateways"),
    "gateway.SecretAnalyzer": Analyzer(credentials.secrets, "Secrets of Gateways"),
    "injection.Analyzer": Analyzer(injection.analyze, "injection by namespaces, and pods that missed it"),
    "injection.ImageAnalyzer": Analyzer(images.mismatched, "images of proxies against those of the injector"),
    "injection.ImageAutoAnalyzer": Analyzer(images.auto, "that `image: auto` meets an injector"),
    "k8sgateway.SelectorAnalyzer": Analyzer(kubernetes_gateways.analyze, "selectors that want to be a targetRef"),
    "multicluster.MeshNetworksAnalyzer": Analyzer(clusters.networks, "registries of MeshNetworks"),
    "multicluster.ServiceAnalyzer": Analyzer(clusters.services, "Services that differ between clusters"),
    "schema.ValidationAnalyzer": Analyzer(resources.validation, "each of Istio's resources by itself"),
    "service.PortNameAnalyzer": Analyzer(service_ports.names, "names of Service ports"),
    "serviceentry.ProtocolAddressesAnalyzer": Analyzer(service_ports.addresses, "addresses of ServiceEntries with TCP"),
    "sidecar.DefaultSelectorAnalyzer": Analyzer(workload_selectors.default_sidecars, "namespaces with several Sidecars for all pods"),
    "sidecar.SelectorAnalyzer": Analyzer(workload_selectors.sidecars, "selectors of Sidecars"),
    "telemetry.DefaultSelectorAnalyzer": Analyzer(workload_selectors.default_telemetries, "namespaces with several Telemetry for all pods"),
    "telemetry.LightstepAnalyzer": Analyzer(telemetries.lightstep, "tracing to a provider that was given up"),
    "telemetry.ProviderAnalyzer": Analyzer(telemetries.providers, "providers of access logging"),
    "telemetry.SelectorAnalyzer": Analyzer(workload_selectors.telemetries, "selectors of Telemetry"),
    "virtualservice.ConflictingMeshGatewayHostsAnalyzer": Analyzer(routes.mesh_conflicts, "VirtualServices with the same host"),
    "virtualservice.DestinationHostAnalyzer": Analyzer(routes.destination_hosts, "destinations of VirtualServices"),
    "virtualservice.DestinationRuleAnalyzer": Analyzer(routes.subsets, "subsets of VirtualServices"),
    "virtualservice.GatewayAnalyzer": Analyzer(routes.gateways, "gateways of VirtualServices"),
    "virtualservice.JWTClaimRouteAnalyzer": Analyzer(claims.analyze, "routes by JWT claims"),
    "webhook.Analyzer": Analyzer(webhooks.injectors, "webhooks of injection"),
}

BY_KIND: Mapping[str, Callable[[Context], Iterable[Message]]] = {
    f"schema.ValidationAnalyzer.{kind.kind}": partial(resources.validation, kind=kind.kind) for kind in kinds.KINDS
}
"""The same checks as `schema.ValidationAnalyzer`, for one kind each."""


def analyze(objects: Iterable[Mapping[str, Any]], only: str = "", surroundings: Surroundings | None = None) -> list[Message]:
    """All messages about plain objects, the worst first; with `only`, those of one analyzer."""
    return run(Context.of(objects, surroundings), (only,) if only else ANALYZERS)


def run(context: Context, names: Collection[str] = ANALYZERS.keys()) -> list[Message]:
    """The messages of some analyzers, each once, the worst first."""
    runs = [BY_KIND[name] if name in BY_KIND else ANALYZERS[name].run for name in names]
    return sorted({message for one in runs for message in one(context)}, key=Message.order)
