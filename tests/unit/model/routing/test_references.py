from __future__ import annotations

from tests.builders.meshobjects import istio, service, snapshot_of

from varka.model.routing import references


def test_references_that_lead_nowhere() -> None:
    """Unknown gateways, hosts, ports and subsets are told, each with its place."""
    rules = [
        {"route": [{"destination": {"host": "nobody"}}]},
        {"route": [{"destination": {"host": "web", "subset": "v9"}}]},
        {"route": [{"destination": {"host": "web", "port": {"number": 9}}}]},
        {"route": [{"destination": {"host": "web"}}]},
    ]
    found = references.find(snapshot_of(service("web"), istio("VirtualService", "v", {"hosts": ["web"], "gateways": ["gw"], "http": rules})))
    assert [item.text for item in found["VirtualService", "default", "v"]] == [
        "spec.gateways[0]: referenced gateway not found: 'default/gw'",
        "spec.http[0].route: referenced host not found: 'nobody.default.svc.cluster.local'",
        "spec.http[1].route: referenced host+subset in destinationrule not found: 'web.default.svc.cluster.local+v9'",
        "spec.http[2].route: referenced port not found: web.default.svc.cluster.local:9",
    ]


def test_host_claimed_twice() -> None:
    """The later claim to a host is told who was first."""
    entry = istio("ServiceEntry", "e", {"hosts": ["web.default.svc.cluster.local"], "ports": [{"number": 80, "name": "http"}]})
    found = references.find(snapshot_of(service("web"), entry))
    assert [item.reason for item in found["ServiceEntry", "default", "e"]] == ["HostConflict"]


def test_nothing_to_say() -> None:
    """References that lead somewhere leave no conditions."""
    rule = istio("DestinationRule", "d", {"host": "*.local"})
    assert references.find(snapshot_of(service("web"), rule)) == {}


def test_tls_of_a_sidecar_without_effect() -> None:
    """TLS of an ingress listener is told to be idle unless mutual TLS of its port is switched off."""
    spec = {"ingress": [{"port": {"number": 9443, "protocol": "HTTPS", "name": "in"}, "tls": {"mode": "SIMPLE", "serverCertificate": "c", "privateKey": "k"}}]}
    sidecar = istio("Sidecar", "s", spec)
    assert [item.reason for item in references.find(snapshot_of(sidecar))["Sidecar", "default", "s"]] == ["NoEffect"]
    off = istio("PeerAuthentication", "off", {"mtls": {"mode": "DISABLE"}})
    assert references.find(snapshot_of(sidecar, off)) == {}
