from __future__ import annotations

from tests.builders.meshobjects import service

from varka.model.discovery import networks
from varka.resources import parse


def written(port: int = 15443, network: str = "inside", **labels: str) -> dict[str, object]:
    """A gateway's Service at 127.0.0.9."""
    made = service("gw", {"name": "tls", "port": port}, labels={networks.NETWORK: network, **labels})
    return {**made, "status": {"loadBalancer": {"ingress": [{"ip": "127.0.0.9"}]}}}


def test_gateways_by_network() -> None:
    """Services that name their network, on the usual port or the one that a label says."""
    assert networks.gateways([parse(written())]) == {"inside": (("127.0.0.9", 15443),)}
    other = written(8443, **{networks.GATEWAY_PORT: "8443"})
    assert networks.gateways([parse(other)]) == {"inside": (("127.0.0.9", 8443),)}


def test_other_services_are_no_gateways() -> None:
    """Without a network, without the port, or without an address outside."""
    nowhere = {key: value for key, value in written().items() if key != "status"}
    assert networks.gateways([parse(service("web", {"port": 15443})), parse(written(80)), parse(nowhere)]) == {}
