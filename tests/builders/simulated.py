"""From manifests to what a proxy gets, as the control plane does it, for questions to the simulator."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml

from varka.analysis.simulation import configuration
from varka.analysis.simulation.configuration import Configuration
from varka.envoy import generate
from varka.model import inputs, proxies, snapshot, views
from varka.model.view import MeshSettings, Proxy, ProxyView
from varka.resources import parse

GATEWAY_LABELS = {"istio": "ingressgateway"}


def objects(text: str) -> list[dict[str, Any]]:
    """The manifests of a YAML text; without a namespace they are in `default`."""
    found = [json.loads(json.dumps(obj, default=lambda value: value.isoformat())) for obj in yaml.safe_load_all(text) if obj]
    for obj in found:
        obj["metadata"].setdefault("namespace", "default")
    return found


def sidecar(ip: str = "1.1.1.1", namespace: str = "default", labels: Mapping[str, str] | None = None, name: str = "app") -> Proxy:
    """A sidecar of the pod `app`."""
    return _proxy("sidecar", ip, namespace, labels or {}, name)


def gateway(ip: str = "1.1.1.1", labels: Mapping[str, str] | None = None) -> Proxy:
    """An ingress gateway."""
    return _proxy("router", ip, "istio-system", GATEWAY_LABELS if labels is None else labels, "gateway")


def _proxy(kind: str, ips: str, namespace: str, labels: Mapping[str, str], name: str) -> Proxy:
    first = ips.partition(",")[0]
    found = proxies.parse(f"{kind}~{first}~{name}.{namespace}~{namespace}.svc.cluster.local", {"LABELS": dict(labels), "INSTANCE_IPS": ips})
    assert found is not None
    return found


def view(text: str, proxy: Proxy | None = None, mesh: MeshSettings | None = None) -> ProxyView:
    """What the proxy sees of these manifests."""
    everything = inputs.of((parse(obj) for obj in objects(text)), mesh or MeshSettings())
    return views.view(snapshot.build(everything), proxy or sidecar())


def config(text: str, proxy: Proxy | None = None, mesh: MeshSettings | None = None) -> Configuration:
    """The configuration that the proxy gets."""
    return configuration.of_generated(generate.generate(view(text, proxy, mesh)))


def service(name: str, ports: Mapping[str, int], ip: str = "10.96.0.10", namespace: str = "default", **spec: Any) -> str:
    """A Service as YAML; names of ports say their protocols."""
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"clusterIP": ip, "ports": [{"name": port, "port": number} for port, number in ports.items()], **spec},
    }
    return "---\n" + yaml.safe_dump(body)


def istio(kind: str, name: str, spec: Mapping[str, Any] | str, namespace: str = "default", group: str = "networking", **meta: Any) -> str:
    """A resource of Istio as YAML."""
    body = {
        "apiVersion": f"{group}.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **meta},
        "spec": yaml.safe_load(spec) if isinstance(spec, str) else spec,
    }
    return "---\n" + yaml.safe_dump(body)
