"""Nodes and edges. Rates are per second over the graph's time range, latencies milliseconds, throughput bytes per second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

UNKNOWN = "unknown"


class GraphType(StrEnum):
    """What a node stands for, in Kiali's words."""

    WORKLOAD = "workload"
    APP = "app"
    VERSIONED_APP = "versionedApp"
    SERVICE = "service"


class NodeType(StrEnum):
    """What one node is, in Kiali's words."""

    WORKLOAD = "workload"
    APP = "app"
    SERVICE = "service"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Node:
    """Somebody who calls or is called; what does not apply is empty. Two nodes are one when all fields agree."""

    type: NodeType
    cluster: str = ""
    namespace: str = ""
    workload: str = ""
    app: str = ""
    version: str = ""
    service: str = ""

    @property
    def name(self) -> str:
        """What a person calls it."""
        if self.type is NodeType.WORKLOAD:
            return self.workload
        if self.type is NodeType.APP:
            return f"{self.app} {self.version}" if self.version else self.app
        return self.service or UNKNOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """Response times of an edge; None where there were too few requests to tell."""

    p50: float | None = None
    p95: float | None = None
    p99: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """Traffic of one protocol (`http`, `grpc` or `tcp`) from one node to another.

    `rate` is requests, for TCP bytes sent. `responses` has rates by code, response flags and host that was asked for.
    """

    source: Node
    target: Node
    protocol: str
    rate: float = 0.0
    responses: Mapping[tuple[str, str, str], float] = field(default_factory=dict)
    mutual_tls: float | None = None
    latency: Latency = field(default_factory=Latency)
    request_bytes: float = 0.0
    response_bytes: float = 0.0
    source_principals: tuple[str, ...] = ()
    destination_principals: tuple[str, ...] = ()

    @property
    def errors(self) -> float:
        """Requests that failed: 4xx and 5xx, no response at all, or a gRPC status that is not 0."""
        return sum(rate for (code, _, _), rate in self.responses.items() if failed(self.protocol, code))


def failed(protocol: str, code: str) -> bool:
    """Whether a response code is a failure in its protocol."""
    if protocol == "grpc":
        return code != "0"
    return protocol == "http" and (code[:1] in "45" or code in ("0", "-", ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """One picture: the range ends at `time` (seconds since the epoch) and is `seconds` long."""

    type: GraphType
    time: float
    seconds: int
    nodes: tuple[Node, ...] = ()
    edges: tuple[Edge, ...] = ()
    idle: frozenset[Node] = frozenset()
    """Nodes that are there and had no traffic in the range."""
    outside: frozenset[Node] = frozenset()
    """Nodes in namespaces that were not asked for."""
    called_as: Mapping[Node, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    """The services, as (namespace, name), by which a node was called."""
    reasons: tuple[str, ...] = ()
    """Why there is nothing to see, and what to do; empty when there is."""

    def roots(self) -> frozenset[Node]:
        """Nodes that call and are not called."""
        return frozenset(edge.source for edge in self.edges) - frozenset(edge.target for edge in self.edges)

    def share(self, edge: Edge) -> float:
        """The part of its source's traffic of the same protocol kind that goes over an edge, 0 to 1."""
        total = sum(one.rate for one in self.edges if one.source == edge.source and (one.protocol == "tcp") == (edge.protocol == "tcp"))
        return edge.rate / total if total else 0.0
