"""Sidecar: what a workload's proxy accepts and how much of the mesh it knows."""

from __future__ import annotations

from typing import Annotated, Literal

from varka.resources.schema import Schema, Spec, UInt32
from varka.resources.selection import LabelledWorkloads
from varka.resources.traffic.destination_rules import ConnectionPool
from varka.resources.traffic.gateways import ServerTls
from varka.resources.traffic.virtual_services import Destination

CaptureMode = Literal["DEFAULT", "IPTABLES", "NONE"]


class SidecarPort(Spec):
    """A port that the sidecar listens on."""

    number: UInt32 = 0
    protocol: str = ""
    name: str = ""
    target_port: UInt32 | None = None


class IngressListener(Spec):
    """A port on which the workload takes requests."""

    port: Annotated[SidecarPort | None, Schema(required=True)] = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    default_endpoint: str = ""
    tls: ServerTls | None = None
    connection_pool: ConnectionPool | None = None


class EgressListener(Spec):
    """Hosts, as `namespace/host`, that the workload may ask for."""

    port: SidecarPort | None = None
    bind: str = ""
    capture_mode: CaptureMode = "DEFAULT"
    hosts: Annotated[tuple[str, ...], Schema(required=True)] = ()


class OutboundTrafficPolicy(Spec):
    """What happens to requests for unknown hosts."""

    mode: Literal["REGISTRY_ONLY", "ALLOW_ANY"] = "REGISTRY_ONLY"
    egress_proxy: Destination | None = None


class Sidecar(Spec):
    """The scope of some sidecars, or of all of a namespace."""

    workload_selector: LabelledWorkloads | None = None
    ingress: tuple[IngressListener, ...] = ()
    egress: tuple[EgressListener, ...] = ()
    inbound_connection_pool: ConnectionPool | None = None
    outbound_traffic_policy: OutboundTrafficPolicy | None = None
