from __future__ import annotations

import pytest

from varka.telemetry.graph import building
from varka.telemetry.graph.building import Answers, Sample, Wish
from varka.telemetry.graph.topology import Graph, GraphType, Node, NodeType


def series(value: float, source: str, destination: str, **further: str) -> Sample:
    """A series between workloads such as `web-v1`; an empty name is unknown."""
    labels: dict[str, str] = {"reporter": "source", "request_protocol": "http", "response_code": "200", "response_flags": "-"}
    for side, workload in (("source", source), ("destination", destination)):
        app, _, version = workload.partition("-")
        known = bool(workload)
        labels |= {
            f"{side}_workload": workload or "unknown",
            f"{side}_workload_namespace": "default" if known else "unknown",
            f"{side}_canonical_service": app or "unknown",
            f"{side}_canonical_revision": version or "unknown",
            f"{side}_cluster": "Kubernetes" if known else "unknown",
        }
    app = destination.partition("-")[0]
    if app:
        labels |= {"destination_service_name": app, "destination_service_namespace": "default", "destination_service": f"{app}.default.svc.cluster.local"}
    return Sample(labels={**labels, **further}, value=value)


def app(name: str, version: str = "") -> Node:
    return Node(type=NodeType.APP, cluster="Kubernetes", namespace="default", app=name, version=version)


UNKNOWN = Node(type=NodeType.UNKNOWN, cluster="unknown", namespace="unknown")


def edges(made: Graph) -> list[tuple[str, str, str, float]]:
    return [(edge.source.name, edge.target.name, edge.protocol, round(edge.rate, 6)) for edge in made.edges]


def test_what_both_sides_count_is_one_edge() -> None:
    """The caller's count is taken; the callee's is the same requests again."""
    made = building.build(
        Answers(
            requests=(
                series(3.0, "web-v1", "shop-v2"),
                series(1.0, "web-v1", "shop-v2", response_code="503"),
                series(4.0, "web-v1", "shop-v2", reporter="destination"),
            )
        ),
        Wish(),
    )
    assert made.nodes == (app("shop", "v2"), app("web", "v1"))
    (edge,) = made.edges
    assert (edge.source, edge.target, edge.rate, edge.errors) == (app("web", "v1"), app("shop", "v2"), 4.0, 1.0)
    host = "shop.default.svc.cluster.local"
    assert edge.responses == {("200", "-", host): 3.0, ("503", "-", host): 1.0}
    assert made.roots() == {app("web", "v1")}
    assert made.called_as == {app("shop", "v2"): (("default", "shop"),)}


def test_a_caller_without_a_proxy_is_known_from_the_callee() -> None:
    """It is the node `unknown`."""
    made = building.build(Answers(requests=(series(2.0, "", "shop-v1", reporter="destination"),)), Wish())
    assert edges(made) == [("unknown", "shop v1", "http", 2.0)]
    assert made.edges[0].source == UNKNOWN


def test_what_never_arrived_leads_to_the_service() -> None:
    """When nobody answered, the caller knows only which service it wanted."""
    failing = series(
        1.0,
        "web-v1",
        "",
        response_code="503",
        response_flags="UH",
        destination_service_name="shop",
        destination_service_namespace="default",
        destination_cluster="Kubernetes",
    )
    made = building.build(Answers(requests=(failing,)), Wish())
    assert made.edges[0].target == Node(type=NodeType.SERVICE, cluster="Kubernetes", namespace="default", service="shop")
    assert made.edges[0].errors == 1.0


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (GraphType.WORKLOAD, [("web-v1", "shop-v1", "http", 1.0), ("web-v1", "shop-v2", "http", 2.0)]),
        (GraphType.VERSIONED_APP, [("web v1", "shop v1", "http", 1.0), ("web v1", "shop v2", "http", 2.0)]),
        (GraphType.APP, [("web", "shop", "http", 3.0)]),
        (GraphType.SERVICE, [("web", "shop", "http", 3.0)]),
    ],
)
def test_the_kind_of_graph_says_what_a_node_is(kind: GraphType, expected: list[tuple[str, str, str, float]]) -> None:
    """Workloads, apps with or without their versions, or services."""
    answers = Answers(requests=(series(1.0, "web-v1", "shop-v1"), series(2.0, "web-v1", "shop-v2")))
    assert edges(building.build(answers, Wish(type=kind))) == expected


def test_the_called_service_can_stand_between() -> None:
    """Caller to service, service to versions."""
    answers = Answers(requests=(series(1.0, "web-v1", "shop-v1"), series(3.0, "web-v1", "shop-v2")))
    made = building.build(answers, Wish(inject_services=True))
    assert sorted(edges(made)) == [("shop", "shop v1", "http", 1.0), ("shop", "shop v2", "http", 3.0), ("web v1", "shop", "http", 4.0)]
    to_v2 = next(edge for edge in made.edges if edge.target == app("shop", "v2"))
    assert made.share(to_v2) == 0.75


