"""What `kubectl top` asks for."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock
from tests.fakes.podruntime import FakePodRuntime

from varka.client.api import ApiError, Object
from varka.cluster.apiserver import metrics_api
from varka.cluster.apiserver.request import ADMIN, Attributes


async def ask(resource: str, name: str = "", namespace: str = "", *, runtime: FakePodRuntime | None = None, **query: str) -> Object:
    """The answer over an API with two pods, one of them running, and a node."""
    clock = TurnedClock()
    api = FakeApi(clock)
    for pod, phase in (("web-1", "Running"), ("web-2", "Pending")):
        await api.create(metrics_api.PODS, {"metadata": {"name": pod, "labels": {"app": "web"}}, "status": {"phase": phase}}, "shop")
        api.change(metrics_api.PODS, pod, "shop", status={"phase": phase})
    await api.create(metrics_api.NODES, {"metadata": {"name": "varka"}})
    context: Any = SimpleNamespace(api=api, runtime=runtime or FakePodRuntime())
    verb = "get" if name else "list"
    attributes = Attributes(user=ADMIN, verb=verb, group=metrics_api.GROUP, version="v1beta1", resource=resource, namespace=namespace, name=name, query=query)
    return await metrics_api.Metrics(clock).handlers()[metrics_api.GROUP, resource](context, attributes)


async def test_pod() -> None:
    """A pod's usage lists its containers by name, in Kubernetes' units."""
    assert await ask("pods", "web-1", "shop") == {
        "kind": "PodMetrics",
        "apiVersion": "metrics.k8s.io/v1beta1",
        "metadata": {"name": "web-1", "namespace": "shop", "labels": {"app": "web"}, "creationTimestamp": "2026-01-01T00:00:00Z"},
        "timestamp": "2026-01-01T00:00:00Z",
        "window": "10s",
        "containers": [
            {"name": "app", "usage": {"cpu": "1250000n", "memory": "3072Ki"}},
            {"name": "istio-proxy", "usage": {"cpu": "5000000n", "memory": "65536Ki"}},
        ],
    }


async def test_list_and_selectors() -> None:
    """Only running pods that are selected are listed."""
    assert [item["metadata"]["name"] for item in (await ask("pods", namespace="shop"))["items"]] == ["web-1"]
    assert (await ask("pods", labelSelector="app=other"))["items"] == []
    assert (await ask("pods"))["kind"] == "PodMetricsList"


async def test_node() -> None:
    """The node's usage."""
    [item] = (await ask("nodes"))["items"]
    assert (item["metadata"]["name"], item["usage"]) == ("varka", {"cpu": "200000000n", "memory": "1048576Ki"})


async def test_not_there() -> None:
    """A pod that is not there, or does not run, has no metrics."""
    for name in ("web-2", "web-3"):
        with pytest.raises(ApiError) as caught:
            await ask("pods", name, "shop")
        assert caught.value.message == f'pods.metrics.k8s.io "{name}" not found'


async def test_pod_that_the_runtime_does_not_know() -> None:
    """A pod about which the runtime says nothing is left out."""
    runtime = FakePodRuntime()
    runtime.failure = ApiError(404, "NotFound", "gone")
    assert (await ask("pods", runtime=runtime))["items"] == []
