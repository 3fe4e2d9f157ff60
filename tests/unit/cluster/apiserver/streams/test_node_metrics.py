"""What Prometheus asks of a node."""

from __future__ import annotations

from typing import Any

from tests.fakes.podruntime import FakePodRuntime

from varka.cluster.apiserver.exposition import Exposition
from varka.cluster.apiserver.streams import node_metrics

POD: dict[str, Any] = {
    "metadata": {"name": "web-1", "namespace": "shop", "uid": "u", "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": True}]},
    "spec": {"nodeName": "n", "containers": [{"name": "app", "image": "web:1", "resources": {"limits": {"memory": "64Mi"}}}, {"name": "istio-proxy"}]},
    "status": {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "app", "restartCount": 2, "ready": True, "state": {"running": {}}}],
    },
}
NODE: dict[str, Any] = {
    "metadata": {"name": "n"},
    "status": {"capacity": {"cpu": "2", "memory": "1Gi"}, "conditions": [{"type": "Ready", "status": "True"}]},
}


def test_containers() -> None:
    """Each container has its use of processor and memory, and the pod the sum with an empty container."""
    out = Exposition()
    node_metrics.containers(out, FakePodRuntime(), [POD])
    lines = out.text().splitlines()
    app = 'container="app",image="web:1",name="u-app",namespace="shop",pod="web-1"'
    assert f"container_memory_working_set_bytes{{{app}}} {3 << 20}" in lines
    assert f"container_spec_memory_limit_bytes{{{app}}} {64 << 20}" in lines
    assert f'container_memory_working_set_bytes{{container="",image="",name="",namespace="shop",pod="web-1"}} {67 << 20}' in lines
    assert any(line.startswith('container_cpu_usage_seconds_total{container="istio-proxy"') for line in lines)


def test_objects() -> None:
    """Phases, readiness, restarts and replicas have the names of kube-state-metrics."""
    out = Exposition()
    deployment = {
        "metadata": {"name": "web", "namespace": "shop", "creationTimestamp": "1970-01-01T00:01:00Z", "generation": 3},
        "spec": {"replicas": 2},
        "status": {"replicas": 2, "availableReplicas": 1},
    }
    node_metrics.objects(out, [NODE], [POD], [deployment])
    lines = out.text().splitlines()
    who = 'namespace="shop",pod="web-1"'
    for line in (
        f'kube_pod_status_phase{{{who},phase="Running"}} 1',
        f'kube_pod_status_phase{{{who},phase="Pending"}} 0',
        f'kube_pod_container_status_restarts_total{{{who},container="app"}} 2',
        'kube_deployment_spec_replicas{namespace="shop",deployment="web"} 2',
        'kube_deployment_status_replicas_available{namespace="shop",deployment="web"} 1',
        'kube_deployment_created{namespace="shop",deployment="web"} 60',
        'kube_node_status_condition{node="n",condition="Ready",status="true"} 1',
        f'kube_node_status_capacity{{node="n",resource="memory"}} {1 << 30}',
    ):
        assert line in lines
