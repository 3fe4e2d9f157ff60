"""What Prometheus needs for a mesh of 200 sidecars, and how fast it answers: simulated proxies, the real program.

One HTTP server stands for all proxies: each target has a path of its own and counters that grow. Every sidecar has a
sender's and a receiver's view of three other workloads, with Istio's labels and histogram buckets.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from bench.clusters import Context, Failed
from bench.figures import Figure, median, percentile
from varka.cluster import packages

SIDECARS, PEERS = 200, 3
INTERVAL = 15
BUCKETS = (
    "0.5",
    "1",
    "5",
    "10",
    "25",
    "50",
    "100",
    "250",
    "500",
    "1000",
    "2500",
    "5000",
    "10000",
    "30000",
    "60000",
    "300000",
    "600000",
    "1.8e+06",
    "3.6e+06",
    "+Inf",
)
QUERIES = (
    'sum(rate(istio_requests_total{reporter="destination"}[1m]))',
    "sum by (destination_service, response_code) (rate(istio_requests_total[1m]))",
    "histogram_quantile(0.95, sum by (le, destination_service) (rate(istio_request_duration_milliseconds_bucket[1m])))",
    "sum by (source_workload, destination_workload) (rate(istio_requests_total[1m]))",
)


def pipeline(context: Context) -> tuple[Figure, ...]:
    """Memory after the scrapes, and the time of the queries that dashboards and the graph ask."""
    program = packages.find("prometheus")
    if program is None:
        raise Failed(packages.advice("prometheus"))
    exporters = ThreadingHTTPServer(("127.0.0.1", 0), Exporter)
    threading.Thread(target=exporters.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory(prefix="varka-bench-") as folder:
            return _measured(program, Path(folder), exporters.server_address[1], context)
    finally:
        exporters.shutdown()


class Exporter(BaseHTTPRequestHandler):
    """Answers for every proxy: the path ends with its number."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The metrics of one proxy at this moment."""
        body = exposition(int(self.path.rpartition("/")[2]), int(time.monotonic() * 10)).encode()
        self.send_response(200)
        self.send_header("content-type", "text/plain; version=0.0.4")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing."""


def exposition(number: int, count: int) -> str:
    """The text of one proxy."""
    lines = []
    for peer in range(PEERS):
        other = (number + peer + 1) % SIDECARS
        for reporter, source, destination in (("source", number, other), ("destination", other, number)):
            labels = _labels(reporter, source, destination)
            lines.append(f"istio_requests_total{{{labels}}} {count}")
            for name in ("istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"):
                lines += [f'{name}_bucket{{{labels},le="{bucket}"}} {count}' for bucket in BUCKETS]
                lines += [f"{name}_sum{{{labels}}} {count * 7}", f"{name}_count{{{labels}}} {count}"]
    return "\n".join(lines) + "\n"


def _labels(reporter: str, source: int, destination: int) -> str:
    found = {"reporter": reporter, "response_code": "200", "response_flags": "-", "request_protocol": "http", "connection_security_policy": "mutual_tls"}
    for side, who in (("source", source), ("destination", destination)):
        found |= {f"{side}_workload": f"w{who}-v1", f"{side}_app": f"w{who}", f"{side}_version": "v1", f"{side}_cluster": "Kubernetes"}
        found |= {f"{side}_workload_namespace": "default", f"{side}_principal": f"spiffe://cluster.local/ns/default/sa/w{who}"}
        found |= {f"{side}_canonical_service": f"w{who}", f"{side}_canonical_revision": "v1"}
    found |= {"destination_service": f"w{destination}.default.svc.cluster.local", "destination_service_name": f"w{destination}"}
    return ",".join(f'{key}="{value}"' for key, value in found.items())


def _measured(program: Path, folder: Path, port: int, context: Context) -> tuple[Figure, ...]:
    jobs = [{"job_name": f"proxy-{number}", "metrics_path": f"/{number}", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]} for number in range(SIDECARS)]
    config = folder / "prometheus.yml"
    config.write_text(yaml.safe_dump({"global": {"scrape_interval": f"{INTERVAL}s", "scrape_timeout": f"{INTERVAL}s"}, "scrape_configs": jobs}))
    address = f"127.0.0.1:{_free_port()}"
    command = [str(program), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}", "--log.level=error"]
    child = subprocess.Popen(command)
    try:
        expected = SIDECARS * PEERS * 2 * (1 + 3 * (len(BUCKETS) + 2))
        _until(address, expected)
        time.sleep(INTERVAL * (1 if context.quick else 4))
        memory = _resident(child.pid)
        times = []
        for _ in range(3 if context.quick else 10):
            for query in QUERIES:
                started = time.monotonic()
                if not _ask(address, query):
                    raise Failed(f"no data for {query}")
                times.append((time.monotonic() - started) * 1000)
    finally:
        child.terminate()
        child.wait(30)
    about = f"{SIDECARS} simulated sidecars, {expected:,} series, scraped every {INTERVAL} s"
    return (
        Figure(name="Prometheus: resident memory", value=memory / 1e6, unit="MB", detail=about),
        Figure(name="Prometheus: queries of dashboards and graph, median", value=median(times), unit="ms", detail=f"{len(QUERIES)} queries over all series"),
        Figure(name="Prometheus: the slowest of them", value=percentile(times, 1.0), unit="ms", detail=about),
    )


def _until(address: str, series: int) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            found = _ask(address, "sum(scrape_samples_scraped)")
            if found and float(found[0]["value"][1]) >= series:
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise Failed("Prometheus did not take in all series in two minutes")


def _ask(address: str, query: str) -> list[dict[str, list[str]]]:
    with urllib.request.urlopen(f"http://{address}/api/v1/query?query={urllib.parse.quote(query)}", timeout=60) as answer:
        found: list[dict[str, list[str]]] = json.load(answer)["data"]["result"]
        return found


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port
