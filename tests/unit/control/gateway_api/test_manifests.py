from __future__ import annotations

from varka.control.gateway_api import manifests
from varka.model.gateway_api.translation import Workload

WORKLOAD = Workload(
    gateway="web",
    namespace="shop",
    name="web-istio",
    class_name="istio",
    ports=(("http-80", 80), ("https-443", 443)),
    labels={"team": "a"},
    annotations={manifests.TYPE: "ClusterIP"},
    uid="u1",
)


def test_a_gateway_is_a_deployment_behind_a_service_that_go_with_it() -> None:
    """Envoy by the injector's template for gateways; the Service has the listeners' ports."""
    account, deployment, service = manifests.objects(WORKLOAD, "default")
    for one in (account, deployment, service):
        assert one["metadata"]["name"] == "web-istio"
        assert one["metadata"]["labels"]["team"] == "a"
        assert [owner["uid"] for owner in one["metadata"]["ownerReferences"]] == ["u1"]
    template = deployment["spec"]["template"]
    assert template["metadata"]["annotations"]["inject.istio.io/templates"] == "gateway"
    assert template["metadata"]["labels"][manifests.NAME] == "web"
    assert template["spec"]["serviceAccountName"] == "web-istio"
    assert service["spec"]["type"] == "ClusterIP"
    assert [(port["name"], port["port"]) for port in service["spec"]["ports"]] == [("status-port", 15021), ("http-80", 80), ("https-443", 443)]


def test_a_service_type_that_is_none_is_not_used() -> None:
    """The API server would refuse it."""
    from msgspec.structs import replace

    service = manifests.objects(replace(WORKLOAD, annotations={manifests.TYPE: "Round"}), "default")[2]
    assert service["spec"]["type"] == "LoadBalancer"
