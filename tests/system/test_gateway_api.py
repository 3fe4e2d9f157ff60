"""The Kubernetes Gateway API and Ingress on a real cluster: gateways that come and go, requests, statuses."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.builders.certificates import Authority
from tests.system.clusters import PROGRAMS, Cluster, eventually

SAMPLES = Path(__file__).parents[2] / "samples"
BACKENDS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
"""
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  gatewayClassName: istio
  listeners:
  - {name: http, port: 8088, protocol: HTTP, hostname: "*.example.com"}
  - {name: https, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: edge, namespace: certificates}]}}
  - {name: closed, port: 8444, protocol: HTTPS, tls: {certificateRefs: [{name: other, namespace: certificates}]}}
---
apiVersion: v1
kind: Namespace
metadata: {name: certificates}
---
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {name: edge, namespace: certificates}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: default}]
  to: [{group: "", kind: Secret, name: edge}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: edge}, {name: edge, sectionName: nowhere}]
  hostnames: [web.example.com]
  rules:
  - matches: [{path: {value: /get}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: by-route, value: "yes"}]}}]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {value: /api}}]
    filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]
    backendRefs: [{name: web, port: 80}]
  - matches: [{path: {type: Exact, value: /old}}]
    filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /new}, statusCode: 301}}]
  - matches: [{path: {value: /lost}}]
    backendRefs: [{name: lost, port: 80}]
  - matches: [{path: {value: /status}}]
    backendRefs: [{name: web, port: 80}, {name: lost, port: 80}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: inside}
spec:
  parentRefs: [{group: "", kind: Service, name: web, port: 80}]
  rules:
  - filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: by-route, value: inside}]}}]
    backendRefs: [{name: web, port: 80}]
"""
INGRESS = """
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: mesh}
spec: {controller: istio.io/ingress-controller}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  ingressClassName: mesh
  rules:
  - host: ingress.example.com
    http: {paths: [{path: /status, pathType: Prefix, backend: {service: {name: web, port: {name: http}}}}]}
