"""Finding an endpoint of a Service."""

from __future__ import annotations

import pytest
from tests.fakes.api import FakeApi

from varka.client.api import Object
from varka.cluster.apiserver import services


async def api(*endpoints: Object, kind: str = "slices", **spec: object) -> FakeApi:
    """An API with the Service `web`, port 80 named `http`, and its endpoints."""
    made = FakeApi()
    await made.create(services.SERVICES, {"metadata": {"name": "web"}, "spec": {"ports": [{"name": "http", "port": 80}], **spec}}, "shop")
    ports = [{"name": "http", "port": 8080}]
    if kind == "slices":
        labels = {services.SLICE_LABEL: "web"}
        await made.create(services.ENDPOINT_SLICES, {"metadata": {"name": "web-1", "labels": labels}, "ports": ports, "endpoints": list(endpoints)}, "shop")
    else:
        subset = {"ports": ports, "addresses": [{"ip": address} for endpoint in endpoints for address in endpoint["addresses"]]}
        await made.create(services.ENDPOINTS, {"metadata": {"name": "web"}, "subsets": [subset]}, "shop")
    return made


async def test_turns() -> None:
    """Ready endpoints take turns; those that are not ready are left out."""
    ready = [{"addresses": [f"10.1.0.{number}"], "conditions": {"ready": True}} for number in (1, 2)]
    made = await api(*ready, {"addresses": ["10.1.0.3"], "conditions": {"ready": False}})
    found = {await services.endpoint_of(made, "shop", "web", 80) for _ in range(4)}
    assert found == {("10.1.0.1", 8080), ("10.1.0.2", 8080)}


async def test_endpoints_object() -> None:
    """Without slices the Endpoints object serves."""
    made = await api({"addresses": ["10.1.0.9"]}, kind="endpoints")
    assert await services.endpoint_of(made, "shop", "web", 80) == ("10.1.0.9", 8080)


async def test_external_name() -> None:
    """An ExternalName service leads to its name."""
    made = await api(type="ExternalName", externalName="example.com")
    assert await services.endpoint_of(made, "shop", "web", 80) == ("example.com", 80)


@pytest.mark.parametrize(
    ("name", "port", "message"),
    [
        ("other", 80, 'service "other" not found'),
        ("web", 81, 'no service port 81 found for service "web"'),
        ("web", 80, 'no endpoints available for service "web"'),
    ],
)
async def test_unreachable(name: str, port: int, message: str) -> None:
    """What cannot be reached is said in Kubernetes' words."""
    with pytest.raises(services.Unreachable) as caught:
        await services.endpoint_of(await api(), "shop", name, port)
    assert caught.value.message == message
