"""Metrics of a real mesh: what the client counted is what the proxies report, and upstream's unchanged add-on shows it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.system.clusters import PROGRAMS, Cluster, eventually

from varka.cluster import packages

SHARED = Path(__file__).parents[3] / "shared"
UPSTREAM = SHARED / "istio-1.28.2" / "samples"
SAMPLES = Path(__file__).parents[2] / "samples"
PLAIN = """
apiVersion: v1
kind: Namespace
metadata: {name: plain}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: plain, labels: {app: client}}
spec:
  containers: [{name: client, image: curlimages/curl, command: [sleep, infinity]}]
"""
TROUBLE = """
apiVersion: v1
kind: Service
metadata: {name: httpbin}
spec: {selector: {app: httpbin}, ports: [{name: http, port: 8000, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{name: http, port: 80}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: httpbin}
spec:
  selector: {matchLabels: {app: httpbin}}
  template:
    metadata: {labels: {app: httpbin}}
    spec: {containers: [{name: httpbin, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: httpbin}
spec: {hosts: [httpbin], http: [{timeout: 0.3s, retries: {attempts: 0}, route: [{destination: {host: httpbin}}]}]}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: refuse}
spec: {selector: {matchLabels: {app: httpbin}}, action: DENY, rules: [{to: [{operation: {paths: ["/anything/*"]}}]}]}
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: {name: closed}
spec: {workloadSelector: {labels: {app: ratings}}, outboundTrafficPolicy: {mode: REGISTRY_ONLY}, egress: [{hosts: ["*/*"]}]}
"""
TELEMETRY = """
apiVersion: telemetry.istio.io/v1
kind: Telemetry
metadata: {name: httpbin, namespace: default}
spec:
  selector: {matchLabels: {app: httpbin}}
  metrics:
  - providers: [{name: prometheus}]
    overrides:
    - {match: {metric: REQUEST_COUNT, mode: SERVER}, tagOverrides: {path: {value: request.url_path}, verb: {value: request.method}, source_version: {operation: REMOVE}}}
    - {match: {metric: REQUEST_SIZE}, disabled: true}
  accessLogging:
  - {providers: [{name: envoy}], filter: {expression: "response.code >= 400"}}
"""
SAY = "import socket,sys; s=socket.create_connection(('tcp-echo.default',9000),5); s.sendall(b'hello\\n'); s.shutdown(1); print(s.makefile().read())"
SAY_PLAINLY = "import socket; s=socket.create_connection(('tcp-echo.default',9000),5); s.sendall(b'hello\\n'); print(s.recv(99)); s.close()"


@pytest.fixture(scope="module")
def mesh() -> Iterator[Cluster]:
    """Bookinfo and a TCP service with sidecars, a client without, and Prometheus from upstream's file."""
    made = Cluster("observe")
    try:
        made.up()
        made.run(str(PROGRAMS / "istioctl"), "install", "-y", timeout=150)
        made.kubectl("label", "namespace", "default", "istio-injection=enabled")
        for file in (
            UPSTREAM / "addons/prometheus.yaml",
            UPSTREAM / "bookinfo/platform/kube/bookinfo.yaml",
            SAMPLES / "bookinfo/gateway.yaml",
            UPSTREAM / "tcp-echo/tcp-echo.yaml",
        ):
            made.kubectl("apply", "-f", str(file if file.exists() else SAMPLES / "bookinfo/bookinfo.yaml"))
        made.apply(PLAIN)
        made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", "default", "--timeout=120s", timeout=130)
        made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", "plain", "--timeout=60s", timeout=70)
        yield made
    finally:
        made.destroy()


@pytest.fixture(scope="module")
def troubled(mesh: Cluster) -> Cluster:
    """The mesh with a service that fails in every way, and a workload that may call registered hosts only."""
    mesh.apply(TROUBLE)
    mesh.kubectl("rollout", "status", "deployment/httpbin", "--timeout=60s", timeout=70)
    details = ("exec", "deploy/details-v1", "-c", "details", "--", "curl", "-s", "-o", "/dev/null", "-m", "5", "-w", "%{http_code}")
    for url, code in (("http://httpbin:8000/anything/warm", "403"), ("http://httpbin:8000/delay/3", "504"), ("http://nobody/", "503")):
        eventually(lambda url=url, code=code: mesh.kubectl(*details, url, check=False).stdout == code, seconds=30, what=f"{code} of {url}")
    return mesh


def page(mesh: Cluster, path: str = "/productpage") -> int:
    """One request through the gateway; its code."""
    lines = dict(line.removeprefix("export ").split("=", 1) for line in mesh.varka("env").stdout.splitlines() if line.startswith("export "))
    url = f"http://{lines['GATEWAY_URL'].strip(chr(39))}{path}"
    done = subprocess.run(
        ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10", url], capture_output=True, text=True, timeout=20, check=False
    )
    return int(done.stdout or 0)


def stats(mesh: Cluster, workload: str, namespace: str = "default") -> str:
    """The merged metrics of a workload's proxy, as Prometheus gets them."""
    return mesh.kubectl("exec", "-n", namespace, workload, "-c", "istio-proxy", "--", "curl", "-s", "http://127.0.0.1:15020/stats/prometheus").stdout


def total(text: str, name: str, **labels: str) -> float:
    """The sum of the series of a metric with these labels."""
    found = 0.0
    for line in text.splitlines():
        if line.startswith(name + "{"):
            given = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line))
            if all(given.get(key) == value for key, value in labels.items()):
                found += float(line.rpartition(" ")[2])
    return found


def series(text: str, name: str, of: dict[str, str]) -> dict[tuple[str, str], float]:
    """The series of a metric with these labels, by code and flags."""
    found: dict[tuple[str, str], float] = {}
    for line in text.splitlines():
        if line.startswith(name + "{"):
            given = dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', line))
            if all(given.get(key) == value for key, value in of.items()):
                key = given["response_code"], given["response_flags"]
                found[key] = found.get(key, 0) + float(line.rpartition(" ")[2])
    return found


def plain(mesh: Cluster, count: int) -> None:
    """Requests of the client without a sidecar."""
    line = f"for i in $(seq {count}); do curl -s -o /dev/null http://productpage.default:9080/productpage; done"
    mesh.kubectl("exec", "-n", "plain", "client", "--", "sh", "-c", line)


def say(mesh: Cluster) -> str:
    """One TCP connection from a workload of the mesh."""
    return mesh.kubectl("exec", "deploy/productpage-v1", "-c", "productpage", "--", sys.executable, "-c", SAY).stdout


def test_the_guides_telemetry_is_accepted_and_said_to_be_wrong(mesh: Cluster) -> None:
    """An access-log operator where CEL is expected is a warning; the proxies go on."""
    told = mesh.kubectl("apply", "-f", str(SHARED / "lab/telemetry-config.yaml"))
    assert "access-log operator" in told.stderr
    assert len(mesh.get("telemetry", "-n", "istio-system")["items"]) == 3


def test_what_the_client_counted_is_what_the_proxies_report(mesh: Cluster) -> None:
    """Every request is counted once by each side, with its code, its workloads, its identities and its security."""
    eventually(lambda: page(mesh) == 200, seconds=60, what="the page")
    gateway = ("deploy/istio-ingressgateway", "istio-system")
    before = stats(mesh, *gateway), stats(mesh, "deploy/productpage-v1"), stats(mesh, "deploy/details-v1")
    codes = [page(mesh) for _ in range(12)] + [page(mesh, "/static/nothing") for _ in range(5)]
    assert codes == [200] * 12 + [404] * 5
    after = stats(mesh, *gateway), stats(mesh, "deploy/productpage-v1"), stats(mesh, "deploy/details-v1")

    def grown(index: int, name: str, **labels: str) -> float:
        return total(after[index], name, **labels) - total(before[index], name, **labels)

    sent = {
        "reporter": "source",
        "source_workload": "istio-ingressgateway",
        "source_workload_namespace": "istio-system",
        "destination_workload": "productpage-v1",
        "destination_service": "productpage.default.svc.cluster.local",
        "destination_service_name": "productpage",
        "request_protocol": "http",
        "connection_security_policy": "unknown",
        "response_flags": "-",
    }
    assert grown(0, "istio_requests_total", response_code="200", **sent) == 12
    assert grown(0, "istio_requests_total", response_code="404", **sent) == 5
    taken = {
        "reporter": "destination",
        "source_workload": "istio-ingressgateway",
        "source_canonical_service": "istio-ingressgateway",
        "source_principal": "spiffe://cluster.local/ns/istio-system/sa/istio-ingressgateway-service-account",
        "source_app": "istio-ingressgateway",
        "source_version": "unknown",
        "destination_principal": "spiffe://cluster.local/ns/default/sa/bookinfo-productpage",
        "destination_app": "productpage",
        "destination_version": "v1",
        "destination_canonical_service": "productpage",
        "destination_canonical_revision": "v1",
        "destination_service_namespace": "default",
        "source_cluster": "Kubernetes",
        "destination_cluster": "Kubernetes",
        "connection_security_policy": "mutual_tls",
        "security_policy": "mutual_tls",
    }
    assert grown(1, "istio_requests_total", response_code="200", **taken) == 12
    assert grown(1, "istio_requests_total", response_code="404", **taken) == 5
    for name in ("istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"):
        assert eventually(lambda name=name: total(stats(mesh, "deploy/productpage-v1"), f"{name}_count", response_code="200", **taken) >= 12, seconds=15)
    onward = {"reporter": "source", "source_workload": "productpage-v1", "destination_workload": "details-v1", "response_code": "200"}
    assert grown(1, "istio_requests_total", **onward) == 12
    assert grown(2, "istio_requests_total", **{**onward, "reporter": "destination"}) == 12


def test_every_page_of_metrics_has_istios_labels(mesh: Cluster) -> None:
    """Port 15090 and pilot-agent show the counts that Prometheus takes, under the same names and labels."""
    ask = ("exec", "deploy/details-v1", "-c", "istio-proxy", "--")
    labels = {"reporter": "destination", "source_workload": "productpage-v1", "destination_app": "details", "response_code": "200"}
    expected = total(stats(mesh, "deploy/details-v1"), "istio_requests_total", **labels)
    assert expected >= 12
    for command in (("curl", "-s", "http://127.0.0.1:15090/stats/prometheus"), ("pilot-agent", "request", "GET", "stats/prometheus")):
        text = mesh.kubectl(*ask, *command).stdout
        assert total(text, "istio_requests_total", **labels) == expected
        assert "istio_agent_" not in text


def test_callers_without_a_sidecar_are_unknown(mesh: Cluster) -> None:
    """A plain request is counted on the receiving side, from an unknown workload and without security."""
    of = {
        "reporter": "destination",
        "source_workload": "unknown",
        "source_principal": "unknown",
        "connection_security_policy": "none",
        "source_cluster": "unknown",
    }
    before = total(stats(mesh, "deploy/productpage-v1"), "istio_requests_total", **of)
    plain(mesh, 4)
    assert total(stats(mesh, "deploy/productpage-v1"), "istio_requests_total", response_code="200", **of) - before == 4


def test_hosts_outside_the_mesh_are_passed_through(mesh: Cluster) -> None:
    """A request to an address that no service has belongs to PassthroughCluster."""
    address = mesh.get("pod", "client", "-n", "plain")["status"]["podIP"]
    mesh.kubectl("exec", "deploy/productpage-v1", "-c", "productpage", "--", "curl", "-s", "--max-time", "3", f"http://{address}:9/", check=False)
    text = stats(mesh, "deploy/productpage-v1")
    of = {"reporter": "source", "destination_service_name": "PassthroughCluster", "destination_service_namespace": "unknown", "destination_workload": "unknown"}
    assert total(text, "istio_requests_total", **of) + total(text, "istio_tcp_connections_opened_total", **of) == 1


def test_connections_and_their_bytes(mesh: Cluster) -> None:
    """Three connections of six bytes each are three opened, three closed and eighteen bytes received, on both sides."""
    of = {"destination_service_name": "tcp-echo", "destination_workload": "tcp-echo", "request_protocol": "tcp"}
    assert [say(mesh).strip() for _ in range(3)] == ["hello hello"] * 3

    def counts() -> list[float]:
        found = []
        for workload, reporter in (("deploy/productpage-v1", "source"), ("deploy/tcp-echo", "destination")):
            text = stats(mesh, workload)
            names = ("tcp_connections_opened", "tcp_connections_closed", "tcp_received_bytes", "tcp_sent_bytes")
            found += [total(text, f"istio_{name}_total", reporter=reporter, **of) for name in names]
        return found

    assert eventually(lambda: counts() == [3, 3, 18, 36, 3, 3, 18, 36], seconds=15, what="the connections to be counted")


def test_failures_have_their_codes_and_flags(troubled: Cluster) -> None:
    """Answers of the application, refusals by policy, timeouts and a service without endpoints: each side counts what it saw."""
    mesh, pods = troubled, ("deploy/details-v1", "deploy/httpbin")
    before = [stats(mesh, pod) for pod in pods]
    calls = {
        "httpbin:8000/status/200": 3,
        "httpbin:8000/status/404": 2,
        "httpbin:8000/status/503": 4,
        "httpbin:8000/anything/x": 5,
        "httpbin:8000/delay/3": 2,
        "nobody/": 6,
    }
    script = "; ".join(f"for i in $(seq {count}); do curl -s -m 20 -o /dev/null -w '%{{http_code}} ' http://{url}; done" for url, count in calls.items())
    codes = mesh.kubectl("exec", "deploy/details-v1", "-c", "details", "--", "sh", "-c", script).stdout.split()
    assert codes == ["200"] * 3 + ["404"] * 2 + ["503"] * 4 + ["403"] * 5 + ["504"] * 2 + ["503"] * 6

    def counts() -> dict[str, dict[tuple[str, str], float]]:
        found = {}
        for pod, old, side, of in (
            (pods[0], before[0], "source", {"source_workload": "details-v1", "destination_service_name": "httpbin"}),
            (pods[1], before[1], "destination", {"source_workload": "details-v1", "destination_service_name": "httpbin"}),
            (pods[0], before[0], "nobody", {"source_workload": "details-v1", "destination_service_name": "nobody", "destination_workload": "unknown"}),
        ):
            of = {**of, "reporter": "destination" if side == "destination" else "source"}
            now = series(stats(mesh, pod), "istio_requests_total", of)
            then = series(old, "istio_requests_total", of)
            found[side] = {key: value - then.get(key, 0) for key, value in now.items() if value != then.get(key, 0)}
        return found

    answered = {("200", "-"): 3, ("404", "-"): 2, ("503", "-"): 4, ("403", "-"): 5}
    wanted = {"source": {**answered, ("504", "UT"): 2}, "destination": {**answered, ("0", "DC"): 2}, "nobody": {("503", "UH"): 6}}
    assert eventually(lambda: counts() == wanted, seconds=20, what="the counts")


def test_requests_are_filtered_by_what_became_of_them(troubled: Cluster) -> None:
    """`varka requests` by policy, flag, code and latency, of what the logs hold already."""

    def shown(wanted: str) -> Counter[tuple[int, str]]:
        told = troubled.varka("requests", "--tail", "2000", "--for", "8s", "-w", "details-v1", "-o", "json", *wanted.split(), check=False).stdout
        lines = [json.loads(line) for line in told.splitlines()]
        return Counter((line["response_code"], line["path"]) for line in lines if not line["path"].endswith("/warm"))

    with ThreadPoolExecutor(4) as pool:
        refused, nowhere, missing, slow = pool.map(shown, ("--policy refuse", "--flag UH --code 5xx", "--code 404", "--slower 250ms"))
    assert refused == {(403, "/anything/x"): 5}
    assert set(nowhere) == {(503, "/")} and nowhere.total() >= 6
    assert missing == {(404, "/status/404"): 2}
    assert set(slow) >= {(0, "/delay/3")} and (200, "/status/200") not in slow


def test_nothing_leaves_where_only_the_registry_is_open(troubled: Cluster) -> None:
    """A host and an address that nobody registered belong to BlackHoleCluster, for HTTP and for TCP."""
    command = ("exec", "deploy/ratings-v1", "-c", "ratings", "--", "sh", "-c")
    eventually(lambda: troubled.kubectl(*command, "curl -s -o /dev/null -m 5 -w '%{http_code}' http://10.9.9.9:9080/", check=False).stdout == "502", what="502")
    of = {"reporter": "source", "source_workload": "ratings-v1", "destination_service_name": "BlackHoleCluster", "destination_workload": "unknown"}

    def counts() -> tuple[float, float]:
        text = stats(troubled, "deploy/ratings-v1")
        return total(text, "istio_requests_total", response_code="502", **of), total(text, "istio_tcp_connections_closed_total", request_protocol="tcp", **of)

    http, tcp = counts()
    troubled.kubectl(
        *command, "for i in 1 2 3; do curl -s -m 5 http://10.9.9.9:9080/; done; for i in 1 2; do curl -s -m 5 http://10.9.9.9:9999/; done", check=False
    )
    assert eventually(lambda: counts() == (http + 3, tcp + 2), seconds=15, what="the counts")


def test_telemetry_of_a_workload_changes_its_metrics_and_its_log(troubled: Cluster) -> None:
    """A label by CEL on one side only, a metric that is off, and a log of failures only; other workloads keep theirs."""
    troubled.apply(TELEMETRY)
    command = ("exec", "deploy/details-v1", "-c", "details", "--", "sh", "-c")
    of = {"reporter": "destination", "destination_service_name": "httpbin"}

    def labelled() -> bool:
        """Of ten in a row: each worker of the caller may have a connection open that the former configuration serves to its end."""
        before = total(stats(troubled, "deploy/httpbin"), "istio_requests_total", path="/get", **of)
        troubled.kubectl(*command, "for i in 1 2 3 4 5 6 7 8 9 10; do curl -s -o /dev/null http://httpbin:8000/get; done")
        return total(stats(troubled, "deploy/httpbin"), "istio_requests_total", path="/get", **of) == before + 10

    eventually(labelled, what="the label")
    sizes = total(stats(troubled, "deploy/httpbin"), "istio_request_bytes_count", **of)
    had = total(stats(troubled, "deploy/httpbin"), "istio_requests_total", path="/status/418", verb="GET", **of)
    troubled.kubectl(*command, "for i in 1 2 3; do curl -s -o /dev/null http://httpbin:8000/status/418; curl -s -o /dev/null http://httpbin:8000/headers; done")
    text = stats(troubled, "deploy/httpbin")
    assert (had, total(text, "istio_requests_total", path="/status/418", verb="GET", response_code="418", **of)) == (0, 3)
    assert total(text, "istio_request_bytes_count", **of) == sizes
    assert total(stats(troubled, "deploy/details-v1"), "istio_requests_total", path="/status/418") == 0

    def logged() -> tuple[int, int]:
        lines = troubled.kubectl("logs", "deploy/httpbin", "-c", "istio-proxy", "--tail=50").stdout
        return lines.count('"GET /status/418 '), lines.count('"GET /headers ')

    assert eventually(lambda: logged() == (3, 0), seconds=15, what="the log")


def test_an_applications_own_metrics_are_merged(mesh: Cluster) -> None:
    """The pod's annotations lead to the proxy's port, where both are; what the application counts is what it gives itself."""
    annotations = mesh.get("pod", "-l", "app=productpage")["items"][0]["metadata"]["annotations"]
    assert (annotations["prometheus.io/port"], annotations["prometheus.io/path"]) == ("15020", "/stats/prometheus")
    before = total(stats(mesh, "deploy/productpage-v1"), "request_result_total", destination_app="details", response_code="200")
    assert [page(mesh) for _ in range(3)] == [200] * 3
    merged = stats(mesh, "deploy/productpage-v1")
    assert total(merged, "request_result_total", destination_app="details", response_code="200") == before + 3
    kinds = [line.split()[2] for line in merged.splitlines() if line.startswith("# TYPE ")]
    assert {"istio_requests_total", "istio_cert_expiry_seconds", "envoy_server_live", "request_result_total"} <= set(kinds)
    assert len(kinds) == len(set(kinds))


def ask(mesh: Cluster, query: str) -> Any:
    """One query of Prometheus, through the API server; None when it is refused."""
    path = f"/api/v1/namespaces/istio-system/services/prometheus:9090/proxy/api/v1/query?query={urllib.parse.quote(query)}"
    done = mesh.kubectl("get", "--raw", path, check=False)
    return json.loads(done.stdout)["data"]["result"] if done.returncode == 0 else None


@pytest.fixture(scope="module")
def prometheus(mesh: Cluster) -> Cluster:
    """The mesh with Prometheus running; skipped where its program cannot be had."""
    if packages.find("prometheus") is None:
        pytest.skip(packages.advice("prometheus"))
    mesh.kubectl("wait", "--for=condition=Ready", "pod", "-n", "istio-system", "-l", "app.kubernetes.io/name=prometheus", "--timeout=90s", timeout=100)
    return mesh


def test_everything_is_scraped(prometheus: Cluster) -> None:
    """Upstream's unchanged configuration finds istiod, the gateway, all sidecars, the node and the API server, and all answer."""

    def up() -> bool:
        found = {(each["metric"]["job"], each["metric"].get("pod", "")): each["value"][1] for each in ask(prometheus, "up") or ()}
        jobs = {job for job, _ in found}
        pods = {pod.rsplit("-", 2)[0] for job, pod in found if job == "kubernetes-pods"}
        wanted = {"istiod", "istio-ingressgateway", "productpage-v1", "details-v1", "ratings-v1", "reviews-v1", "reviews-v2", "reviews-v3", "tcp-echo"}
        servers = {"prometheus", "kubernetes-apiservers", "kubernetes-nodes", "kubernetes-nodes-cadvisor", "kubernetes-pods"}
        return set(found.values()) == {"1"} and jobs >= servers and pods >= wanted

    assert eventually(up, seconds=60, what="all targets to be up")


def test_the_control_plane_and_the_machine_are_measured(prometheus: Cluster) -> None:
    """Version, proxies and certificates of the mesh; processor and memory of containers; what kube-state-metrics would say."""
    proxies = len(prometheus.run(str(PROGRAMS / "istioctl"), "proxy-status").stdout.splitlines()) - 1
    one = {
        "sum(pilot_xds)": proxies,
        'count(istio_build{component="pilot"})': 1,
        "count(istio_cert_expiry_seconds - time() > 3600 < 90000)": proxies,
        'kube_deployment_status_replicas_ready{deployment="productpage-v1"}': 1,
        'sum(kube_pod_status_phase{namespace="plain",pod="client",phase="Running"})': 1,
        'sum(kube_pod_container_status_restarts_total{namespace="plain"})': 0,
        'count(container_memory_working_set_bytes{pod=~"productpage-v1-.*",container="istio-proxy"} > 1e6)': 1,
        'count(container_cpu_usage_seconds_total{pod=~"productpage-v1-.*",container="istio-proxy"} > 0)': 1,
    }

    def told() -> dict[str, float | None]:
        return {query: float(found[0]["value"][1]) if (found := ask(prometheus, query)) else None for query in one}

    assert eventually(lambda: told() == one, seconds=60, what="the values"), told()


def test_the_queries_of_upstreams_dashboards(prometheus: Cluster) -> None:
    """Every query gives data under load, but for those that are listed with a reason; nothing is listed in vain."""
    entries = yaml.safe_load(Path(__file__).with_name("dashboards_empty.yaml").read_text())
    rows = [line.split("\t") for line in (SHARED / "observability/dashboard-queries.tsv").read_text().splitlines()]
    queries = sorted({(name, panel, query) for name, panel, query in rows})
    assert len(queries) > 200
    prometheus.apply("apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ok, namespace: default}\nspec: {host: details}\n")
    wrong = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: bad, namespace: default}\nspec: {host: details, trafficPolicy: {connectionPool: {tcp: {maxConnections: -1}}}}\n"
    prometheus.kubectl("apply", "--validate=false", "-f", "-", stdin=wrong, check=False)
    ended = time.monotonic() + 50
    while time.monotonic() < ended:
        page(prometheus)
        plain(prometheus, 2)
        say(prometheus)
        prometheus.kubectl("exec", "-n", "plain", "client", "--", sys.executable, "-c", SAY_PLAINLY)
        prometheus.apply(
            f"apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {{name: ok, namespace: default, labels: {{t: 't{int(time.monotonic())}'}}}}\nspec: {{host: details}}\n"
        )
    empty = [each for each in queries if not has_data(prometheus, each[2])]
    unexplained = [each for each in empty if not any(re.search(entry["match"], " | ".join(each)) for entry in entries)]
    assert not unexplained, "\n".join(" | ".join(each) for each in unexplained)
    stale = [entry["match"] for entry in entries if not any(re.search(entry["match"], " | ".join(each)) for each in empty)]
    assert not stale


def has_data(mesh: Cluster, query: str) -> bool:
    """Whether the query gives anything for a workload of HTTP or for the one of TCP."""
    for service, workload in (("productpage", "productpage-v1"), ("tcp-echo", "tcp-echo")):
        values = {"service": f"{service}.default.svc.cluster.local", "workload": workload, "namespace": "default", "qrep": "source|destination"}
        filled = re.sub(r"\$\{?(\w+)\}?", lambda found, values=values: values.get(found.group(1), ".*"), query.replace("$__rate_interval", "1m"))
        inner = re.fullmatch(r"\s*query_result\((.*)\)\s*", filled, re.DOTALL)
        if ask(mesh, inner.group(1) if inner else filled):
            return True
    return False
