from __future__ import annotations

from msgspec.structs import replace
from tests.builders import views

from varka.model import name_table
from varka.model.services import Health, Protocol, Resolution


def test_a_service_has_its_own_address() -> None:
    """Kubernetes services are known by their short name too; blocks and the wildcard address are no addresses."""
    web = replace(views.service("web", address=""), addresses=("10.96.0.9", "0.0.0.0", "10.0.0.0/8"))
    found = name_table.build(views.outbound([web]))
    assert found == {"web.default.svc.cluster.local": name_table.Name(addresses=("10.96.0.9",), registry="Kubernetes", short="web", namespace="default")}


def test_a_headless_service_has_those_of_its_pods() -> None:
    """Each pod once, however many ports, and only those that are healthy; pods of a StatefulSet have names of their own."""
    web = replace(views.service("web", {80: Protocol.HTTP, 81: Protocol.HTTP}, address=""), headless=True, resolution=Resolution.PASSTHROUGH)
    labels = {"statefulset.kubernetes.io/pod-name": "web-0"}
    endpoints = [views.endpoint(web, port, "10.0.0.1", labels=labels) for port in (80, 81)]
    endpoints.append(views.endpoint(web, 80, "10.0.0.2", health=Health.UNHEALTHY))
    found = name_table.build(views.outbound([web], endpoints))
    assert {host: name.addresses for host, name in found.items()} == {
        "web-0.web.default.svc.cluster.local": ("10.0.0.1",),
        "web.default.svc.cluster.local": ("10.0.0.1",),
    }


def test_what_has_no_address_is_left_out() -> None:
    """The network's name server may know it."""
    alias = replace(views.service("alias"), external_name="example.com")
    assert name_table.build(views.outbound([views.external("example.com", {80: Protocol.HTTP}), alias])) == {}
