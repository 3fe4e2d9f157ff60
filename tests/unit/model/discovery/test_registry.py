from __future__ import annotations

from tests.builders.meshobjects import endpoint_slice, istio, pod, service, snapshot_of

from varka.model.services import Health, Hostname, Protocol, Resolution

HOST = Hostname("web.default.svc.cluster.local")


def test_service() -> None:
    """A Service becomes a host with its ports, addresses and the identities behind it."""
    ports = ({"name": "http", "port": 80, "targetPort": 8080}, {"name": "named", "port": 81, "targetPort": "admin"})
    found = snapshot_of(service("web", *ports), endpoint_slice("web", "10.0.0.1"), pod("web", "10.0.0.1")).registry.find("WEB.default.svc.cluster.local")
    assert found is not None
    assert (found.hostname, found.addresses, found.resolution) == (HOST, ("10.96.0.7",), Resolution.EDS)
    assert [(port.number, port.protocol, port.target_port, port.target_name) for port in found.ports] == [
        (80, Protocol.HTTP, 8080, ""),
        (81, Protocol.AUTO, None, "admin"),
    ]
    assert found.service_accounts == ("spiffe://cluster.local/ns/default/sa/web",)


def test_endpoints() -> None:
    """An endpoint takes identity, labels and mutual TLS from its pod."""
    found = snapshot_of(service("web"), endpoint_slice("web", "10.0.0.2", "10.0.0.1"), pod("web", "10.0.0.1")).registry.endpoints[HOST, 80]
    assert [(item.address, item.port, item.service_account, item.mutual_tls) for item in found] == [
        ("10.0.0.1", 8080, "spiffe://cluster.local/ns/default/sa/web", True),
        ("10.0.0.2", 8080, "", False),
    ]
    assert found[0].labels["app"] == "web"


def test_endpoint_that_is_not_ready() -> None:
    """An endpoint that is not ready is left out; one that ends keeps its sessions where they are sticky."""
    gone = endpoint_slice("web", "10.0.0.1", ready=False, serving=True, terminating=True)
    assert snapshot_of(service("web"), gone).registry.endpoints == {}
    sticky = service("web", labels={"istio.io/persistent-session": "cookie"})
    assert snapshot_of(sticky, gone).registry.endpoints[HOST, 80][0].health is Health.DRAINING


def test_disabled_mutual_tls() -> None:
    """A workload that is told not to take mutual TLS is not offered it."""
    policy = istio("PeerAuthentication", "p", {"selector": {"matchLabels": {"app": "web"}}, "portLevelMtls": {"8080": {"mode": "DISABLE"}}})
    found = snapshot_of(service("web"), endpoint_slice("web", "10.0.0.1"), pod("web", "10.0.0.1"), policy)
    assert not found.registry.endpoints[HOST, 80][0].mutual_tls


def test_headless_and_external_services() -> None:
    """A headless service passes through to the address asked for, an ExternalName is looked up by DNS."""
    headless = snapshot_of(service("web", spec={"clusterIP": "None"})).registry.find(HOST)
    assert headless is not None
    assert (headless.resolution, headless.headless, headless.addresses) == (Resolution.PASSTHROUGH, True, ())
    external = snapshot_of(service("web", spec={"type": "ExternalName", "externalName": "a.org", "clusterIP": ""})).registry
    assert external.entries[0].service.resolution is Resolution.DNS
    assert external.endpoints[HOST, 80][0].address == "a.org"


def test_service_entry() -> None:
    """Each host of a ServiceEntry is a service; endpoints may name other ports."""
    spec = {
        "hosts": ["A.org", "b.org"],
        "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}],
        "resolution": "STATIC",
        "location": "MESH_INTERNAL",
        "endpoints": [{"address": "1.2.3.4", "ports": {"tls": 8443}, "serviceAccount": "sa", "weight": 3}],
        "subjectAltNames": ["spiffe://x/y"],
    }
    registry = snapshot_of(istio("ServiceEntry", "e", spec)).registry
    assert [entry.service.hostname for entry in registry.entries] == ["a.org", "b.org"]
    found = registry.endpoints[Hostname("a.org"), 443][0]
    assert (found.address, found.port, found.weight, found.mutual_tls) == ("1.2.3.4", 8443, 3, True)
    assert registry.entries[0].service.service_accounts == ("spiffe://cluster.local/ns/default/sa/sa", "spiffe://x/y")


def test_service_entry_by_dns() -> None:
    """A ServiceEntry with resolution DNS and no endpoints looks its own host up."""
    spec = {"hosts": ["a.org"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "resolution": "DNS"}
    assert snapshot_of(istio("ServiceEntry", "e", spec)).registry.endpoints[Hostname("a.org"), 80][0].address == "a.org"


def test_service_entry_selects_workloads_and_pods() -> None:
    """A ServiceEntry with a selector takes WorkloadEntries and pods of its namespace."""
    spec = {
        "hosts": ["a.org"],
        "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
        "resolution": "STATIC",
        "workloadSelector": {"labels": {"app": "web"}},
    }
    entry = istio("WorkloadEntry", "vm", {"address": "10.1.1.1", "labels": {"app": "web"}})
    other = istio("WorkloadEntry", "far", {"address": "10.1.1.2", "labels": {"app": "web"}}, namespace="other")
    found = snapshot_of(istio("ServiceEntry", "e", spec), entry, other, pod("web", "10.0.0.1")).registry.endpoints[Hostname("a.org"), 80]
    assert [(item.address, item.port) for item in found] == [("10.1.1.1", 8080), ("10.0.0.1", 8080)]


def test_kubernetes_goes_first() -> None:
    """A host that a Service and a ServiceEntry claim is the Service's."""
    spec = {"hosts": [HOST], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "resolution": "DNS"}
    registry = snapshot_of(istio("ServiceEntry", "e", spec, creationTimestamp="1970-01-01T00:00:01Z"), service("web")).registry
    assert [entry.service.registry for entry in registry.by_host[HOST]] == ["Kubernetes", "External"]
    assert not registry.all_public
