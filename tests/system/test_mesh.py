"""The whole mesh as a person uses it: `varka demo`, then kubectl, istioctl and curl against it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.clusters import PROGRAMS, Cluster, eventually

UPSTREAM = Path(__file__).parents[3] / "shared" / "istio-1.28.2" / "samples"
WAIT = ("wait", "--for=condition=Ready", "pod", "--all", "--timeout=90s")


@pytest.fixture(scope="module")
def mesh() -> Iterator[Cluster]:
    """A cluster with Bookinfo under zero-trust policies, made by the demonstration itself."""
    made = Cluster("mesh")
    try:
        shown = made.varka("demo", timeout=200).stdout
        assert "Every answer is as it must be" in shown
        yield made
    finally:
        made.destroy()


def istioctl(mesh: Cluster, *arguments: str, stdin: str | None = None) -> str:
    return mesh.run(str(PROGRAMS / "istioctl"), *arguments, stdin=stdin).stdout


def gateway(mesh: Cluster) -> str:
    lines = dict(line.removeprefix("export ").split("=", 1) for line in mesh.varka("env").stdout.splitlines() if line.startswith("export "))
    return lines["GATEWAY_URL"].strip("'")


def curl(mesh: Cluster, where: str, container: str, *arguments: str) -> str:
    return mesh.kubectl("exec", where, "-c", container, "--", "curl", "-s", "--max-time", "5", *arguments, check=False).stdout


def test_demo_again_is_idempotent(mesh: Cluster) -> None:
    """A second run finds everything in place and proves it again."""
    assert "Every answer is as it must be" in mesh.varka("demo", timeout=200).stdout


def test_page_through_the_gateway(mesh: Cluster) -> None:
    """The page comes through the ingress gateway, with details and reviews."""
    page = subprocess.run(
        ["curl", "-s", "--max-time", "5", f"http://{gateway(mesh)}/productpage"], capture_output=True, text=True, timeout=20, check=True
    ).stdout
    assert "<title>Simple Bookstore App</title>" in page
    assert "Reviews served by" in page and "PublisherA" in page


def test_pods_have_two_containers(mesh: Cluster) -> None:
    """Every pod of the application shows 2/2: itself and istio-proxy."""
    rows = mesh.kubectl("get", "pods", "-n", "default", "--no-headers").stdout.splitlines()
    assert len(rows) == 6
    assert {row.split()[1] for row in rows} == {"2/2"}
    names = mesh.kubectl("get", "pod", "-l", "app=details", "-o", "jsonpath={.items[0].spec.containers[*].name}").stdout
    assert names == "details istio-proxy"


def test_unauthorized_callers_are_refused(mesh: Cluster) -> None:
    """reviews may not ask details; the answer is Envoy's own."""
    assert curl(mesh, "deploy/reviews-v1", "reviews", "http://details:9080/details/0") == "RBAC: access denied"
    assert json.loads(curl(mesh, "deploy/productpage-v1", "productpage", "http://details:9080/details/0"))["publisher"] == "PublisherA"


def test_plaintext_is_refused(mesh: Cluster) -> None:
    """Under STRICT a pod without sidecar gets no answer at all, and `kubectl run --rm` passes on curl's exit code."""
    labels = "--labels=sidecar.istio.io/inject=false"
    line = [
        "run",
        "plain",
        "--image=curlimages/curl",
        "--rm",
        "-i",
        "--restart=Never",
        labels,
        "--",
        "curl",
        "-s",
        "--max-time",
        "5",
        "http://details:9080/details/0",
    ]
    done = mesh.kubectl(*line, check=False)
    assert done.returncode == 56
    assert "author" not in done.stdout


def test_proxy_status_is_synced(mesh: Cluster) -> None:
    """Each of the seven proxies has acknowledged the newest configuration of each type."""

    def synced() -> bool:
        header, *rows = istioctl(mesh, "proxy-status").splitlines()
        assert header.split() == ["NAME", "CLUSTER", "CDS", "LDS", "EDS", "RDS", "ECDS", "ISTIOD", "VERSION"]
        return len(rows) == 7 and all(row.split()[2:6] == ["SYNCED"] * 4 for row in rows)

    eventually(synced, what="a synchronised mesh")


def test_certificates(mesh: Cluster) -> None:
    """The secret of a proxy is its certificate, and the root in the proxy's file has the trust domain as its subject."""
    found = json.loads(istioctl(mesh, "proxy-config", "secret", "deploy/productpage-v1", "-o", "json"))
    assert [entry["name"] for entry in found["dynamicActiveSecrets"]] == ["default", "ROOTCA"]
    assert found["dynamicActiveSecrets"][0]["secret"]["tlsCertificate"]["certificateChain"]["inlineBytes"]
    root = mesh.kubectl("exec", "deploy/productpage-v1", "-c", "istio-proxy", "--", "cat", "/var/run/secrets/istio/root-cert.pem").stdout
    from varka.identity import certificates

    assert certificates.facts(root.encode()).subject == "O=cluster.local"


def test_tls_check(mesh: Cluster) -> None:
    """tls-check names mode and policy of each service."""
    pod = mesh.kubectl("get", "pod", "-l", "app=productpage", "-o", "jsonpath={.items[0].metadata.name}").stdout
    rows = [line.split() for line in istioctl(mesh, "authn", "tls-check", f"{pod}.default").splitlines()]
    assert ["details.default.svc.cluster.local:9080", "OK", "STRICT", "mTLS", "default/default", "default/default"] in rows


