"""Addresses and node ports of services."""

from __future__ import annotations

from typing import Any

from varka.cluster.apiserver.kinds import defaults, services
from varka.cluster.apiserver.kinds.services import Allocator


def service(uid: str = "u", **spec: Any) -> dict[str, Any]:
    """A defaulted service."""
    obj = {"metadata": {"name": "s", "uid": uid}, "spec": {"ports": [{"port": 80}], **spec}}
    defaults.fill("services", obj)
    return obj


def test_defaults() -> None:
    """A service is completed as Kubernetes does."""
    spec = service()["spec"]
    assert spec["ports"] == [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    assert (spec["type"], spec["sessionAffinity"], spec["ipFamilies"], spec["internalTrafficPolicy"]) == ("ClusterIP", "None", ["IPv4"], "Cluster")


def test_address_is_given() -> None:
    """A service without address gets a free one of the range."""
    obj = service()
    assert Allocator([]).assign(obj) == []
    assert obj["spec"]["clusterIPs"] == [obj["spec"]["clusterIP"]]
    assert obj["spec"]["clusterIP"].startswith("10.96.")


def test_wished_address_once() -> None:
    """A wished address is given once, and again after it was given back."""
    allocator = Allocator([])
    assert allocator.assign(service("a", clusterIP="10.96.0.10")) == []
    causes = allocator.assign(service("b", clusterIP="10.96.0.10"))
    assert [cause.text for cause in causes] == ['Invalid value: ["10.96.0.10"]: failed to allocate IP 10.96.0.10: provided IP is already allocated']
    allocator.release("a")
    assert allocator.assign(service("b", clusterIP="10.96.0.10")) == []


def test_dry_run_reserves_nothing() -> None:
    """A dry run leaves the address free."""
    allocator = Allocator([])
    allocator.assign(service("a", clusterIP="10.96.0.10"), dry_run=True)
    assert allocator.assign(service("b", clusterIP="10.96.0.10")) == []


def test_headless() -> None:
    """None is no address."""
    obj = service(clusterIP="None")
    assert Allocator([]).assign(obj) == []
    assert obj["spec"]["clusterIPs"] == ["None"]


def test_node_ports() -> None:
    """NodePort services get distinct ports of the range; a taken one is refused."""
    allocator = Allocator([])
    obj = service("a", type="NodePort", ports=[{"port": 80, "name": "a"}, {"port": 81, "name": "b", "nodePort": 30080}])
    assert allocator.assign(obj) == []
    first, second = (port["nodePort"] for port in obj["spec"]["ports"])
    assert first in services.NODE_PORTS
    assert second == 30080 != first
    causes = allocator.assign(service("b", type="NodePort", ports=[{"port": 80, "nodePort": 30080}]))
    assert causes[0].text == "Invalid value: 30080: provided port is already allocated"


def test_replacing_client_keeps_the_address() -> None:
    """A PUT without address keeps the old one."""
    old = service(clusterIP="10.96.1.1", clusterIPs=["10.96.1.1"])
    new = service()
    services.carry_over(new, old)
    assert new["spec"]["clusterIP"] == "10.96.1.1"
    assert services.validate_update(new, old) == []


def test_address_may_not_change() -> None:
    """Another address is refused."""
    causes = services.validate_update(service(clusterIP="10.96.1.2"), service(clusterIP="10.96.1.1"))
    assert [cause.field for cause in causes] == ["spec.clusterIPs[0]"]


def test_ports_need_names_and_must_differ() -> None:
    """Several ports need distinct names and numbers."""
    fields = [f"{cause.field}: {cause.text}" for cause in services.validate(service(ports=[{"port": 80}, {"port": 80, "name": "a"}]))]
    assert fields == ["spec.ports[0].name: Required value", 'spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}']
