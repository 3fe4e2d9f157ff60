from __future__ import annotations

from tests.unit.telemetry.graph.test_building import series

from varka.telemetry.graph import building, kiali_json
from varka.telemetry.graph.building import Answers, Wish
from varka.telemetry.graph.topology import Graph, GraphType

ANSWERS = Answers(
    requests=(series(3.0, "web-v1", "shop-v1"), series(1.0, "web-v1", "shop-v2", response_code="503", response_flags="UF")),
    security=(series(3.0, "web-v1", "shop-v1", reporter="destination", connection_security_policy="mutual_tls", source_principal="spiffe://a"),),
    latencies={0.95: (series(12.4, "web-v1", "shop-v1"),)},
    request_bytes=(series(100.0, "web-v1", "shop-v1"),),
)


def test_nodes_and_edges_in_kialis_form() -> None:
    """Ids connect them, numbers are texts, shares are per cent."""
    made = kiali_json.graph(building.build(ANSWERS, Wish(time=1_700_000_000.5, seconds=60)))
    assert (made["timestamp"], made["duration"], made["graphType"]) == (1_700_000_000, 60, "versionedApp")
    nodes = {(one["data"]["app"], one["data"]["version"]): one["data"] for one in made["elements"]["nodes"]}
    web, shop = nodes["web", "v1"], nodes["shop", "v1"]
    assert web == {
        "id": web["id"],
        "nodeType": "app",
        "cluster": "Kubernetes",
        "namespace": "default",
        "app": "web",
        "version": "v1",
        "traffic": [{"protocol": "http", "rates": {"httpOut": "4.00"}}],
        "isRoot": True,
    }
    assert shop["destServices"] == [{"cluster": "Kubernetes", "namespace": "default", "name": "shop"}]
    assert nodes["shop", "v2"]["traffic"] == [{"protocol": "http", "rates": {"httpIn": "1.00", "httpIn5xx": "1.00"}}]
    edges = {one["data"]["target"]: one["data"] for one in made["elements"]["edges"]}
    assert edges[shop["id"]] == {
        "id": edges[shop["id"]]["id"],
        "source": web["id"],
        "target": shop["id"],
        "traffic": {
            "protocol": "http",
            "rates": {"http": "3.00", "httpPercentReq": "75.0"},
            "responses": {"200": {"flags": {"-": "100.0"}, "hosts": {"shop.default.svc.cluster.local": "100.0"}}},
        },
        "sourcePrincipal": "spiffe://a",
        "isMTLS": "100",
        "responseTime": "12",
        "throughput": "100",
    }
    failing = edges[nodes["shop", "v2"]["id"]]
    assert failing["traffic"]["rates"] == {"http": "1.00", "http5xx": "1.00", "httpPercentReq": "25.0", "httpPercentErr": "100.0"}
    assert "isMTLS" not in failing


def test_versions_of_an_app_can_be_boxed() -> None:
    """Boxes lie in each other; an app with one version has none."""
    made = kiali_json.graph(building.build(ANSWERS, Wish()), ["app", "namespace"])
    boxes = [one["data"] for one in made["elements"]["nodes"] if one["data"]["nodeType"] == "box"]
    assert [(box["isBox"], box.get("app")) for box in boxes] == [("namespace", None), ("app", "shop")]
    assert boxes[1]["parent"] == boxes[0]["id"]
    parents = {(one["data"].get("app"), one["data"].get("version")): one["data"].get("parent") for one in made["elements"]["nodes"]}
    assert parents["shop", "v1"] == parents["shop", "v2"] == boxes[1]["id"]
    assert parents["web", "v1"] == boxes[0]["id"]


def test_an_empty_graph_says_why() -> None:
    """The reasons are an addition that a client may leave unread."""
    made = kiali_json.graph(Graph(type=GraphType.APP, time=0, seconds=60, reasons=("because",)))
    assert made["elements"] == {"nodes": [], "edges": []}
    assert made["emptyReasons"] == ["because"]
