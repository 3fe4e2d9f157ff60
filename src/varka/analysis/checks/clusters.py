"""Several clusters in one mesh: registries of MeshNetworks that nobody knows, and Services that differ from cluster to cluster."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka import resources
from varka.analysis import catalog, messages
from varka.analysis.context import Context
from varka.analysis.messages import Message
from varka.resources import Meta, kubernetes

_REMOTE = "istio/multiCluster"
"""Label of a Secret with access to another cluster; its keys are the names of registries."""


class MeshNetworks:
    """The subject of messages about MeshNetworks, which is no object of its own."""

    kind = "MeshNetworks"
    meta = Meta(name="meshnetworks", namespace="istio-system")


def networks(context: Context) -> Iterable[Message]:
    """Check that every network takes its endpoints from a registry that is there."""
    known = {"Mock", "Kubernetes", "External", context.surroundings.cluster}
    for secret in context.all("Secret"):
        if secret.meta.labels.get(_REMOTE) == "true":
            known.update(secret.spec.data)
    found = context.surroundings.mesh_networks.get("networks")
    for name, network in sorted(found.items()) if isinstance(found, Mapping) else ():
        endpoints = network.get("endpoints") if isinstance(network, Mapping) else None
        for index, endpoint in enumerate(endpoints if isinstance(endpoints, list) else ()):
            registry = endpoint.get("fromRegistry") if isinstance(endpoint, Mapping) else None
            if registry and registry not in known:
                yield catalog.UNKNOWN_REGISTRY.about(MeshNetworks(), registry, name, path=f"networks.{name}.endpoints[{index}]")


def services(context: Context) -> Iterable[Message]:
    """Check that a Service means the same in every cluster that has it."""
    others: dict[str, dict[str, kubernetes.ServiceSpec]] = {}
    for cluster, objects in context.surroundings.clusters.items():
        for obj in objects:
            if obj.get("kind") == "Service":
                parsed = resources.parse(obj)
                if isinstance(parsed.spec, kubernetes.Service):
                    others.setdefault(parsed.meta.key, {})[cluster] = parsed.spec.spec
    for service in context.all("Service"):
        mine = service.spec.spec
        differing: dict[str, set[str]] = {}
        for cluster, other in sorted(others.get(service.meta.key, {}).items()):
            for reason in _differences(mine, other):
                differing.setdefault(reason, set()).add(cluster)
        if differing:
            clusters = sorted({context.surroundings.cluster, *(name for names in differing.values() for name in names)})
            yield catalog.INCONSISTENT_SERVICE.about(
                service, service.meta.name, service.meta.namespace, messages.listed(clusters), "; ".join(sorted(differing)), path="metadata.name"
            )


def _differences(one: kubernetes.ServiceSpec, other: kubernetes.ServiceSpec) -> Iterable[str]:
    if (one.cluster_ip == "None") != (other.cluster_ip == "None"):
        yield "service has mixed mode like headless and clusterIP"
    if one.type != other.type:
        yield "service type is inconsistent"
    if sorted(map(_port, one.ports)) != sorted(map(_port, other.ports)):
        yield "service ports are inconsistent"


def _port(port: kubernetes.ServicePort) -> tuple[str, int, str, str, str]:
    """Without the node port, which every cluster chooses for itself."""
    return (port.name, port.port, port.protocol, str(port.target_port or port.port), port.app_protocol)
