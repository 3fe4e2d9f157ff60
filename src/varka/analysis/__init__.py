"""Questions about a whole configuration that no single resource can answer; pure, and answered in the form of `istioctl analyze`.

`analyze(objects)` takes plain objects, of a cluster or of files, and gives messages. Each analyzer is a function from
a `Context` to messages; `ANALYZERS` names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from varka.analysis import destinations, gateway_ports, gateways, injection, resources, routes, selectors, service_ports, workloads
from varka.analysis.context import Context
from varka.analysis.messages import Level, Message

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


def analyze(objects: Iterable[Mapping[str, Any]], mesh_config: Mapping[str, Any] | None = None, only: str = "") -> list[Message]:
    """All messages, the worst first; with `only`, those of one analyzer."""
    context = Context.of(objects, mesh_config)
    chosen = [ANALYZERS[only]] if only else list(ANALYZERS.values())
    found = {message for run in chosen for message in run(context)}
    return sorted(found, key=Message.order)


__all__ = ["ANALYZERS", "Level", "Message", "analyze"]
