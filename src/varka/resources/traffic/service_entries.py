"""ServiceEntry: a service that the cluster does not know, inside the mesh or outside."""

from __future__ import annotations

from typing import Annotated, Literal

from varka.resources.schema import PortNumber, Schema, Spec
from varka.resources.selection import LabelledWorkloads
from varka.resources.traffic.workloads import WorkloadEntry

_RULES = (
    ("(has(self.workloadSelector) ? 1 : 0) + (has(self.endpoints) ? 1 : 0) <= 1", "only one of WorkloadSelector or Endpoints can be set"),
    (
        '!((has(self.addresses) ? self.addresses : []).exists(k, k.contains("/")) && '
        '!((has(self.resolution) ? self.resolution : "NONE") in ["STATIC", "NONE"]))',
        "CIDR addresses are allowed only for NONE/STATIC resolution types",
    ),
    ('((has(self.resolution) ? self.resolution : "NONE") == "NONE") ? !has(self.endpoints) : true', "NONE mode cannot set endpoints"),
    (
        '((has(self.resolution) ? self.resolution : "") == "DNS_ROUND_ROBIN") ? ((has(self.endpoints) ? self.endpoints : []).size() <= 1) : true',
        "DNS_ROUND_ROBIN mode cannot have multiple endpoints",
    ),
)
_UNIQUE = (("self.all(l1, self.exists_one(l2, l1.number == l2.number))", "port number cannot be duplicated"),)
_Host = Annotated[str, Schema(rules=(('self != "*"', "hostname cannot be wildcard"),))]


class ServicePort(Spec):
    """A port of the service, and the one behind it."""

    number: Annotated[PortNumber, Schema(required=True)] = 0
    protocol: Annotated[str, Schema(maxLength=256)] = ""
    name: Annotated[str, Schema(required=True, maxLength=256)] = ""
    target_port: PortNumber | None = None


_Ports = Annotated[
    tuple[ServicePort, ...],
    Schema(maxItems=256, rules=_UNIQUE, **{"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}),
]


class ServiceEntry(Spec):
    """Hosts, ports and endpoints added to the mesh's own list of services."""

    schema_rules = _RULES

    hosts: Annotated[tuple[_Host, ...], Schema(required=True, minItems=1, maxItems=256)] = ()
    addresses: Annotated[tuple[Annotated[str, Schema(maxLength=64)], ...], Schema(maxItems=256)] = ()
    ports: _Ports = ()
    location: Literal["MESH_EXTERNAL", "MESH_INTERNAL"] = "MESH_EXTERNAL"
    resolution: Literal["NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN", "DYNAMIC_DNS"] = "NONE"
    endpoints: Annotated[tuple[WorkloadEntry, ...], Schema(maxItems=4096)] = ()
    workload_selector: LabelledWorkloads | None = None
    export_to: tuple[str, ...] = ()
    subject_alt_names: tuple[str, ...] = ()
