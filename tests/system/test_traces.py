"""Traces, requests, traffic and the graph on a real mesh: Bookinfo with its add-ons, seen through what a person would type; and days when they fail."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

SAMPLES = Path(__file__).parents[2] / "samples"
TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: all-traces, namespace: istio-system}
spec:
  tracing:
  - providers: [{name: jaeger}]
    randomSamplingPercentage: 100
"""

STRICT = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: default}
spec: {mtls: {mode: STRICT}}
"""
WORKLOADS = {("productpage", "v1"), ("details", "v1"), ("reviews", "v1"), ("reviews", "v2"), ("reviews", "v3"), ("ratings", "v1")}

SAMPLING = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {{name: sampled, namespace: default}}
spec:
  tracing:
  - randomSamplingPercentage: {}
    customTags:
      lab: {{literal: {{value: observability}}}}
      user: {{header: {{name: end-user, defaultValue: nobody}}}}
"""
PAIR = ("productpage", "details")


@pytest.fixture(scope="module")
def mesh() -> Iterator[Cluster]:
    made = Cluster("traces")
    try:
        made.up()
        made.run(str(PROGRAMS / "istioctl"), "install", "-y", timeout=120)
        made.kubectl("label", "namespace", "default", "istio-injection=enabled")
        made.apply(TELEMETRY)
        for file in ("addons/jaeger.yaml", "bookinfo/bookinfo.yaml", "bookinfo/gateway.yaml"):
            made.kubectl("apply", "-f", str(SAMPLES / file))
        made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", "default", "--timeout=90s", timeout=100)
        made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", "istio-system", "--timeout=90s", timeout=100)
        yield made
    finally:
        made.destroy()


def gateway(mesh: Cluster) -> str:
    lines = dict(line.removeprefix("export ").split("=", 1) for line in mesh.varka("env").stdout.splitlines() if line.startswith("export "))
    return f"http://{lines['GATEWAY_URL'].strip(chr(39))}"


def page(mesh: Cluster, *arguments: str) -> str:
    """The code of one request for the page."""
    line = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", *arguments, f"{gateway(mesh)}/productpage"]
    return subprocess.run(line, capture_output=True, text=True, timeout=20, check=False).stdout


@pytest.fixture
def ask(mesh: Cluster) -> Iterator[Callable[[str], Any]]:
    """Asks the query API inside the store's own pod."""

    def get(path: str) -> Any:
        command = ["exec", "-n", "istio-system", "deploy/jaeger", "--", "curl", "-s", "--max-time", "10", f"http://127.0.0.1:16686/jaeger{path}"]
        text = mesh.kubectl(*command, check=False).stdout
        return json.loads(text) if text.startswith("{") else {}

    yield get


def test_one_request_is_one_trace_with_all_hops(mesh: Cluster, ask: Callable[[str], Any]) -> None:
    """Gateway, productpage, details, reviews and, of v2 and v3, ratings: a server's span is the child of its client's."""
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    eventually(lambda: page(mesh) == "200", seconds=40, what="the page")
    assert page(mesh, "-H", f"traceparent: 00-{trace}-00f067aa0ba902b7-01") == "200"

    def complete() -> list[Any]:
        found = ask(f"/api/traces/{trace}").get("data") or []
        services = {found[0]["processes"][span["processID"]]["serviceName"] for span in found[0]["spans"]} if found else set()
        wanted = {"istio-ingressgateway.istio-system", "productpage.default", "details.default", "reviews.default"}
        return found if wanted <= services else []

    (whole,) = eventually(complete, seconds=40, what="the whole trace")
    spans = {span["spanID"]: span for span in whole["spans"]}

    def service(span: Any) -> str:
        return str(whole["processes"][span["processID"]]["serviceName"])

    def tags(span: Any) -> dict[str, Any]:
        return {tag["key"]: tag["value"] for tag in span["tags"]}

    first = [span for span in spans.values() if span["references"][0]["spanID"] not in spans]
    assert [(service(span), span["references"][0]["spanID"]) for span in first] == [("istio-ingressgateway.istio-system", "00f067aa0ba902b7")]
    edges = set()
    for span in spans.values():
        parent = spans.get(span["references"][0]["spanID"])
        if parent is not None:
            kinds = (tags(parent)["span.kind"], tags(span)["span.kind"])
            assert kinds == (("server", "client") if service(parent) == service(span) else ("client", "server"))
            edges.add((service(parent), service(span)))
    hops = {(one.partition(".")[0], other.partition(".")[0]) for one, other in edges if one != other}
    assert {("istio-ingressgateway", "productpage"), ("productpage", "details"), ("productpage", "reviews")} <= hops
    details = next(span for span in spans.values() if service(span) == "details.default")
    assert details["operationName"] == "details.default.svc.cluster.local:9080/*"
    shown = tags(details)
    assert (shown["http.status_code"], shown["http.method"], shown["istio.canonical_service"], shown["istio.namespace"]) == ("200", "GET", "details", "default")


