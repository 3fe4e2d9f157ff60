"""Networks: parts of a mesh that reach each other only through gateways which pass mutual TLS on by its server name.

A pod is on the network that its label names, else on that of its mesh, which is a label of the control plane's namespace. A
gateway is a Service that names its network by the same label.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from varka.resources import Parsed, kubernetes

NETWORK = "topology.istio.io/network"
GATEWAY_PORT = "networking.istio.io/gatewayPort"
DEFAULT_PORT = 15443


def own(namespaces: Iterable[Parsed[kubernetes.Namespace]], root: str) -> str:
    """The network of pods that do not name one; empty when there is but one network."""
    return next((item.meta.labels.get(NETWORK, "") for item in namespaces if item.meta.name == root), "")


def gateways(services: Iterable[Parsed[kubernetes.Service]]) -> Mapping[str, tuple[tuple[str, int], ...]]:
    """By network: address and port of its gateways, from the Services that have an address outside of the cluster."""
    found: dict[str, set[tuple[str, int]]] = {}
    for item in services:
        network = item.meta.labels.get(NETWORK)
        if not network or item.spec is None:
            continue
        wanted = item.meta.labels.get(GATEWAY_PORT, "")
        port = int(wanted) if wanted.isdigit() else DEFAULT_PORT
        if any(one.port == port for one in item.spec.spec.ports):
            places = (*item.spec.spec.external_ips, *(one.ip for one in item.spec.status.load_balancer.ingress if one.ip))
            found.setdefault(network, set()).update((address, port) for address in places)
    return {network: tuple(sorted(places)) for network, places in sorted(found.items()) if places}
