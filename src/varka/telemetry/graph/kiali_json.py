"""The graph in the JSON of Kiali's `/api/namespaces/graph`. Numbers are texts there, shares are per cent.

Source: Kiali 2.x, its graph API's `cytoscape` form.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from varka.telemetry.graph.topology import Edge, Graph, GraphType, Node, NodeType, failed

BOXES = ("cluster", "namespace", "app")


def graph(made: Graph, box_by: Iterable[str] = ()) -> dict[str, Any]:
    """The whole answer; `box_by` names what nodes are boxed by, the outermost first in Kiali's own order."""
    boxes = [one for one in BOXES if one in set(box_by)]
    nodes = [{"data": _node(made, node)} for node in made.nodes]
    parents = _box(made, boxes)
    for entry, node in zip(nodes, made.nodes, strict=True):
        if node in parents.of:
            entry["data"]["parent"] = parents.of[node]
    shown: dict[str, Any] = {
        "timestamp": int(made.time),
        "duration": made.seconds,
        "graphType": str(made.type),
        "elements": {"nodes": [*parents.boxes, *nodes], "edges": [{"data": _edge(made, edge)} for edge in made.edges]},
    }
    if made.reasons:
        shown["emptyReasons"] = list(made.reasons)
    return shown


def identifier(node: Node, *further: str) -> str:
    """A name for a node or edge that is the same in each picture."""
    parts = (node.type, node.cluster, node.namespace, node.workload if node.type is NodeType.WORKLOAD else "", node.app, node.version, node.service, *further)
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def _node(made: Graph, node: Node) -> dict[str, Any]:
    data: dict[str, Any] = {"id": identifier(node), "nodeType": str(node.type), "cluster": node.cluster, "namespace": node.namespace}
    data |= {name: value for name in ("workload", "app", "version", "service") if (value := getattr(node, name))}
    services = made.called_as.get(node)
    if services:
        data["destServices"] = [{"cluster": node.cluster, "namespace": namespace, "name": name} for namespace, name in services]
    traffic = _totals(made, node)
    if traffic:
        data["traffic"] = traffic
    data |= {
        flag: True
        for flag, holds in (
            ("isRoot", node in made.roots()),
            ("isIdle", node in made.idle),
            ("isOutside", node in made.outside),
            ("isInaccessible", node.type is NodeType.UNKNOWN),
        )
        if holds
    }
    return data


def _totals(made: Graph, node: Node) -> list[dict[str, Any]]:
    rates: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for edge in made.edges:
        for direction, end in (("In", edge.target), ("Out", edge.source)):
            if end == node:
                rates[edge.protocol][f"{edge.protocol}{direction}"] += edge.rate
                if direction == "In":
                    for suffix, rate in _classes(edge).items():
                        rates[edge.protocol][f"{edge.protocol}In{suffix}"] += rate
    return [{"protocol": protocol, "rates": {name: _number(rate) for name, rate in sorted(found.items())}} for protocol, found in sorted(rates.items())]


def _classes(edge: Edge) -> dict[str, float]:
    """Rates by what a node shows of its answers: 3xx, 4xx, 5xx and no response, or gRPC errors."""
    found: dict[str, float] = defaultdict(float)
    for (code, _, _), rate in edge.responses.items():
        if edge.protocol == "http" and code[:1] in "345":
            found[f"{code[:1]}xx"] += rate
        elif failed(edge.protocol, code):
            found["NoResponse" if edge.protocol == "http" else "Err"] += rate
    return dict(found)


def _edge(made: Graph, edge: Edge) -> dict[str, Any]:
    source = identifier(edge.source)
    data: dict[str, Any] = {
        "id": identifier(edge.source, identifier(edge.target), edge.protocol),
        "source": source,
        "target": identifier(edge.target),
        "traffic": {"protocol": edge.protocol, "rates": _rates(made, edge), "responses": _responses(edge)},
    }
    if edge.source_principals:
        data["sourcePrincipal"] = ",".join(edge.source_principals)
    if edge.destination_principals:
        data["destPrincipal"] = ",".join(edge.destination_principals)
    if edge.mutual_tls:
        data["isMTLS"] = f"{edge.mutual_tls * 100:.0f}"
    if edge.latency.p95 is not None:
        data["responseTime"] = f"{edge.latency.p95:.0f}"
    if edge.request_bytes or edge.response_bytes:
        data["throughput"] = f"{edge.request_bytes + edge.response_bytes:.0f}"
    return data


def _rates(made: Graph, edge: Edge) -> dict[str, str]:
    rates = {edge.protocol: _number(edge.rate)}
    if edge.protocol == "tcp":
        return rates
    rates |= {f"{edge.protocol}{suffix}": _number(rate) for suffix, rate in sorted(_classes(edge).items())}
    rates[f"{edge.protocol}PercentReq"] = f"{made.share(edge) * 100:.1f}"
    if edge.errors:
        rates[f"{edge.protocol}PercentErr"] = f"{edge.errors / edge.rate * 100:.1f}"
    return rates


def _responses(edge: Edge) -> dict[str, Any]:
    """By code: the share that each response flag and each host has of all requests of the edge."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (code, flags, host), rate in edge.responses.items():
        entry = found.setdefault(code, {"flags": defaultdict(float), "hosts": defaultdict(float)})
        entry["flags"][flags] += rate
        entry["hosts"][host or "unknown"] += rate
    return {code: {kind: _shares(rates, edge.rate) for kind, rates in entry.items()} for code, entry in sorted(found.items())}


def _shares(rates: Mapping[str, float], total: float) -> dict[str, str]:
    return {name: f"{rate / total * 100 if total else 0:.1f}" for name, rate in sorted(rates.items())}


def _number(rate: float) -> str:
    return f"{rate:.2f}" if rate >= 0.01 or not rate else f"{rate:.4f}"


class _Boxes:
    """The boxes of a picture and which node is in which."""

    def __init__(self) -> None:
        self.boxes: list[dict[str, Any]] = []
        self.of: dict[Node, str] = {}


def _box(made: Graph, kinds: list[str]) -> _Boxes:
    result = _Boxes()
    known: set[str] = set()
    for node in made.nodes:
        parent = ""
        for kind in kinds:
            if not _belongs(made, node, kind):
                continue
            own = {"cluster": (), "namespace": (node.namespace,), "app": (node.namespace, node.app)}[kind]
            name = hashlib.blake2b("\0".join(("box", kind, node.cluster, *own)).encode(), digest_size=16).hexdigest()
            if name not in known:
                known.add(name)
                data: dict[str, Any] = {"id": name, "nodeType": "box", "isBox": kind, "cluster": node.cluster}
                data |= dict(zip(("namespace", "app"), own, strict=False)) | ({"parent": parent} if parent else {})
                result.boxes.append({"data": data})
            parent = name
        if parent:
            result.of[node] = parent
    return result


def _belongs(made: Graph, node: Node, kind: str) -> bool:
    """Only an app with several versions gets a box, and nobody unknown gets any."""
    if node.type is NodeType.UNKNOWN:
        return False
    if kind != "app":
        return True
    same = [one for one in made.nodes if one.type is node.type and (one.namespace, one.app) == (node.namespace, node.app)]
    return bool(node.app) and node.type is NodeType.APP and made.type is GraphType.VERSIONED_APP and len(same) > 1