"""


@pytest.fixture(scope="module")
def mesh() -> Iterator[Cluster]:
    made = Cluster("gateways")
    try:
        made.up()
        made.run(str(PROGRAMS / "istioctl"), "install", "-y", timeout=120)
        made.kubectl("label", "namespace", "default", "istio-injection=enabled")
        made.apply(BACKENDS)
        made.apply(GATEWAY)
        pair = Authority().pair("web.example.com")
        secret = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "edge", "namespace": "certificates"}}
        made.apply(json.dumps({**secret, "stringData": {"tls.crt": pair.certificate, "tls.key": pair.key}}))
        made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "--timeout=90s", timeout=100)
        made.kubectl("wait", "--for=condition=Programmed", "gateway.gateway.networking.k8s.io/edge", "--timeout=60s", timeout=70)
        yield made
    finally:
        made.destroy()


def answer(url: str, host: str) -> tuple[int, str]:
    """Status and body, or where a redirect leads to."""
    line = ["curl", "-s", "-k", "--max-time", "5", "-H", f"Host: {host}", "-w", "\n%{http_code} %{redirect_url}", url]
    *body, last = subprocess.run(line, capture_output=True, text=True, timeout=20, check=False).stdout.split("\n")
    code, _, target = last.partition(" ")
    return int(code), target or "\n".join(body)


def address(mesh: Cluster, name: str = "http-8088", scheme: str = "http") -> str:
    found = mesh.get("service", "edge-istio")
    ports = {port["name"]: port for port in mesh.get("service", "edge-istio")["spec"]["ports"]}
    status = found["status"]["loadBalancer"]["ingress"][0]
    return f"{scheme}://{status['ip']}:{ports[name]['port']}"


def test_requests_go_as_the_routes_say(mesh: Cluster) -> None:
    """Headers, rewrites, redirects, hosts, segments of paths, and backends that are not there."""
    base, host = address(mesh), "web.example.com"
    eventually(lambda: answer(f"{base}/get", host)[0] == 200, seconds=60, what="the gateway's first answer")
    assert json.loads(answer(f"{base}/get", host)[1])["headers"]["By-Route"] == ["yes"]
    assert answer(f"{base}/getting", host)[0] == 404
    assert answer(f"{base}/api/status/418", host)[0] == 418
    assert answer(f"{base}/old", host) == (301, "http://web.example.com:8088/new")
    assert answer(f"{base}/lost", host)[0] == 500
    assert {answer(f"{base}/status/202", host)[0] for _ in range(40)} == {202, 500}
    assert answer(f"{base}/get", "web.example.org")[0] == 404


def test_statuses_tell_what_became_of_each(mesh: Cluster) -> None:
    """The class is accepted, the gateway has an address, routes name what is wrong with them."""
    assert mesh.kubectl("get", "gatewayclass", "istio", "--no-headers").stdout.split()[1:3] == ["istio.io/gateway-controller", "True"]
    gateway = mesh.get("gateway.gateway.networking.k8s.io", "edge")
    assert gateway["status"]["addresses"][0]["value"].startswith("127.")
    assert [listener["attachedRoutes"] for listener in gateway["status"]["listeners"]] == [1, 1, 1]
    closed = {condition["type"]: condition["reason"] for condition in gateway["status"]["listeners"][2]["conditions"]}
    assert (closed["ResolvedRefs"], closed["Programmed"]) == ("RefNotPermitted", "Invalid")
    route = mesh.get("httproute", "web")
    told = [[condition["reason"] for condition in parent["conditions"]] for parent in route["status"]["parents"]]
    assert told == [["Accepted", "BackendNotFound"], ["NoMatchingParent", "BackendNotFound"]]
    assert "lost.default.svc.cluster.local not found" in mesh.kubectl("describe", "httproute", "web").stdout


def test_tls_ends_at_the_gateway_with_a_certificate_that_a_grant_opens(mesh: Cluster) -> None:
    """The Secret is of another namespace; the listener whose Secret no grant names is not open."""
    base = address(mesh, "https-8443", "https")
    eventually(lambda: answer(f"{base}/get", "web.example.com")[0] == 200, seconds=40, what="an answer over TLS")
    assert answer(address(mesh, "https-8444", "https") + "/get", "web.example.com")[0] == 0


def test_calls_inside_the_mesh_follow_a_services_routes(mesh: Cluster) -> None:
    """A route whose parent is a Service."""
    line = ["exec", "deploy/web", "-c", "web", "--", "curl", "-s", "-o", "/dev/null", "-D", "-", "--max-time", "5", "http://web/get"]
    eventually(lambda: "by-route: inside" in mesh.kubectl(*line, check=False).stdout, what="the route of the service")


def test_ingresses_are_served_by_the_ingress_gateway(mesh: Cluster) -> None:
    """An Ingress of a class of ours, and its address."""
    mesh.apply(INGRESS)
    lines = dict(line.removeprefix("export ").split("=", 1) for line in mesh.varka("env").stdout.splitlines() if line.startswith("export "))
    base = f"http://{lines['GATEWAY_URL'].strip(chr(39))}"
    eventually(lambda: answer(f"{base}/status/202", "ingress.example.com")[0] == 202, seconds=40, what="the ingress")
    assert answer(f"{base}/get", "ingress.example.com")[0] == 404
    path = "jsonpath={.status.loadBalancer.ingress[0].ip}"
    eventually(lambda: mesh.kubectl("get", "ingress", "web", "-o", path).stdout.startswith("127."), what="the address of the ingress")


def test_a_gateways_workload_goes_with_it(mesh: Cluster) -> None:
    """Deployment and Service belong to the Gateway."""
    mesh.kubectl("delete", "gateway.gateway.networking.k8s.io", "edge")
    eventually(lambda: "edge-istio" not in mesh.kubectl("get", "deploy,svc,sa", "-o", "name").stdout, seconds=40, what="the end of the gateway's workload")
