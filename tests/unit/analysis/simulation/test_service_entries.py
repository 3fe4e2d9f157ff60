"""ServiceEntry and ExternalName: calls to hosts of the outside."""

from __future__ import annotations

from msgspec.structs import replace
from tests.builders import simulated
from tests.builders.simulated import istio, service

from varka.analysis.simulation import simulate
from varka.analysis.simulation.call import Call, Protocol, Security


def test_two_entries_share_a_host() -> None:
    """Each of two ServiceEntries of one namespace may give some ports of a host."""
    http = istio("ServiceEntry", "a", "{hosts: [a.org], ports: [{number: 80, name: http, protocol: HTTP}], resolution: DNS}")
    tls = istio("ServiceEntry", "b", "{hosts: [a.org], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}")
    config = simulated.config(http + tls)
    assert [(item.cluster, item.found) for item in simulate.run(config, Call(port=80, host="a.org")).targets] == [("outbound|80||a.org", True)]
    call = Call(port=443, protocol=Protocol.TCP, security=Security.TLS, sni="a.org")
    assert [(item.cluster, item.found) for item in simulate.run(config, call).targets] == [("outbound|443||a.org", True)]


def test_address_blocks_and_server_names() -> None:
    """TLS to a block of addresses is told by the longest block, and then by its server name."""
    wide = istio("ServiceEntry", "a", "{hosts: [a.org], addresses: [10.0.0.1/8], ports: [{number: 443, name: tls, protocol: TLS}]}")
    narrow = istio("ServiceEntry", "b", "{hosts: [b.org], addresses: [10.1.0.1/16], ports: [{number: 443, name: tls, protocol: TLS}]}")
    config = simulated.config(wide + narrow)
    call = Call(port=443, protocol=Protocol.TCP, security=Security.TLS, address="10.1.2.3", sni="b.org")
    assert simulate.run(config, call).cluster == "outbound|443||b.org"
    assert simulate.run(config, replace(call, address="10.9.9.9", sni="a.org")).cluster == "outbound|443||a.org"
    assert simulate.run(config, replace(call, sni="a.org")).cluster == "PassthroughCluster"


CONCRETE = service("concrete", {"http": 80, "auto": 81, "tcp": 82, "tls": 83}, "1.2.3.4")
ALIAS = """
---
apiVersion: v1
kind: Service
metadata: {name: alias, namespace: default}
spec: {type: ExternalName, externalName: concrete.default.svc.cluster.local}
"""


def test_an_alias_of_a_service_of_the_mesh() -> None:
    """A Service of type ExternalName is another name of the service that it points at."""
    config = simulated.config(CONCRETE + ALIAS)
    for port in (80, 81):
        for host in ("alias", "alias.default.svc.cluster.local"):
            assert simulate.run(config, Call(port=port, address="1.2.3.4", host=host)).cluster == f"outbound|{port}||concrete.default.svc.cluster.local"
    tcp = Call(port=82, address="1.2.3.4", protocol=Protocol.TCP)
    assert simulate.run(config, tcp).cluster == "outbound|82||concrete.default.svc.cluster.local"
    assert not [name for name in config.clusters if "alias" in name]


def test_rules_for_an_alias() -> None:
    """HTTP rules may be for an alias alone; the service's own name does not meet them."""
    rule = istio("VirtualService", "alias", "{hosts: [alias], http: [{name: route1, route: [{destination: {host: concrete}}]}]}")
    config = simulated.config(CONCRETE + ALIAS + rule)
    assert simulate.run(config, Call(port=80, address="1.2.3.4", host="alias")).route == "route1"
    assert simulate.run(config, Call(port=80, address="1.2.3.4", host="concrete")).route == "default"


def test_an_external_name_of_the_outside() -> None:
    """What points out of the mesh is a host with the ports that it lists."""
    text = ALIAS.replace("concrete.default.svc.cluster.local}", "example.com, ports: [{name: http, port: 80}]}")
    found = simulate.run(simulated.config(CONCRETE + text), Call(port=80, host="alias"))
    assert [(item.cluster, item.found) for item in found.targets] == [("outbound|80||alias.default.svc.cluster.local", True)]


def test_a_sidecar_may_name_the_alias() -> None:
    """A Sidecar that lists an alias knows the service behind it."""
    scope = istio("Sidecar", "s", "{egress: [{hosts: [./alias.default.svc.cluster.local]}]}")
    assert simulate.run(simulated.config(CONCRETE + ALIAS + scope), Call(port=80, host="alias")).cluster == "outbound|80||concrete.default.svc.cluster.local"


def test_aliases_in_a_circle() -> None:
    """Aliases that point at each other stand for nothing."""
    other = ALIAS.replace("alias", "other").replace("concrete", "alias")
    config = simulated.config(CONCRETE + ALIAS.replace("concrete", "other") + other)
    assert simulate.run(config, Call(port=80, host="alias")).cluster == "PassthroughCluster"
