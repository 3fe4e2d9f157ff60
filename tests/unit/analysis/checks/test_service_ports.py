from __future__ import annotations

import pytest
from tests.builders.findings import found, paths
from tests.builders.meshobjects import istio, service

NAMES, ADDRESSES = "service.PortNameAnalyzer", "serviceentry.ProtocolAddressesAnalyzer"


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ({"name": "http-web", "port": 80}, []),
        ({"name": "web", "port": 80}, ["IST0118 Service default/s"]),
        ({"port": 80}, ["IST0118 Service default/s"]),
        ({"name": "web", "port": 80, "appProtocol": "http"}, []),
        ({"name": "web", "port": 3306}, []),
    ],
)
def test_names(port: dict[str, object], said: list[str]) -> None:
    """A port says what it carries by name or appProtocol; some numbers speak for themselves."""
    assert found(NAMES, service("s", port)) == said


def test_external_names_and_the_system() -> None:
    """Plain TCP to an ExternalName is warned of; Services of the control plane are left alone."""
    external = service("s", {"name": "tcp", "port": 80}, spec={"type": "ExternalName", "externalName": "a.b"})
    assert found(NAMES, external) == ["IST0150 Service default/s"]
    assert found(NAMES, service("s", {"port": 80}, namespace="kube-system"), service("i", {"port": 80}, labels={"istio": "pilot"})) == []


def _entry(*protocols: str, **spec: object) -> dict[str, object]:
    ports = [{"number": 80 + index, "name": f"p{index}", "protocol": protocol} for index, protocol in enumerate(protocols)]
    return istio("ServiceEntry", "e", {"hosts": ["a.b"], "ports": ports, **spec})


def test_addresses() -> None:
    """Plain TCP needs an address, unless proxies allot one."""
    assert paths(ADDRESSES, _entry("HTTP", "tcp", "")) == ["spec.ports[1]", "spec.ports[2]"]
    assert found(ADDRESSES, _entry("TCP", addresses=["10.9.9.9"])) == []
    allotting = {"defaultConfig": {"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true", "ISTIO_META_DNS_AUTO_ALLOCATE": "true"}}}
    assert found(ADDRESSES, _entry("TCP"), mesh_config=allotting) == []
