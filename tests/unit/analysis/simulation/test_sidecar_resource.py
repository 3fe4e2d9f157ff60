"""Sidecar: what its listeners do with calls."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.builders import simulated
from tests.builders.simulated import istio, service

from varka.analysis.simulation import simulate
from varka.analysis.simulation.call import Call, Direction, Protocol, Security
from varka.analysis.simulation.result import Answer, Failure
from varka.envoy import dump, generate

SERVICES = (
    service("web", {"http": 80, "http-admin": 8080}, "10.96.0.10")
    + service("db", {"tcp": 3306}, "10.96.0.11")
    + service("far", {"http": 80}, "10.96.0.12", namespace="other")
)


def sidecar(spec: str) -> str:
    """The services, and a Sidecar for the whole namespace."""
    return SERVICES + istio("Sidecar", "default", spec)


def test_hosts_narrow_what_is_known() -> None:
    """A host that the Sidecar does not name is unknown."""
    config = simulated.config(sidecar("{egress: [{hosts: ['./*']}]}"))
    assert simulate.run(config, Call(port=80, host="web")).cluster == "outbound|80||web.default.svc.cluster.local"
    assert simulate.run(config, Call(port=80, host="far.other")).cluster == "PassthroughCluster"


def test_a_listener_with_a_port_serves_only_its_hosts() -> None:
    """A port has the hosts of its own listener; all other ports those of the last one."""
    spec = "{egress: [{port: {number: 80, protocol: HTTP, name: far}, hosts: ['other/*']}, {hosts: ['./*']}]}"
    config = simulated.config(sidecar(spec))
    assert simulate.run(config, Call(port=80, host="far.other")).cluster == "outbound|80||far.other.svc.cluster.local"
    assert simulate.run(config, Call(port=80, host="web")).cluster == "PassthroughCluster"
    assert simulate.run(config, Call(port=8080, host="web")).cluster == "outbound|8080||web.default.svc.cluster.local"
    assert simulate.run(config, Call(port=3306, address="10.96.0.11", protocol=Protocol.TCP)).cluster == "outbound|3306||db.default.svc.cluster.local"


def test_a_listener_is_bound_by_the_proxy() -> None:
    """With captureMode NONE the proxy listens by itself, at 127.0.0.1 unless `bind` says otherwise."""
    spec = """
    egress:
    - {port: {number: 80, protocol: HTTP, name: a}, captureMode: NONE, hosts: ['./*']}
    - {port: {number: 3306, protocol: MYSQL, name: b}, bind: 127.0.0.9, captureMode: NONE, hosts: ['./*']}
    """
    config = simulated.config(sidecar(spec))
    bound = {item.name: item.bind_to_port.value for item in config.listeners if item.HasField("bind_to_port")}
    assert bound == {"127.0.0.1_80": True, "127.0.0.9_3306": True}
    web = simulate.run(config, Call(port=80, address="127.0.0.1", host="web"))
    assert (web.listener, web.cluster) == ("127.0.0.1_80", "outbound|80||web.default.svc.cluster.local")
    assert simulate.run(config, Call(port=3306, address="127.0.0.9", protocol=Protocol.TCP)).cluster == "outbound|3306||db.default.svc.cluster.local"


def test_two_listeners_of_one_port_differ() -> None:
    """Listeners at two addresses of one port have route configurations of their own."""
    spec = """
    egress:
    - {port: {number: 80, protocol: HTTP, name: a}, bind: 127.0.0.2, captureMode: NONE, hosts: ['./*']}
    - {port: {number: 80, protocol: HTTP, name: b}, bind: 127.0.0.3, captureMode: NONE, hosts: ['other/*']}
    """
    config = simulated.config(sidecar(spec))
    first, second = (simulate.run(config, Call(port=80, address=address, host="far.other")) for address in ("127.0.0.2", "127.0.0.3"))
    assert (first.route_config, first.cluster) == ("80", "PassthroughCluster")
    assert (second.route_config, second.cluster) == ("127.0.0.3_80", "outbound|80||far.other.svc.cluster.local")


def test_a_unix_socket() -> None:
    """A listener may be a UNIX socket, which the proxy binds."""
    spec = "{egress: [{port: {number: 0, protocol: HTTP, name: a}, bind: 'unix:///var/run/web.sock', hosts: ['./*']}]}"
    config = simulated.config(sidecar(spec))
    (listener,) = (item for item in config.listeners if item.address.HasField("pipe"))
    assert (listener.address.pipe.path, listener.bind_to_port.value) == ("/var/run/web.sock", True)
    assert "web.default.svc.cluster.local:8080" in [host.name for host in config.routes["unix:///var/run/web.sock"].virtual_hosts]


def test_an_http_proxy() -> None:
    """At a port of protocol HTTP_PROXY every host can be asked for on every port."""
    spec = "{egress: [{port: {number: 15080, protocol: HTTP_PROXY, name: p}, bind: 127.0.0.1, captureMode: NONE, hosts: ['*/*']}]}"
    config = simulated.config(sidecar(spec))
    asked = Call(port=15080, address="127.0.0.1", host="web:8080")
    assert simulate.run(config, asked).cluster == "outbound|8080||web.default.svc.cluster.local"
    assert simulate.run(config, replace(asked, host="web")).cluster == "outbound|80||web.default.svc.cluster.local"
    assert simulate.run(config, replace(asked, host="web:9999")).cluster == "PassthroughCluster"


def test_destinations_of_rules_need_not_be_listed() -> None:
    """A rule of a listed host may lead to a service that is not listed; that service itself stays unknown."""
    rule = istio("VirtualService", "web", "{hosts: [web], http: [{route: [{destination: {host: far.other.svc.cluster.local}}]}]}")
    config = simulated.config(sidecar("{egress: [{hosts: ['./*']}]}") + rule)
    assert [(item.cluster, item.found) for item in simulate.run(config, Call(port=80, host="web")).targets] == [
        ("outbound|80||far.other.svc.cluster.local", True)
    ]
    assert simulate.run(config, Call(port=80, host="far.other")).cluster == "PassthroughCluster"


def test_unknown_hosts_go_to_the_egress_proxy() -> None:
    """`egressProxy` takes requests and connections for unknown hosts."""
    spec = "{outboundTrafficPolicy: {mode: ALLOW_ANY, egressProxy: {host: far.other.svc.cluster.local, port: {number: 80}}}, egress: [{hosts: ['./*']}]}"
    config = simulated.config(sidecar(spec))
    unknown = Call(port=80, address="1.2.3.4", host="example.com")
    assert [(item.cluster, item.found) for item in simulate.run(config, unknown).targets] == [("outbound|80||far.other.svc.cluster.local", True)]
    assert simulate.run(config, replace(unknown, port=1234, protocol=Protocol.TCP)).cluster == "outbound|80||far.other.svc.cluster.local"


@pytest.mark.parametrize(("mode", "answer"), [("REGISTRY_ONLY", Answer(status=502)), ("ALLOW_ANY", None)])
def test_the_policy_for_unknown_hosts(mode: str, answer: Answer | None) -> None:
    """A Sidecar may close its workloads off, or open them."""
    config = simulated.config(sidecar(f"{{outboundTrafficPolicy: {{mode: {mode}}}}}"))
    assert simulate.run(config, Call(port=80, address="1.2.3.4", host="example.com")).answer == answer


INGRESS = "{ingress: [{port: {number: 9080, protocol: HTTP, name: in}, defaultEndpoint: '127.0.0.1:8080'}]}"


def test_ingress_ports_replace_those_of_services() -> None:
    """A port that the Sidecar names is taken; others are those of no service."""
    config = simulated.config(sidecar(INGRESS))
    call = Call(port=9080, direction=Direction.INBOUND, host="web")
    found = simulate.run(config, call)
    assert (found.filter_chain, found.cluster) == ("1.1.1.1_9080", "inbound|9080||")
    assert simulate.run(config, replace(call, port=80)).cluster == "InboundPassthroughCluster"


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("127.0.0.1:8080", {"socketAddress": {"address": "127.0.0.1", "portValue": 8080}}),
        ("0.0.0.0:8080", {"socketAddress": {"address": "1.1.1.1", "portValue": 8080}}),
        ("unix:///tmp/app.sock", {"pipe": {"path": "/tmp/app.sock"}}),
    ],
)
def test_the_application_listens_elsewhere(endpoint: str, address: object) -> None:
    """`defaultEndpoint` is the only address of the inbound cluster."""
    seen = simulated.view(sidecar(INGRESS.replace("127.0.0.1:8080", endpoint)))
    cluster = dump.to_dict(generate.generate(seen).clusters["inbound|9080||"])
    (endpoints,) = cluster["loadAssignment"]["endpoints"]
    assert [item["endpoint"]["address"] for item in endpoints["lbEndpoints"]] == [address]


def test_a_bound_ingress_listener() -> None:
    """With captureMode NONE clients connect to the proxy's own listener."""
    spec = "{ingress: [{port: {number: 9080, protocol: HTTP, name: in}, bind: 0.0.0.0, captureMode: NONE, defaultEndpoint: '127.0.0.1:8080'}]}"
    found = simulate.run(simulated.config(sidecar(spec)), Call(port=9080, direction=Direction.INBOUND, host="web"))
    assert (found.listener, found.cluster) == ("0.0.0.0_9080", "inbound|9080||")


