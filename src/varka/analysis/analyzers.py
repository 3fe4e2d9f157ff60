"""The analyzers by name, and all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from varka.analysis import destinations, gateway_ports, gateways, injection, resources, routes, selectors, service_ports, workloads
from varka.analysis.context import Context
from varka.analysis.messages import Message
from varka.model.snapshot import Snapshot

ANALYZERS: Mapping[str, Callable[[Context], Iterable[Message]]] = {
    "schema.ValidationAnalyzer": resources.validation,
    "injection.Analyzer": injection.analyze,
    "gateway.IngressGatewayPortAnalyzer": gateway_ports.analyze,
    "gateway.SecretAnalyzer": gateways.secrets,
    "gateway.ConflictingGatewayAnalyzer": gateways.conflicts,
    "virtualservice.GatewayAnalyzer": routes.gateways,
    "virtualservice.DestinationHostAnalyzer": routes.destination_hosts,
    "virtualservice.DestinationRuleAnalyzer": routes.subsets,
    "virtualservice.ConflictingMeshGatewayHostsAnalyzer": routes.mesh_conflicts,
    "destinationrule.CaCertificateAnalyzer": destinations.ca_certificates,
    "destinationrule.PodNotSelectedAnalyzer": destinations.selected,
    "service.PortNameAnalyzer": service_ports.names,
    "serviceentry.ProtocolAddressesAnalyzer": service_ports.addresses,
    "deployment.ServiceAssociationAnalyzer": workloads.services,
    "deployment.ApplicationUIDAnalyzer": workloads.user_ids,
    "authz.SelectorAnalyzer": selectors.analyze,
}


def analyze(objects: Iterable[Mapping[str, Any]], snapshot: Snapshot | None = None, only: str = "") -> list[Message]:
    """All messages, the worst first; with `only`, those of one analyzer. `snapshot` is that of the objects, if there is one already."""
    context = Context.of(objects, snapshot)
    chosen = [ANALYZERS[only]] if only else list(ANALYZERS.values())
    found = {message for run in chosen for message in run(context)}
    return sorted(found, key=Message.order)
