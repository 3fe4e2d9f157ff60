"""From Prometheus' answers to nodes and edges.

Each request is counted by the proxies of both sides. The caller's count makes the edge, because it knows also what never
arrived; the callee's is taken where the caller has no proxy. What only the callee knows (the kind of security) is added.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from varka.telemetry.graph.topology import UNKNOWN, Edge, Graph, GraphType, Latency, Node, NodeType


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One series' value."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What Prometheus said to each of `queries`' questions."""

    requests: tuple[Sample, ...] = ()
    security: tuple[Sample, ...] = ()
    tcp: tuple[Sample, ...] = ()
    request_bytes: tuple[Sample, ...] = ()
    response_bytes: tuple[Sample, ...] = ()
    latencies: Mapping[float, tuple[Sample, ...]] = field(default_factory=dict)
    proxies: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What kind of picture: `inject_services` puts the called service between caller and callee."""

    type: GraphType = GraphType.VERSIONED_APP
    namespaces: tuple[str, ...] = ()
    seconds: int = 60
    time: float = 0.0
    inject_services: bool = False
    idle_edges: bool = False
    idle_nodes: bool = True


_Key = tuple[Node, Node, str]


@dataclass(slots=True)
class _Flow:
    """What is known of one edge while it is put together."""

    rate: float = 0.0
    responses: dict[tuple[str, str, str], float] = field(default_factory=lambda: defaultdict(float))
    secured: float = 0.0
    judged: float = 0.0
    latencies: dict[float, float] = field(default_factory=dict)
    request_bytes: float = 0.0
    response_bytes: float = 0.0
    source_principals: set[str] = field(default_factory=set)
    destination_principals: set[str] = field(default_factory=set)


def build(answers: Answers, wish: Wish) -> Graph:
    """The graph that the answers tell."""
    flows: dict[_Key, _Flow] = defaultdict(_Flow)
    called: dict[Node, set[tuple[str, str]]] = defaultdict(set)
    tellers = _Tellers((*answers.requests, *answers.tcp))
    for sample in answers.requests:
        if tellers.counts(sample.labels):
            _add_requests(flows, called, sample, wish)
    for sample in answers.tcp:
        if tellers.counts(sample.labels):
            for key in _keys(sample.labels, "tcp", wish, called):
                flows[key].rate += sample.value
                flows[key].responses["-", sample.labels.get("response_flags", "-"), sample.labels.get("destination_service", "")] += sample.value
        _secure(flows, sample, "tcp", wish)
    for sample in answers.security:
        _secure(flows, sample, _protocol(sample.labels), wish)
    _measure(flows, answers, tellers, wish)
    wanted = {key: flow for key, flow in flows.items() if flow.rate > 0 or wish.idle_edges}
    edges = tuple(_edge(key, flow) for key, flow in sorted(wanted.items(), key=lambda pair: pair[0]))
    busy = {node for edge in edges for node in (edge.source, edge.target)}
    idle = frozenset(_idle(flows, answers.proxies, wish) - busy) if wish.idle_nodes else frozenset()
    nodes = tuple(sorted(busy | idle))
    return Graph(
        type=wish.type,
        time=wish.time,
        seconds=wish.seconds,
        nodes=nodes,
        edges=edges,
        idle=idle,
        outside=frozenset(node for node in nodes if wish.namespaces and node.namespace not in wish.namespaces),
        called_as={node: tuple(sorted(services)) for node, services in called.items() if node in busy},
    )


class _Tellers:
    """Which pairs the caller's side tells of: there the callee's count would be the same requests again."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._told = {_pair(sample.labels) for sample in samples if sample.labels.get("reporter") == "source"}

    def counts(self, labels: Mapping[str, str]) -> bool:
        """Whether a series is the one to count."""
        return labels.get("reporter") != "destination" or _pair(labels) not in self._told


def _pair(labels: Mapping[str, str]) -> tuple[str, ...]:
    names = ("source_workload_namespace", "source_workload", "destination_workload_namespace", "destination_workload")
    return tuple(labels.get(name, UNKNOWN) for name in names)


def _add_requests(flows: dict[_Key, _Flow], called: dict[Node, set[tuple[str, str]]], sample: Sample, wish: Wish) -> None:
    labels = sample.labels
    protocol = _protocol(labels)
    code = labels.get("grpc_response_status", "") if protocol == "grpc" else labels.get("response_code", "")
    for key in _keys(labels, protocol, wish, called):
        flows[key].rate += sample.value
        if sample.value:
            flows[key].responses[code or "-", labels.get("response_flags", "-") or "-", labels.get("destination_service", "")] += sample.value


def _protocol(labels: Mapping[str, str]) -> str:
    return "grpc" if labels.get("request_protocol") == "grpc" else "http"


def _keys(labels: Mapping[str, str], protocol: str, wish: Wish, called: dict[Node, set[tuple[str, str]]] | None = None) -> list[_Key]:
    """The edges that a series belongs to: one, or two with the service between."""
    source, target, service = _source(labels, wish.type), _target(labels, wish.type), _service(labels)
    if called is not None and service is not None and target.type is not NodeType.SERVICE:
        called[target].add((service.namespace, service.service))
    if wish.inject_services and service is not None and wish.type is not GraphType.SERVICE and target != service:
        return [(source, service, protocol), (service, target, protocol)]
    return [(source, target, protocol)]


def _source(labels: Mapping[str, str], kind: GraphType) -> Node:
    return _node(labels, "source", kind) or Node(type=NodeType.UNKNOWN, cluster=UNKNOWN, namespace=UNKNOWN)