def test_grpc_is_judged_by_its_status() -> None:
    """A gRPC status that is not 0 is an error, whatever the HTTP code."""
    made = building.build(
        Answers(
            requests=(
                series(1.0, "web-v1", "shop-v1", request_protocol="grpc", grpc_response_status="0"),
                series(2.0, "web-v1", "shop-v1", request_protocol="grpc", grpc_response_status="14"),
            )
        ),
        Wish(),
    )
    assert made.edges[0].protocol == "grpc"
    assert made.edges[0].errors == 2.0
    assert {code for code, _, _ in made.edges[0].responses} == {"0", "14"}


def test_mutual_tls_and_identities_come_from_the_callee() -> None:
    """The share of requests that were mutual TLS, and who was on both ends."""
    answers = Answers(
        requests=(series(4.0, "web-v1", "shop-v1"),),
        security=(
            series(
                3.0,
                "web-v1",
                "shop-v1",
                reporter="destination",
                connection_security_policy="mutual_tls",
                source_principal="spiffe://a",
                destination_principal="spiffe://b",
            ),
            series(1.0, "web-v1", "shop-v1", reporter="destination", connection_security_policy="none", source_principal="unknown"),
        ),
    )
    (edge,) = building.build(answers, Wish()).edges
    assert edge.mutual_tls == 0.75
    assert (edge.source_principals, edge.destination_principals) == (("spiffe://a",), ("spiffe://b",))
    assert building.build(Answers(requests=(series(4.0, "web-v1", "shop-v1"),)), Wish()).edges[0].mutual_tls is None


def test_latencies_and_throughput() -> None:
    """Quantiles of the caller; where series meet the slowest stands, and one without requests (NaN) does not count."""
    answers = Answers(
        requests=(series(1.0, "web-v1", "shop-v1"),),
        request_bytes=(series(100.0, "web-v1", "shop-v1"), series(999.0, "web-v1", "shop-v1", reporter="destination")),
        response_bytes=(series(200.0, "web-v1", "shop-v1"),),
        latencies={0.5: (series(5.0, "web-v1", "shop-v1"), series(float("nan"), "web-v1", "shop-v1")), 0.95: (series(9.0, "web-v1", "shop-v1"),)},
    )
    (edge,) = building.build(answers, Wish()).edges
    assert (edge.latency.p50, edge.latency.p95, edge.latency.p99) == (5.0, 9.0, None)
    assert (edge.request_bytes, edge.response_bytes) == (100.0, 200.0)


def test_tcp_is_measured_in_bytes() -> None:
    """Bytes a second; its security is told with it."""
    answers = Answers(
        tcp=(series(1000.0, "web-v1", "db-v1"), series(1000.0, "web-v1", "db-v1", reporter="destination", connection_security_policy="mutual_tls")),
    )
    (edge,) = building.build(answers, Wish()).edges
    assert (edge.protocol, edge.rate, edge.mutual_tls, edge.errors) == ("tcp", 1000.0, 1.0, 0)


def test_who_had_no_traffic_is_idle() -> None:
    """Edges of an earlier time, and proxies that nobody called."""
    proxy = Sample(labels={"namespace": "default", "pod": "cart-v1-7d9f8c6b5d-x2v9k", "app": "cart", "version": "v1"}, value=1.0)
    other = Sample(labels={"namespace": "other", "pod": "cart-v1-7d9f8c6b5d-x2v9k", "app": "cart", "version": "v1"}, value=1.0)
    answers = Answers(requests=(series(0.0, "web-v1", "shop-v1"), series(1.0, "web-v1", "shop-v2")), proxies=(proxy, other))
    made = building.build(answers, Wish(namespaces=("default",)))
    assert made.idle == {app("cart", "v1"), app("shop", "v1")}
    assert edges(made) == [("web v1", "shop v2", "http", 1.0)]
    shown = building.build(answers, Wish(idle_edges=True, idle_nodes=False))
    assert edges(shown) == [("web v1", "shop v1", "http", 0.0), ("web v1", "shop v2", "http", 1.0)]


def test_namespaces_that_were_not_asked_for_are_outside() -> None:
    """They are shown because somebody asked for talks to them."""
    answers = Answers(requests=(series(1.0, "web-v1", "shop-v1", source_workload_namespace="istio-system"),))
    made = building.build(answers, Wish(namespaces=("default",)))
    assert [node.namespace for node in made.outside] == ["istio-system"]


def test_the_same_answers_in_any_order_make_the_same_graph() -> None:
    """Nodes and edges are sorted."""
    samples = tuple(series(1.0, f"web-v{number}", "shop-v1") for number in range(5))
    assert building.build(Answers(requests=samples), Wish()) == building.build(Answers(requests=samples[::-1]), Wish())


@pytest.mark.parametrize(
    ("pod", "workload"),
    [
        ("reviews-v1-5dd6994b56-fj59h", "reviews-v1"),
        ("db-0", "db"),
        ("agent-x2v9k", "agent"),
        ("curl", "curl"),
        ("my-app-frontend-66c9d8b7-abcde", "my-app-frontend"),
        ("plain-name", "plain-name"),
    ],
)
def test_a_pods_name_tells_its_workload(pod: str, workload: str) -> None:
    """Deployments, StatefulSets, DaemonSets and pods of their own."""
    assert building.workload_of(pod) == workload