def test_listeners_and_clusters(mesh: Cluster) -> None:
    """proxy-config shows Istio's names."""
    assert "Route: http.8080" in istioctl(mesh, "proxy-config", "listener", "deploy/istio-ingressgateway", "-n", "istio-system")
    shown = istioctl(mesh, "proxy-config", "cluster", "deploy/productpage-v1", "--fqdn", "reviews.default.svc.cluster.local")
    assert shown.splitlines()[1].split() == ["reviews.default.svc.cluster.local", "9080", "-", "outbound", "EDS", "default.default"]


def test_analyze_finds_nothing_wrong(mesh: Cluster) -> None:
    """A healthy mesh has no findings."""
    done = mesh.run(str(PROGRAMS / "istioctl"), "analyze")
    assert (done.stdout, done.stderr) == ("", "✔ No validation issues found when analyzing namespace: default.\n")


def test_routing_by_weight_and_header(mesh: Cluster) -> None:
    """A VirtualService sends marked requests to one version and all others to another, as soon as it is applied."""
    mesh.apply(
        """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
  subsets: [{name: v1, labels: {version: v1}}, {name: v3, labels: {version: v3}}]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - match: [{headers: {version: {exact: v3}}}]
      route: [{destination: {host: reviews, subset: v3}}]
    - route: [{destination: {host: reviews, subset: v1}}]
"""
    )
    url = "http://reviews:9080/reviews/0"

    def settled() -> bool:
        plain = [curl(mesh, "deploy/productpage-v1", "productpage", url) for _ in range(4)]
        marked = [curl(mesh, "deploy/productpage-v1", "productpage", "-H", "version: v3", url) for _ in range(4)]
        return all("reviews-v1" in answer for answer in plain) and all("reviews-v3" in answer and '"red"' in answer for answer in marked)

    eventually(settled, what="routes by header")
    mesh.kubectl("delete", "virtualservice,destinationrule", "reviews")


def test_kube_inject_is_the_webhook(mesh: Cluster) -> None:
    """A pod injected by istioctl is taken as it is by the webhook."""
    pod = mesh.kubectl("run", "injected", "--image=nginx", "--restart=Never", "--dry-run=client", "-o", "yaml").stdout
    mesh.apply(istioctl(mesh, "kube-inject", "-f", "-", stdin=pod))
    assert mesh.kubectl("get", "pod", "injected", "-o", "jsonpath={.spec.containers[*].name}").stdout == "injected istio-proxy"
    mesh.kubectl("delete", "pod", "injected", "--now")


def test_mesh_goes_on_without_istiod(mesh: Cluster) -> None:
    """Scaled to nothing, istiod takes no traffic with it; when it returns, every proxy finds it again."""
    mesh.kubectl("scale", "deployment", "istiod", "-n", "istio-system", "--replicas=0")
    mesh.kubectl("wait", "--for=delete", "pod", "-l", "app=istiod", "-n", "istio-system", "--timeout=60s")
    details = "http://details:9080/details/0"
    assert [json.loads(curl(mesh, "deploy/productpage-v1", "productpage", details))["id"] for _ in range(5)] == [0] * 5
    mesh.kubectl("scale", "deployment", "istiod", "-n", "istio-system", "--replicas=1")
    mesh.kubectl("rollout", "status", "deployment/istiod", "-n", "istio-system", "--timeout=60s")

    def back() -> bool:
        rows = istioctl(mesh, "proxy-status").splitlines()[1:]
        return len(rows) == 7 and all(row.split()[2:6] == ["SYNCED"] * 4 for row in rows)

    eventually(back, seconds=60, what="seven proxies that found istiod again")


@pytest.mark.skipif(not UPSTREAM.is_dir(), reason="the folder ../shared with upstream's samples is absent")
def test_upstream_samples_run_unchanged(mesh: Cluster) -> None:
    """httpbin, curl, sleep, helloworld and tcp-echo deploy from upstream's files, get sidecars and answer."""
    space = ("-n", "samples")
    mesh.kubectl("create", "namespace", "samples")
    mesh.kubectl("label", "namespace", "samples", "istio-injection=enabled")
    for name in ("httpbin/httpbin", "curl/curl", "sleep/sleep", "helloworld/helloworld", "tcp-echo/tcp-echo"):
        mesh.kubectl("apply", *space, "-f", str(UPSTREAM / f"{name}.yaml"))
    mesh.kubectl(*WAIT, *space, timeout=120)
    assert {row.split()[1] for row in mesh.kubectl("get", "pods", *space, "--no-headers").stdout.splitlines()} == {"2/2"}

    def ask(*arguments: str) -> str:
        return mesh.kubectl("exec", *space, "deploy/curl", "-c", "curl", "--", "curl", "-s", "--max-time", "5", *arguments, check=False).stdout

    eventually(lambda: ask("-o", "/dev/null", "-w", "%{http_code}", "http://httpbin:8000/status/418") == "418", what="httpbin")
    assert ask("http://helloworld:5000/hello").startswith("Hello version: v")
    say = "import socket; s=socket.create_connection(('tcp-echo',9000),5); s.sendall(b'world\\n'); print(s.makefile().readline())"
    assert mesh.kubectl("exec", *space, "deploy/sleep", "-c", "sleep", "--", sys.executable, "-c", say).stdout.strip() == "hello world"
    slept = ("exec", *space, "deploy/sleep", "-c", "sleep", "--", "curl", "-s", "--max-time", "5", "-o", "/dev/null", "-w", "%{http_code}")
    assert mesh.kubectl(*slept, "http://httpbin:8000/status/418", check=False).stdout == "418"
    mesh.kubectl("delete", "namespace", "samples", timeout=90)
