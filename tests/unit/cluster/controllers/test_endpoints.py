from __future__ import annotations

from tests.fakes.cluster import deployment, running

from varka.client.resources import DEPLOYMENTS, ENDPOINT_SLICES, ENDPOINTS, SERVICES

SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default", "labels": {"app": "web"}},
    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}], "clusterIP": "10.96.0.7"},
}


def _slices(cluster, name="web"):
    return [one for one in cluster.api.all(ENDPOINT_SLICES) if one["metadata"]["labels"].get("kubernetes.io/service-name") == name]


async def test_services_follow_the_readiness_of_their_pods():
    """A service's slice and Endpoints follow which pods are ready."""
    async with running() as cluster:
        await cluster.api.create(SERVICES, SERVICE)
        await cluster.api.create(DEPLOYMENTS, deployment(replicas=2))
        await cluster.settle()
        (one,) = _slices(cluster)
        assert one["metadata"]["labels"] == {
            "app": "web",
            "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        }
        assert one["metadata"]["ownerReferences"][0]["kind"] == "Service"
        assert one["ports"] == [{"name": "http", "port": 8080, "protocol": "TCP"}]
        assert [endpoint["conditions"]["ready"] for endpoint in one["endpoints"]] == [True, True]
        cluster.ready(cluster.pods()[0], ready=False)
        await cluster.settle()
        (one,) = _slices(cluster)
        assert sorted(endpoint["conditions"]["ready"] for endpoint in one["endpoints"]) == [False, True]
        held = cluster.api.one(ENDPOINTS, "web", "default")
        assert (len(held["subsets"][0]["addresses"]), len(held["subsets"][0]["notReadyAddresses"])) == (1, 1)


async def test_headless_services_are_marked():
    """A headless service's slice carries the label that says so."""
    async with running() as cluster:
        await cluster.api.create(SERVICES, {**SERVICE, "spec": {**SERVICE["spec"], "clusterIP": "None"}})
        await cluster.settle()
        assert _slices(cluster)[0]["metadata"]["labels"]["service.kubernetes.io/headless"] == ""


async def test_endpoints_go_with_their_service():
    """When a service is deleted, its slices and Endpoints are too."""
    async with running() as cluster:
        await cluster.api.create(SERVICES, SERVICE)
        await cluster.settle()
        await cluster.api.delete(SERVICES, "web", "default")
        await cluster.settle()
        assert _slices(cluster) == [] and cluster.api.one(ENDPOINTS, "web", "default") is None


async def test_a_deleted_slice_comes_back():
    """What someone else takes away or changes is put right."""
    async with running() as cluster:
        await cluster.api.create(SERVICES, SERVICE)
        await cluster.settle()
        await cluster.api.delete(ENDPOINT_SLICES, _slices(cluster)[0]["metadata"]["name"], "default")
        await cluster.settle()
        assert len(_slices(cluster)) == 1


async def test_written_endpoints_are_mirrored():
    """Endpoints that a user writes for a service without a selector become a slice."""
    async with running() as cluster:
        await cluster.api.create(SERVICES, {**SERVICE, "spec": {"ports": [{"port": 80}]}})
        body = {"metadata": {"name": "web", "namespace": "default"}, "subsets": [{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 80}]}]}
        await cluster.api.create(ENDPOINTS, body)
        await cluster.settle()
        (one,) = _slices(cluster)
        assert (one["endpoints"], one["ports"]) == ([{"addresses": ["10.0.0.9"], "conditions": {"ready": True}}], [{"name": "", "protocol": "TCP", "port": 80}])


async def test_the_api_servers_own_service_has_the_node_as_endpoint():
    """The `kubernetes` service leads to the node's address and port, and nobody mirrors its Endpoints."""
    async with running(node_address="10.244.0.1", api_port=6443) as cluster:
        (one,) = _slices(cluster, "kubernetes")
        assert (one["endpoints"][0]["addresses"], one["ports"][0]["port"]) == (["10.244.0.1"], 6443)
