"""One request or connection, as one proxy told it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Direction = Literal["inbound", "outbound"]
_POLICY = re.compile(r"rbac_access_denied_matched_policy\[ns\[(?P<namespace>[^\]]*)\]-policy\[(?P<name>[^\]]*)\]-rule\[(?P<rule>[^\]]*)\]\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Who: a workload and the pod of it; `name` is the address where nobody in the mesh has it."""

    name: str
    namespace: str = ""
    pod: str = ""

    @property
    def label(self) -> str:
        """`name.namespace`, as Istio's tools write it."""
        return f"{self.name}.{self.namespace}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The fields of one line of an access log; what a proxy left empty (`-`) is an empty text. Times are RFC 3339."""

    start_time: str
    method: str = ""
    path: str = ""
    protocol: str = ""
    response_code: int = 0
    response_flags: str = ""
    response_code_details: str = ""
    connection_termination_details: str = ""
    upstream_transport_failure_reason: str = ""
    bytes_received: int = 0
    bytes_sent: int = 0
    duration: int = 0
    x_forwarded_for: str = ""
    user_agent: str = ""
    request_id: str = ""
    authority: str = ""
    upstream_host: str = ""
    upstream_cluster: str = ""
    downstream_remote_address: str = ""
    requested_server_name: str = ""
    route_name: str = ""

    @property
    def direction(self) -> Direction:
        """Whether the proxy stands before the callee or behind the caller."""
        return "inbound" if self.upstream_cluster.startswith("inbound|") or self.upstream_cluster == "InboundPassthroughCluster" else "outbound"

    @property
    def policy(self) -> str:
        """The AuthorizationPolicy that refused, as `namespace/name`; `none` when no ALLOW policy matched; else empty."""
        details = f"{self.response_code_details} {self.connection_termination_details}"
        found = _POLICY.search(details)
        if found:
            return f"{found['namespace']}/{found['name']}"
        return "none" if "rbac_access_denied_matched_policy[none]" in details else ""

    @property
    def refused_before_routing(self) -> bool:
        """Nobody was called: the proxy answered by itself."""
        return not self.upstream_host


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A line with the two workloads that it is about; `reporter` is the one whose proxy told it."""

    line: Line
    source: Workload
    destination: Workload
    reporter: Workload