def test_sampling_and_tags_are_as_telemetry_says(mesh: Cluster, ask: Callable[[str], Any]) -> None:
    """A namespace's Telemetry adds tags of its own, and with a sampling of nothing its proxies begin no trace."""

    def call(query: str) -> None:
        command = ("curl", "-s", "-o", "/dev/null", "-H", "end-user: jason", f"http://details:9080/details/0?{query}")
        mesh.kubectl("exec", "deploy/productpage-v1", "-c", "productpage", "--", *command)

    def traces(query: str) -> list[Any]:
        found = ask("/api/traces?service=details.default&limit=200&lookback=1h").get("data") or []
        return [each for each in found if any(tag["key"] == "http.url" and query in str(tag["value"]) for span in each["spans"] for tag in span["tags"])]

    def services(trace: Any) -> set[str]:
        return {trace["processes"][span["processID"]]["serviceName"] for span in trace["spans"]}

    def traced(query: str) -> list[Any]:
        call(query)
        return traces(query)

    def sampling(value: str) -> bool:
        dumps = [mesh.kubectl("exec", f"deploy/{one}-v1", "-c", "istio-proxy", "--", "curl", "-s", "http://127.0.0.1:15000/config_dump").stdout for one in PAIR]
        return all(set(re.findall(r'"random_sampling": \{\s*([^}]*?)\s*\}', dump)) == {value} for dump in dumps)

    mesh.apply(SAMPLING.format(0))
    eventually(lambda: sampling(""), seconds=30, what="a sampling of nothing")
    for _ in range(5):
        call("unseen")
    mesh.apply(SAMPLING.format(100))
    eventually(lambda: sampling('"value": 100'), seconds=30, what="a sampling of everything")
    (one, *_) = eventually(lambda: [each for each in traced("seen=yes") if len(services(each)) == 2], seconds=60, what="a trace of both sides")
    for span in one["spans"]:
        tags = {tag["key"]: tag["value"] for tag in span["tags"]}
        assert (tags["lab"], tags["user"], tags["istio.mesh_id"]) == ("observability", "jason", "cluster.local")
    assert services(one) == {"productpage.default", "details.default"}
    assert traces("unseen") == []
    mesh.kubectl("delete", "telemetry", "sampled", "-n", "default")


def test_the_newer_api_and_the_dependencies_agree(mesh: Cluster, ask: Callable[[str], Any]) -> None:
    """The same services in both APIs, and edges between them."""
    assert page(mesh) == "200"
    eventually(lambda: "reviews.default" in ask("/api/v3/services").get("services", []), what="the services")
    assert ask("/api/v3/services")["services"] == ask("/api/services")["data"]
    now = int(time.time() * 1000)
    edges = {(one["parent"], one["child"]) for one in ask(f"/api/dependencies?endTs={now + 60_000}&lookback=3600000")["data"]}
    assert ("istio-ingressgateway.istio-system", "productpage.default") in edges
    assert ("productpage.default", "details.default") in edges