def _target(labels: Mapping[str, str], kind: GraphType) -> Node:
    """The workload that was called; the service where none answered or the graph is one of services."""
    service = _service(labels)
    if kind is GraphType.SERVICE and service is not None:
        return service
    return _node(labels, "destination", kind) or service or Node(type=NodeType.UNKNOWN, cluster=UNKNOWN, namespace=UNKNOWN)


def _service(labels: Mapping[str, str]) -> Node | None:
    name = labels.get("destination_service_name", "")
    if name in ("", UNKNOWN):
        return None
    namespace = labels.get("destination_service_namespace", UNKNOWN)
    return Node(type=NodeType.SERVICE, cluster=labels.get("destination_cluster", UNKNOWN), namespace=namespace, service=name)


def _node(labels: Mapping[str, str], side: str, kind: GraphType) -> Node | None:
    workload, namespace = labels.get(f"{side}_workload", UNKNOWN), labels.get(f"{side}_workload_namespace", UNKNOWN)
    if workload in ("", UNKNOWN):
        return None
    app, version = labels.get(f"{side}_canonical_service", ""), labels.get(f"{side}_canonical_revision", "")
    cluster = labels.get(f"{side}_cluster", UNKNOWN)
    return _member(cluster, namespace, workload, "" if app == UNKNOWN else app, "" if version == UNKNOWN else version, kind)


def _member(cluster: str, namespace: str, workload: str, app: str, version: str, kind: GraphType) -> Node:
    """A workload as a node of its kind of graph; one without an app stays a workload, as in Kiali."""
    if kind is GraphType.WORKLOAD or not app:
        return Node(type=NodeType.WORKLOAD, cluster=cluster, namespace=namespace, workload=workload, app=app, version=version)
    if kind is GraphType.SERVICE:
        return Node(type=NodeType.SERVICE, cluster=cluster, namespace=namespace, service=app)
    return Node(type=NodeType.APP, cluster=cluster, namespace=namespace, app=app, version=version if kind is GraphType.VERSIONED_APP else "")


def _secure(flows: dict[_Key, _Flow], sample: Sample, protocol: str, wish: Wish) -> None:
    """How much of an edge was mutual TLS, and the identities on it; only the called side knows."""
    labels = sample.labels
    if labels.get("reporter") != "destination" or not sample.value:
        return
    for key in _keys(labels, protocol, wish):
        if key not in flows:
            continue
        flow = flows[key]
        flow.judged += sample.value
        flow.secured += sample.value if labels.get("connection_security_policy") == "mutual_tls" else 0.0
        for name, principals in (("source_principal", flow.source_principals), ("destination_principal", flow.destination_principals)):
            if labels.get(name, UNKNOWN) not in ("", UNKNOWN):
                principals.add(labels[name])


def _measure(flows: dict[_Key, _Flow], answers: Answers, tellers: _Tellers, wish: Wish) -> None:
    for sample in answers.request_bytes:
        for flow in _flows(flows, sample, tellers, wish):
            flow.request_bytes += sample.value
    for sample in answers.response_bytes:
        for flow in _flows(flows, sample, tellers, wish):
            flow.response_bytes += sample.value
    for quantile, samples in answers.latencies.items():
        for sample in samples:
            # A quantile cannot be added up: where several series meet in one edge, the slowest one stands.
            for flow in _flows(flows, sample, tellers, wish):
                if sample.value == sample.value:
                    flow.latencies[quantile] = max(flow.latencies.get(quantile, 0.0), sample.value)


def _flows(flows: dict[_Key, _Flow], sample: Sample, tellers: _Tellers, wish: Wish) -> list[_Flow]:
    if not tellers.counts(sample.labels):
        return []
    return [flows[key] for key in _keys(sample.labels, _protocol(sample.labels), wish) if key in flows]


def _edge(key: _Key, flow: _Flow) -> Edge:
    source, target, protocol = key
    return Edge(
        source=source,
        target=target,
        protocol=protocol,
        rate=flow.rate,
        responses=dict(sorted(flow.responses.items())),
        mutual_tls=flow.secured / flow.judged if flow.judged else None,
        latency=Latency(p50=flow.latencies.get(0.5), p95=flow.latencies.get(0.95), p99=flow.latencies.get(0.99)),
        request_bytes=flow.request_bytes,
        response_bytes=flow.response_bytes,
        source_principals=tuple(sorted(flow.source_principals)),
        destination_principals=tuple(sorted(flow.destination_principals)),
    )


def _idle(flows: Mapping[_Key, _Flow], proxies: Iterable[Sample], wish: Wish) -> set[Node]:
    """Who is there without traffic: proxies that are read, and edges of an earlier time."""
    found = {node for (source, target, _), flow in flows.items() if flow.rate == 0 for node in (source, target) if node.type is not NodeType.UNKNOWN}
    for sample in proxies:
        labels = sample.labels
        namespace, pod = labels.get("namespace", ""), labels.get("pod", "")
        if not pod or (wish.namespaces and namespace not in wish.namespaces):
            continue
        app = labels.get("service_istio_io_canonical_name") or labels.get("app", "")
        version = labels.get("service_istio_io_canonical_revision") or labels.get("version", "")
        found.add(_member("Kubernetes", namespace, workload_of(pod), app, version, wish.type))
    return found


def workload_of(pod: str) -> str:
    """The workload that a pod's name tells: without the hashes of ReplicaSet and pod, or the number of a StatefulSet."""
    head, _, tail = pod.rpartition("-")
    if not head or not tail.isalnum():
        return pod
    if tail.isdigit():
        return head
    if len(tail) != 5:
        return pod
    name, _, template = head.rpartition("-")
    return name if name and 6 <= len(template) <= 10 and template.isalnum() and any(character.isdigit() for character in template) else head
