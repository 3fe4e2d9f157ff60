from __future__ import annotations

import pytest
from tests.builders.meshobjects import Object, istio

from varka.resources import Severity, parse, validation

HTTPS = {"number": 443, "name": "https", "protocol": "HTTPS"}
STORED = {"mode": "SIMPLE", "credentialName": "c"}


def verdict(kind: str, spec: Object, name: str = "x", **meta: object) -> tuple[list[str], list[str]]:
    """The paths of what is refused and of what is warned of."""
    found = validation.validate(parse(istio(kind, name, spec, **meta)))
    return [item.path for item in found if item.severity is Severity.ERROR], [item.path for item in found if item.severity is Severity.WARNING]


def server(**fields: object) -> tuple[list[str], list[str]]:
    """The verdict on a server of a Gateway, with paths below it."""
    plain = {"hosts": ["*.example.org"], "port": {"number": 80, "name": "http", "protocol": "HTTP"}}
    errors, warnings = verdict("Gateway", {"servers": [{**plain, **fields}]})
    return [path.removeprefix("spec.servers[0].") for path in errors], [path.removeprefix("spec.servers[0].") for path in warnings]


@pytest.mark.parametrize(
    ("host", "wrong"),
    [("*", False), ("edge/*", False), ("./a.b", False), ("10.1.2.3", False), ("shop", True), ("edge/shop", True), ("edge/", True), ("~/a.b", True)],
)
def test_hosts_of_gateways(host: str, wrong: bool) -> None:
    """A gateway serves whole names, for all or for one namespace."""
    assert server(hosts=[host]) == (["hosts[0]"] * wrong, [])


def test_names_of_gateways_are_labels() -> None:
    """Virtual services could not name others."""
    spec = {"servers": [{"hosts": ["*"], "port": {"number": 80, "name": "http", "protocol": "HTTP"}}]}
    assert verdict("Gateway", spec, name="a.b") == (["metadata.name"], [])


def test_ports_and_sockets_of_gateways() -> None:
    """A socket has no port number, and a port of a gateway no target."""
    socket = {"number": 0, "name": "http", "protocol": "HTTP"}
    assert server(bind="unix:///run/a", port=socket) == ([], [])
    assert server(bind="unix:///run/a") == (["port.number"], [])
    assert server(port={**HTTPS, "targetPort": 8443}, tls=STORED) == (["port.targetPort"], [])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"tls": {"httpsRedirect": True}}, ([], [])),
        ({"tls": STORED}, (["tls"], [])),
        ({"tls": {"privateKey": "k"}}, (["tls"], ["tls"])),
        ({"port": {**HTTPS, "protocol": "TCP"}, "tls": STORED}, (["tls"], [])),
        ({"port": HTTPS, "tls": {**STORED, "httpsRedirect": True}}, ([], ["tls.httpsRedirect"])),
        ({"port": HTTPS, "tls": {**STORED, "minProtocolVersion": "TLSV1_0"}}, ([], ["tls.minProtocolVersion"])),
        ({"port": HTTPS, "tls": {**STORED, "cipherSuites": ["AES128-SHA"] * 2}}, ([], ["tls.cipherSuites"])),
        ({"port": HTTPS, "tls": {"mode": "PASSTHROUGH", "credentialName": "c"}}, ([], ["tls"])),
        ({"port": HTTPS, "tls": {**STORED, "caCrl": "/crl"}}, (["tls.caCrl"], [])),
    ],
)
def test_tls_of_gateways(fields: Object, expected: tuple[list[str], list[str]]) -> None:
    """Certificates are for ports that terminate TLS."""
    assert server(**fields) == expected


@pytest.mark.parametrize(("endpoint", "wrong"), [(":80", False), ("[::1]:80", False), ("::1:80", True), ("10.0.0.1:80", True), ("127.0.0.1:http", True)])
def test_where_a_sidecar_sends_requests(endpoint: str, wrong: bool) -> None:
    """To a port of the workload itself."""
    listener = {"port": {"number": 80, "protocol": "HTTP", "name": "http"}, "defaultEndpoint": endpoint}
    assert verdict("Sidecar", {"ingress": [listener]}) == (["spec.ingress[0].defaultEndpoint"] * wrong, [])


@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (["ns/shop"], ("spec.egress[0].hosts[0]", "")),
        (["ns/*shop.example"], ("spec.egress[0].hosts[0]", "")),
        (["ns/a.b", "ms/a.b"], ("", "")),
        (["./a.b", "default/a.b"], ("", "spec.egress[0].hosts")),
        (["ns/a.b", "ns/*"], ("", "spec.egress[0].hosts")),
        (["*/*", "ns/a.b"], ("", "spec.egress[0].hosts")),
    ],
)
def test_hosts_of_sidecars(hosts: list[str], expected: tuple[str, str]) -> None:
    """Whole names, each once."""
    errors, warnings = verdict("Sidecar", {"egress": [{"hosts": hosts}]})
    assert (errors, warnings) == ([expected[0]] if expected[0] else [], [expected[1]] if expected[1] else [])


def test_listeners_of_sidecars_are_unique() -> None:
    """Two listeners cannot have the same port, a socket has none, and a port needs no target."""
    port = {"number": 80, "protocol": "HTTP"}
    both = [{"port": port, "bind": bind, "hosts": ["*/*"]} for bind in ("10.0.0.1", "10.0.0.2")]
    assert verdict("Sidecar", {"egress": both}) == (["spec.egress[1]"], [])
    assert verdict("Sidecar", {"egress": [{**both[0], "bind": "unix:///a"}]}) == (["spec.egress[0].bind"], [])
    assert verdict("Sidecar", {"egress": [{"port": {**port, "targetPort": 8080}, "hosts": ["*/*"]}]}) == (["spec.egress[0].port.targetPort"], [])


def test_addresses_of_tcp_ports() -> None:
    """A TCP port without an address is warned of, unless an address is allocated."""
    spec = {"hosts": ["db.example"], "ports": [{"number": 5432, "name": "tcp", "protocol": "TCP"}], "resolution": "DNS"}
    assert verdict("ServiceEntry", spec) == ([], [])
    assert verdict("ServiceEntry", {**spec, "resolution": "NONE"}) == ([], ["spec.ports[0]"])
    assert verdict("ServiceEntry", spec, labels={"networking.istio.io/enable-autoallocate-ip": "false"}) == ([], ["spec.ports[0]"])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"hosts": ["10.1.2.3"]}, (["spec.hosts[0]"], [])),
        ({"addresses": ["10.0.0.0/255.0.0.0"], "resolution": "NONE"}, (["spec.addresses[0]"], [])),
        ({"endpoints": [{"network": "n"}]}, (["spec.endpoints[0].address"], [])),
        ({"hosts": ["*a_.example"], "resolution": "NONE"}, (["spec.hosts[0]"], [])),
        ({"exportTo": ["~"]}, ([], [])),
    ],
)
def test_service_entries(fields: Object, expected: tuple[list[str], list[str]]) -> None:
    """Hosts are names, addresses are addresses, and endpoints of DNS have a name."""
    spec = {"hosts": ["a.example"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "resolution": "DNS"}
    assert verdict("ServiceEntry", {**spec, **fields}) == expected
