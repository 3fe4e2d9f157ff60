"""What the controllers must be told about this cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """Fixed when the node starts."""

    node_name: str = "varka"
    """The only node's name; every pod is bound to it."""

    node_address: str = "10.244.0.1"
    """The node's address as pods reach it: its InternalIP."""

    pod_cidr: str = "10.244.0.0/16"
    """From which pods get their addresses; shown on the Node object only."""

    root_ca: str = ""
    """The API server's CA certificate as PEM; published in every namespace as kube-root-ca.crt."""

    api_address: str = "10.96.0.1"
    """The cluster IP of the `kubernetes` Service."""

    api_port: int = 6443
    """The port on `node_address` at which the API server listens inside the node."""

    dns_address: str = "10.96.0.10"
    """The cluster IP of the `kube-dns` Service."""

    dns_target: str = ""
    """Where DNS is answered, when not at `dns_address` itself; empty leaves the Service without endpoints."""

    event_seconds: float = 3600
    """How long Events are kept."""

    lease_seconds: float = 10
    """How often the node renews its lease."""

    namespace_timeout: float = 5
    """How long after a look at a terminating namespace the next one comes when content with finalizers is left."""
