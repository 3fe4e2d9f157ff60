"""EnvoyFilters, WasmPlugins, ProxyConfigs and mesh configuration on a cluster, as a person applies them and looks at them."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.builders import wasm_module
from tests.system.clusters import PROGRAMS, Cluster, eventually

MODULE = wasm_module.adding_header("x-wasm", "yes")
SERVER = "import http.server, os; os.chdir('/modules'); http.server.ThreadingHTTPServer(('', 8000), http.server.SimpleHTTPRequestHandler).serve_forever()"
WORKLOADS = f"""
apiVersion: v1
kind: ConfigMap
metadata: {{name: modules, namespace: plain}}
binaryData: {{module.wasm: {base64.b64encode(MODULE).decode()}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: modules, namespace: plain, labels: {{app: modules}}}}
spec:
  containers: [{{name: web, image: "python:3", command: [python3, -c, "{SERVER}"], volumeMounts: [{{name: modules, mountPath: /modules}}]}}]
  volumes: [{{name: modules, configMap: {{name: modules}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: modules, namespace: plain}}
spec: {{selector: {{app: modules}}, ports: [{{name: http, port: 8000}}]}}
---
apiVersion: networking.istio.io/v1beta1
kind: ProxyConfig
metadata: {{name: one-thread, namespace: mesh}}
spec: {{concurrency: 1, environmentVariables: {{ISTIO_META_COLOUR: blue}}}}
---
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {{name: start, namespace: mesh}}
spec:
  configPatches:
  - applyTo: BOOTSTRAP
    patch: {{operation: MERGE, value: {{layered_runtime: {{layers: [{{name: more, static_layer: {{colour: green}}}}]}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web, namespace: mesh}}
spec: {{selector: {{app: web}}, ports: [{{name: http, port: 8000, targetPort: 8080}}]}}
"""
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: mesh, labels: {app: web}}
spec: {containers: [{name: web, image: mccutchen/go-httpbin, ports: [{containerPort: 8080}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: mesh}
spec: {containers: [{name: curl, image: curlimages/curl, command: [sleep, "100000"]}]}
"""
LIMIT = """
apiVersion: networking.istio.io/v1alpha3
kind: EnvoyFilter
metadata: {name: limit, namespace: mesh}
spec:
  workloadSelector: {labels: {app: web}}
  configPatches:
  - applyTo: HTTP_FILTER
    match: {context: SIDECAR_INBOUND, listener: {filterChain: {filter: {name: envoy.filters.network.http_connection_manager}}}}
    patch:
      operation: INSERT_BEFORE
      value:
        name: envoy.filters.http.local_ratelimit
        typed_config:
          "@type": type.googleapis.com/udpa.type.v1.TypedStruct
          type_url: type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
          value:
            stat_prefix: limit
            token_bucket: {max_tokens: 2, tokens_per_fill: 1, fill_interval: 600s}
            filter_enabled: {default_value: {numerator: 100}}
            filter_enforced: {default_value: {numerator: 100}}
            response_headers_to_add: [{header: {key: x-local-rate-limit, value: "true"}}]
  - applyTo: CLUSTER
    match: {cluster: {name: nobody}}
    patch: {operation: REMOVE}
"""


def istioctl(cluster: Cluster, *arguments: str) -> str:
    """The output of one command."""
    return cluster.run(str(PROGRAMS / "istioctl"), *arguments, timeout=120).stdout


@pytest.fixture(scope="module")
def mesh() -> Iterator[Cluster]:
    """A cluster with a server and a client in the mesh, and a server of modules outside of it."""
    made = Cluster("extending")
    try:
        made.up()
        istioctl(made, "install", "--set", "profile=minimal", "-y")
        for name in ("mesh", "plain"):
            made.kubectl("create", "namespace", name)
        made.kubectl("label", "namespace", "mesh", "istio-injection=enabled")
        made.apply(WORKLOADS)
        made.apply(PODS)
        for name in ("mesh", "plain"):
            made.kubectl("wait", "--for=condition=Ready", "pod", "--all", "-n", name, "--timeout=90s", timeout=100)
        eventually(lambda: get(made)[0] == 200, seconds=60, what="the first answer")
        yield made
    finally:
        made.destroy()


def get(cluster: Cluster, url: str = "http://web:8000/get") -> tuple[int, dict[str, str]]:
    """Status and headers of one request of the client."""
    shown = cluster.kubectl("exec", "client", "-n", "mesh", "-c", "curl", "--", "curl", "-s", "-m", "10", "-o", "/dev/null", "-D", "-", url, check=False).stdout
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    if not lines:
        return 0, {}
    return int(lines[0].split()[1]), {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}


def conditions(cluster: Cluster, kind: str, name: str) -> dict[str, str]:
    """Reason → message of a resource's conditions."""
    found: dict[str, Any] = cluster.get(kind, name, "-n", "mesh")
    return {item["reason"]: item["message"] for item in (found.get("status") or {}).get("conditions") or []}


def test_a_pod_starts_as_its_proxyconfig_says(mesh: Cluster) -> None:
    """Threads, metadata and an EnvoyFilter for BOOTSTRAP are in Envoy from its start."""
    dump = json.loads(istioctl(mesh, "proxy-config", "bootstrap", "web.mesh", "-o", "json"))["bootstrap"]
    assert dump["node"]["metadata"]["COLOUR"] == "blue"
    layers = (dump.get("layered_runtime") or dump["layeredRuntime"])["layers"]
    assert {"colour": "green"} in [layer.get("static_layer") or layer.get("staticLayer") for layer in layers]
    arguments = mesh.kubectl("exec", "web", "-n", "mesh", "-c", "istio-proxy", "--", "pilot-agent", "request", "GET", "server_info").stdout
    assert json.loads(arguments)["command_line_options"]["concurrency"] == 1


def test_a_module_is_fetched_and_discovered(mesh: Cluster) -> None:
    """A WasmPlugin with an HTTP source runs in the sidecar, and its resource is shown as synchronised."""
    plugin = {
        "apiVersion": "extensions.istio.io/v1alpha1",
        "kind": "WasmPlugin",
        "metadata": {"name": "header", "namespace": "mesh"},
        "spec": {
            "selector": {"matchLabels": {"app": "web"}},
            "url": "http://modules.plain.svc.cluster.local:8000/module.wasm",
            "sha256": hashlib.sha256(MODULE).hexdigest(),
        },
    }
    mesh.apply(json.dumps(plugin))
    eventually(lambda: get(mesh)[1].get("x-wasm") == "yes", seconds=60, what="the module's header")
    assert "extensions.istio.io/wasmplugin/mesh.header" in istioctl(mesh, "proxy-config", "ecds", "web.mesh")
    (status,) = (item for item in json.loads(istioctl(mesh, "proxy-status", "-o", "json")) if item["proxy"] == "web.mesh")
    assert status["types"]["ECDS"] == "SYNCED"
    plugin["spec"]["sha256"] = "0" * 64  # type: ignore[index]
    mesh.apply(json.dumps(plugin))
    eventually(lambda: get(mesh)[0] == 403, seconds=60, what="a refusal, since the checksum is wrong")
    eventually(lambda: "its checksum is" in conditions(mesh, "wasmplugin", "header").get("ModuleNotFetched", ""), seconds=60)
    mesh.kubectl("delete", "wasmplugin", "header", "-n", "mesh")
    eventually(lambda: get(mesh)[0] == 200, seconds=60, what="an answer without the plugin")


def test_a_rate_limit(mesh: Cluster) -> None:
    """The filter answers 429 after two requests, and the patch that meets nothing is told on the resource."""
    mesh.apply(LIMIT)
    eventually(lambda: get(mesh) if get(mesh)[0] == 429 else None, seconds=60, what="the limit")
    assert get(mesh)[1]["x-local-rate-limit"] == "true"
    eventually(lambda: "configPatches[1]" in conditions(mesh, "envoyfilter", "limit").get("PatchMatchesNothing", ""), seconds=60)
    mesh.kubectl("delete", "envoyfilter", "limit", "-n", "mesh")
    eventually(lambda: get(mesh)[0] == 200, seconds=60, what="no limit any more")


def test_a_patch_that_is_no_message_is_refused(mesh: Cluster) -> None:
    """kubectl says which patch is wrong, and why."""
    wrong = LIMIT.replace("max_tokens: 2", "max_tokens: many")
    done = mesh.kubectl("apply", "-f", "-", stdin=wrong, check=False)
    assert done.returncode == 1
    assert "spec.configPatches[0].patch.value: Failed to parse" in done.stderr


def test_mesh_configuration_takes_effect_at_once(mesh: Cluster) -> None:
    """A change of the ConfigMap reaches running proxies, and a field without effect is told as an event."""
    config = mesh.get("configmap", "istio", "-n", "istio-system")["data"]["mesh"]
    mesh.kubectl(
        "patch",
        "configmap",
        "istio",
        "-n",
        "istio-system",
        "--type=merge",
        "-p",
        json.dumps({"data": {"mesh": config + "\nconnectTimeout: 3s\nproxyHttpPort: 15002\n"}}),
    )
    shown = ["proxy-config", "clusters", "web.mesh", "--fqdn", "web.mesh.svc.cluster.local", "-o", "json"]
    eventually(lambda: '"connectTimeout": "3s"' in istioctl(mesh, *shown), seconds=60, what="the new timeout")
    eventually(lambda: "proxyHttpPort" in mesh.kubectl("get", "events", "-n", "istio-system").stdout, seconds=60, what="the event")
