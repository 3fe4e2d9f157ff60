from __future__ import annotations

import pytest
from tests.builders.findings import found, kubernetes, texts
from tests.builders.meshobjects import service


def test_unknown_registry() -> None:
    """Networks take endpoints from Kubernetes, or from a cluster for which there is a Secret."""
    networks = {"networks": {"n1": {"endpoints": [{"fromRegistry": "Kubernetes"}, {"fromRegistry": "east"}, {"fromRegistry": "west"}]}}}
    secret = {**kubernetes("Secret", "remote", labels={"istio/multiCluster": "true"}), "data": {"east": ""}}
    assert texts("multicluster.MeshNetworksAnalyzer", secret, mesh_networks=networks) == ["Unknown service registry west in network n1"]


@pytest.mark.parametrize("networks", [{"networks": []}, {"networks": {"n": None}}, {"networks": {"n": {"endpoints": ["x", {}]}}}])
def test_networks_of_a_wrong_form(networks: dict[str, object]) -> None:
    """They have no registries."""
    assert found("multicluster.MeshNetworksAnalyzer", mesh_networks=networks) == []


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"clusterIP": "None"}, "service has mixed mode like headless and clusterIP"),
        ({"type": "NodePort"}, "service type is inconsistent"),
        ({"ports": [{"name": "http", "port": 81}]}, "service ports are inconsistent"),
    ],
)
def test_service_that_differs(spec: dict[str, object], reason: str) -> None:
    """A Service is one for the whole mesh, so that its clusters have to agree about it."""
    said = texts("multicluster.ServiceAnalyzer", service("web"), clusters={"east": (service("web", spec=spec),)})
    assert said == [
        f'The service web in namespace "default" is inconsistent across clusters "[Kubernetes east]", which can lead to undefined behaviors. '
        f"The inconsistent behaviors are: {reason}."
    ]


def test_service_that_agrees() -> None:
    """Node ports and cluster addresses are each cluster's own."""
    other = service("web", {"name": "http", "port": 80, "nodePort": 30080}, spec={"clusterIP": "10.97.0.1"})
    assert found("multicluster.ServiceAnalyzer", service("web"), clusters={"east": (other, service("lonely"))}) == []
