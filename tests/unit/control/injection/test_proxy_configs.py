"""Which of several ProxyConfigs wins."""

from __future__ import annotations

from typing import Any

import pytest

from varka import resources
from varka.base.errors import VarkaError
from varka.control.injection import proxy_configs
from varka.control.injection.proxy_configs import Workload


def config(name: str, namespace: str, created: str = "2024-01-01T00:00:00Z", **spec: Any) -> Any:
    """A ProxyConfig."""
    meta = {"name": name, "namespace": namespace, "creationTimestamp": created}
    return resources.parse({"apiVersion": "networking.istio.io/v1beta1", "kind": "ProxyConfig", "metadata": meta, "spec": spec})


ROOT = config("mesh", "istio-system", concurrency=2, environmentVariables={"A": "root", "B": "root"})
SPACE = config("space", "shop", concurrency=3, environmentVariables={"B": "space"}, image={"imageType": "debug"})
CHOSEN = config("chosen", "shop", selector={"matchLabels": {"app": "web"}}, concurrency=5)
YOUNGER = config("younger", "shop", "2024-02-01T00:00:00Z", selector={"matchLabels": {"app": "web"}}, concurrency=6)
ELSEWHERE = config("elsewhere", "other", concurrency=9)
ALL = (ROOT, SPACE, CHOSEN, YOUNGER, ELSEWHERE)


def test_levels() -> None:
    """Root namespace, namespace and annotation are laid over the mesh's default in this order."""
    default = {"concurrency": 1, "drainDuration": "9s", "proxyMetadata": {"C": "mesh"}}
    plain = proxy_configs.effective(default, ALL, "istio-system", Workload(namespace="shop"))
    assert plain == {"concurrency": 3, "drainDuration": "9s", "proxyMetadata": {"A": "root", "B": "space", "C": "mesh"}, "image": {"imageType": "debug"}}
    annotated = Workload(namespace="shop", annotations={"proxy.istio.io/config": "concurrency: 4\nproxyMetadata: {B: pod}"})
    assert proxy_configs.effective(default, ALL, "istio-system", annotated)["concurrency"] == 4
    assert proxy_configs.effective(default, ALL, "istio-system", annotated)["proxyMetadata"]["B"] == "pod"


def test_a_resource_that_selects_the_pod_wins() -> None:
    """It wins over the annotation too, and of two the older."""
    pod = Workload(namespace="shop", labels={"app": "web"}, annotations={"proxy.istio.io/config": "concurrency: 4"})
    assert proxy_configs.effective({}, ALL, "istio-system", pod)["concurrency"] == 5


def test_other_namespaces() -> None:
    """A resource is for its own namespace, unless that is the root namespace."""
    assert proxy_configs.effective({}, ALL, "istio-system", Workload(namespace="third"))["concurrency"] == 2


@pytest.mark.parametrize("text", ["[1]", "a: [", "just text"])
def test_a_malformed_annotation(text: str) -> None:
    """It is refused, so that nobody believes it was followed."""
    with pytest.raises(VarkaError, match=r"proxy\.istio\.io/config"):
        proxy_configs.effective({}, (), "istio-system", Workload(annotations={"proxy.istio.io/config": text}))
