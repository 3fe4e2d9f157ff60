from __future__ import annotations

from typing import Any

from varka.telemetry.prometheus import targets
from varka.telemetry.prometheus.targets import Known

POD: dict[str, Any] = {
    "metadata": {
        "name": "web-1",
        "namespace": "shop",
        "uid": "u1",
        "labels": {"app.kubernetes.io/name": "web"},
        "annotations": {"prometheus.io/port": "15020"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web", "controller": True}],
    },
    "spec": {"nodeName": "n", "containers": [{"name": "app", "image": "web:1", "ports": [{"containerPort": 80, "name": "http"}]}, {"name": "side"}]},
    "status": {"podIP": "10.0.0.1", "phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
}
SERVICE: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop", "annotations": {"prometheus.io/scrape": "true"}},
    "spec": {"clusterIP": "10.96.0.1", "ports": [{"name": "http", "port": 8080}]},
}
ENDPOINTS: dict[str, Any] = {
    "metadata": {"name": "web", "namespace": "shop"},
    "subsets": [
        {
            "addresses": [{"ip": "10.0.0.1", "targetRef": {"kind": "Pod", "name": "web-1", "namespace": "shop"}}],
            "ports": [{"name": "http", "port": 80}],
        }
    ],
}
KNOWN = Known(pods=(POD,), services=(SERVICE,), endpoints=(ENDPOINTS,), index={("Pod", "shop", "web-1"): POD, ("Service", "shop", "web"): SERVICE})


def test_pods() -> None:
    """A pod has a target for each declared port and one without a port for a container without ports, all with its labels."""
    first, second = targets.of("pod", KNOWN)
    assert (first["targets"], second["targets"]) == (["10.0.0.1:80"], ["10.0.0.1"])
    labels = first["labels"]
    assert labels["__meta_kubernetes_namespace"] == "shop"
    assert labels["__meta_kubernetes_pod_annotation_prometheus_io_port"] == "15020"
    assert labels["__meta_kubernetes_pod_annotationpresent_prometheus_io_port"] == "true"
    assert labels["__meta_kubernetes_pod_label_app_kubernetes_io_name"] == "web"
    assert (labels["__meta_kubernetes_pod_phase"], labels["__meta_kubernetes_pod_ready"]) == ("Running", "true")
    assert (labels["__meta_kubernetes_pod_controller_kind"], labels["__meta_kubernetes_pod_container_port_number"]) == ("ReplicaSet", "80")


def test_a_pod_without_an_address_is_no_target() -> None:
    """What has not started cannot be scraped."""
    assert targets.of("pod", Known(pods=({**POD, "status": {}},))) == []


def test_services_and_nodes() -> None:
    """A service's target is its name in DNS; a node's is the kubelet's port, and `instance` is the node's name."""
    (service,) = targets.of("service", KNOWN)
    assert service["targets"] == ["web.shop.svc:8080"]
    assert service["labels"]["__meta_kubernetes_service_annotation_prometheus_io_scrape"] == "true"
    node = {"metadata": {"name": "n"}, "status": {"addresses": [{"type": "InternalIP", "address": "10.244.0.1"}]}}
    (found,) = targets.of("node", Known(nodes=(node,)))
    assert (found["targets"], found["labels"]["instance"]) == (["10.244.0.1:10250"], "n")


def test_endpoints_carry_their_service_and_pod() -> None:
    """Labels of an endpoint are its own, its service's and its pod's; the container is the one with that port."""
    (found,) = targets.of("endpoints", KNOWN)
    labels = found["labels"]
    assert found["targets"] == ["10.0.0.1:80"]
    assert labels["__meta_kubernetes_service_annotation_prometheus_io_scrape"] == "true"
    assert (labels["__meta_kubernetes_endpoint_port_name"], labels["__meta_kubernetes_endpoint_ready"]) == ("http", "true")
    assert (labels["__meta_kubernetes_pod_name"], labels["__meta_kubernetes_pod_container_name"]) == ("web-1", "app")