def test_spans_survive_the_stores_process_and_requests_do_not_need_it(mesh: Cluster, ask: Callable[[str], Any]) -> None:
    """The container is ended by force: it comes back with what it had, and the page never noticed."""
    before = ask("/api/services")["data"]
    assert before
    mesh.kubectl(
        "exec", "-n", "istio-system", "deploy/jaeger", "--", "sh", "-c", "kill -9 1 2>/dev/null; kill -9 $(pgrep -f varka.telemetry.traces)", check=False
    )
    for _ in range(5):
        assert page(mesh) == "200"
    eventually(lambda: ask("/api/services").get("data") == before, seconds=60, what="the store's return")


def test_requests_are_shown_live_and_traffic_counts_what_they_are(mesh: Cluster) -> None:
    """`varka requests` shows each request that `varka traffic` sent as one line, with caller and callee."""
    watcher = subprocess.Popen(
        [str(PROGRAMS / "varka"), "requests", "--name", mesh.name, "-o", "json", "-w", "details-v1", "--for", "40s", "--limit", "20"],
        stdout=subprocess.PIPE,
        text=True,
        env=mesh.environment,
    )
    try:
        time.sleep(3)
        sent = json.loads(
            mesh.varka(
                "traffic", "http://details:9080/details/0", "--from", "deployment/productpage-v1", "-n", "default", "--rate", "20", "--for", "1s", "-o", "json"
            ).stdout
        )
        assert sent["codes"] == {"200": 20}
        shown, _ = watcher.communicate(timeout=60)
    finally:
        watcher.kill()
    lines = [json.loads(line) for line in shown.splitlines()]
    assert len(lines) == 20
    assert {(line["source"], line["destination"], line["response_code"], line["direction"]) for line in lines} == {
        ("productpage-v1.default", "details-v1.default", 200, "inbound")
    }


def test_the_gateway_is_the_caller_of_what_it_forwards(mesh: Cluster) -> None:
    """Though the callee's log has the address of the gateway's own client."""
    watcher = subprocess.Popen(
        [str(PROGRAMS / "varka"), "requests", "--name", mesh.name, "-o", "json", "-w", "istio-ingressgateway", "--for", "60s", "--limit", "10"],
        stdout=subprocess.PIPE,
        text=True,
        env=mesh.environment,
    )
    try:
        time.sleep(3)
        assert json.loads(mesh.varka("traffic", "--rate", "10", "--for", "1s", "-o", "json").stdout)["codes"] == {"200": 10}
        shown, _ = watcher.communicate(timeout=80)
    finally:
        watcher.kill()
    lines = [json.loads(line) for line in shown.splitlines()]
    assert [(line["source"], line["destination"], line["path"], line["direction"]) for line in lines] == [
        ("istio-ingressgateway.istio-system", "productpage-v1.default", "/productpage", "inbound")
    ] * 10


def test_traffic_through_the_gateway_stops_by_itself(mesh: Cluster) -> None:
    """Errors and delays in the shares that were asked for; the exit code says whether anything answered."""
    sent = json.loads(mesh.varka("traffic", "--rate", "20", "--for", "2s", "--errors", "50%", "-o", "json").stdout)
    assert sent["sent"] == 40
    assert set(sent["codes"]) == {"200", "404"}
    assert mesh.varka("traffic", "http://127.0.0.1:1", "--for", "1s", check=False).returncode == 1


def test_a_graph_without_prometheus_says_so(mesh: Cluster) -> None:
    """The reason and the command that mends it, with exit code 1."""
    done = mesh.varka("graph", "-o", "json", check=False)
    assert done.returncode == 1
    shown = json.loads(done.stdout)
    assert shown["edges"] == []
    (reason,) = shown["reasons"]
    assert reason.startswith("prometheus does not answer")
    assert "kubectl apply -f samples/addons/prometheus.yaml" in reason