TLS = """
ingress:
- port: {number: 9443, protocol: HTTPS, name: in}
  defaultEndpoint: 127.0.0.1:8080
  tls: {mode: SIMPLE, serverCertificate: /etc/cert.pem, privateKey: /etc/key.pem}
"""


def test_tls_of_its_own() -> None:
    """TLS that the Sidecar describes is taken off where mutual TLS is switched off, and nothing else is accepted there."""
    off = istio("PeerAuthentication", "off", "{mtls: {mode: DISABLE}}", group="security")
    config = simulated.config(sidecar(TLS) + off)
    call = Call(port=9443, direction=Direction.INBOUND, host="web", security=Security.TLS)
    found = simulate.run(config, call)
    assert (found.virtual_host, found.cluster) == ("inbound|http|9443", "inbound|9443||")
    assert simulate.run(config, replace(call, security=Security.PLAINTEXT)).failure is Failure.NO_FILTER_CHAIN
    assert simulate.run(config, replace(call, security=Security.MTLS)).failure is Failure.MTLS_ERROR


def test_mutual_tls_goes_before_tls_of_its_own() -> None:
    """Under STRICT only the mesh's certificates count."""
    strict = istio("PeerAuthentication", "on", "{mtls: {mode: STRICT}}", group="security")
    config = simulated.config(sidecar(TLS) + strict)
    call = Call(port=9443, direction=Direction.INBOUND, host="web", security=Security.TLS)
    assert simulate.run(config, call).failure is Failure.MTLS_ERROR
    assert simulate.run(config, replace(call, security=Security.MTLS)).cluster == "inbound|9443||"


def test_inbound_limits() -> None:
    """A listener's connectionPool goes before the Sidecar's inboundConnectionPool."""
    spec = """
    inboundConnectionPool: {tcp: {maxConnections: 7}}
    ingress:
    - {port: {number: 9080, protocol: HTTP, name: a}}
    - {port: {number: 9081, protocol: HTTP, name: b}, connectionPool: {tcp: {maxConnections: 3}}}
    """
    clusters = generate.generate(simulated.view(sidecar(spec))).clusters
    limits = [dump.to_dict(clusters[f"inbound|{port}||"])["circuitBreakers"]["thresholds"][0]["maxConnections"] for port in (9080, 9081)]
    assert limits == [7, 3]


def test_both_address_families() -> None:
    """A proxy with IPv4 and IPv6 listens on all addresses of both."""
    proxy = simulated.sidecar(ip="1.1.1.1,2001:db8::1")
    config = simulated.config(SERVICES, proxy)
    assert simulate.run(config, Call(port=80, address="2001:db8::9", host="web")).listener == "0.0.0.0_80"
    assert simulate.run(config, Call(port=81, address="2001:db8::9", protocol=Protocol.TCP)).listener == "virtualOutbound"