def test_the_graph_shows_what_the_client_counted(mesh: Cluster) -> None:
    """Every workload, edges with rates and codes, mutual TLS of all under STRICT, the share of errors, and nobody unknown."""
    mesh.apply(STRICT)
    mesh.apply((SAMPLES / "addons/prometheus.yaml").read_text().replace("scrape_interval: 15s, scrape_timeout: 10s", "scrape_interval: 2s, scrape_timeout: 2s"))
    mesh.kubectl("wait", "--for=condition=Ready", "pod", "-n", "istio-system", "-l", "app=prometheus", "--timeout=90s", timeout=100)
    eventually(lambda: mesh.varka("graph", "-n", "default", "--last", "6s", "-o", "json", check=False).returncode in (0, 1), what="an answer")
    sent = json.loads(mesh.varka("traffic", "--rate", "20", "--for", "12s", "--errors", "25%", "-o", "json").stdout)
    assert sent["sent"] == 240

    def complete() -> Any:
        shown = json.loads(mesh.varka("graph", "--last", "60s", "-o", "json", check=False).stdout)
        names = {(one.get("app"), one.get("version")) for one in shown["nodes"]}
        return shown if names >= WORKLOADS else None

    shown = eventually(complete, seconds=40, what="all workloads in the graph")
    nodes = [(one.get("app"), one.get("version")) for one in shown["nodes"]]
    edges = {(nodes[one["source"]], nodes[one["target"]]): one for one in shown["edges"]}
    page_edge = edges[("istio-ingressgateway", "latest"), ("productpage", "v1")]
    for (source, target), edge in edges.items():
        if source[0] is not None and target in WORKLOADS:
            assert (edge["rate"] > 0, edge["mutual_tls"]) == (True, 1.0), (source, target, edge)
    assert {("productpage", "v1")} == {source for source, target in edges if target[0] in {"details", "reviews"}}
    codes: dict[str, float] = {}
    for edge in edges.values():
        if edge["source"] == page_edge["source"]:
            for one in edge["responses"]:
                codes[one["code"]] = codes.get(one["code"], 0.0) + one["rate"]
    assert set(codes) == {"200", "404"}, edges
    assert codes["404"] / sum(codes.values()) == pytest.approx(sent["codes"]["404"] / sent["sent"], abs=0.1)


def test_the_add_ons_may_go_away(mesh: Cluster) -> None:
    """`varka status` names each that is gone, with its mend, and the page never notices; both come back."""
    eventually(lambda: mesh.status()["problems"] == [], seconds=60, what="nothing to complain about")
    mesh.kubectl("scale", "deployment", "prometheus", "jaeger", "-n", "istio-system", "--replicas=0")
    gone = ["prometheus does not run", "the trace store does not run"]
    eventually(lambda: [one["what"].partition(":")[0] for one in mesh.status()["problems"]] == gone, seconds=60, what="two problems")
    for _ in range(10):
        assert page(mesh) == "200"
    mesh.kubectl("scale", "deployment", "prometheus", "jaeger", "-n", "istio-system", "--replicas=1")
    eventually(lambda: mesh.status()["problems"] == [], seconds=90, what="their return")


def test_a_full_disk_of_the_trace_store_is_told(mesh: Cluster) -> None:
    """Spans are dropped, `varka status` says why and what to do, and requests go on."""
    volume = {"name": "data", "emptyDir": {"medium": "Memory", "sizeLimit": "192Ki"}}
    patch = {"spec": {"strategy": {"type": "Recreate", "rollingUpdate": None}, "template": {"spec": {"volumes": [volume]}}}}
    mesh.kubectl("patch", "deployment", "jaeger", "-n", "istio-system", "-p", json.dumps(patch))
    mesh.kubectl("rollout", "status", "deployment/jaeger", "-n", "istio-system", "--timeout=60s", timeout=70)

    def told() -> Any:
        assert set(json.loads(mesh.varka("traffic", "--rate", "30", "--for", "2s", "-o", "json").stdout)["codes"]) == {"200"}
        return [one for one in mesh.status()["problems"] if "trace store is not ready (database or disk is full)" in one["what"]]

    (problem,) = eventually(told, seconds=90, what="the disk's end")
    assert problem["mend"] == "make room on its volume or let it keep less; it goes on by itself"
