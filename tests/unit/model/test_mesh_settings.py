from __future__ import annotations

import pytest

from varka.model import mesh_settings
from varka.model.security import Authorizer
from varka.model.traffic import LocalityLb, Retries
from varka.model.view import KeepAlive, MeshSettings


def test_settings() -> None:
    """Known keys become settings, with times in seconds."""
    text = """
    trustDomain: example.org
    trustDomainAliases: [old.org]
    outboundTrafficPolicy: {mode: REGISTRY_ONLY}
    connectTimeout: 5s
    accessLogEncoding: JSON
    defaultServiceExportTo: ["."]
    """
    found, conditions = mesh_settings.parse({"data": {"mesh": text}})
    assert conditions == ()
    assert found == MeshSettings(
        trust_domain="example.org",
        trust_domain_aliases=("old.org",),
        outbound_registry_only=True,
        connect_timeout=5.0,
        access_log_json=True,
        default_export_to_service=frozenset({"."}),
    )


def test_unknown_and_unused_keys() -> None:
    """An unknown key is warned of, one that nothing acts on is told, and both do no harm."""
    found, conditions = mesh_settings.parse(
        {
            "data": {
                "mesh": "trustDomian: x\nproxyHttpPort: 15002\nstatNameLength: 3\ndefaultConfig: {statNameLength: 200, drainDuraton: 5s, configPath: ./etc/istio/proxy}\n"
            }
        }
    )
    assert found == MeshSettings()
    assert [(item.severity.value, item.text) for item in conditions] == [
        ("Warning", "mesh.trustDomian: unknown setting; it is left out"),
        ("Info", "mesh.proxyHttpPort: accepted, but has no effect: traffic is redirected; no proxy port is opened"),
        ("Warning", "mesh.statNameLength: unknown setting; it is left out"),
        ("Info", "mesh.defaultConfig.statNameLength: accepted, but has no effect: Envoy has no limit for the length of names any more"),
        ("Warning", "mesh.defaultConfig.drainDuraton: unknown setting; it is left out"),
    ]


def test_malformed_values() -> None:
    """A value of a wrong type counts as absent."""
    found, conditions = mesh_settings.parse({"data": {"mesh": "enableAutoMtls: 3\nconnectTimeout: soon\nproxyListenPort: yes\n"}})
    assert found == MeshSettings()
    assert [item.path for item in conditions] == ["mesh.enableAutoMtls", "mesh.connectTimeout", "mesh.proxyListenPort"]


def test_no_yaml() -> None:
    """Text that is no YAML leaves the defaults and one error."""
    found, conditions = mesh_settings.parse({"data": {"mesh": "a: [\n"}})
    assert found == MeshSettings()
    assert [item.reason for item in conditions] == ["NoYaml"]


def test_nothing_given() -> None:
    """Without a ConfigMap, or with an empty one, the defaults hold."""
    assert mesh_settings.parse(None) == (MeshSettings(), ())
    assert mesh_settings.parse({"data": {}}) == (MeshSettings(), ())


def test_authorizers() -> None:
    """External authorizers keep their settings, other providers are passed over, and one with a mistake is told and cannot be asked."""
    text = """
    extensionProviders:
    - {name: tracing, opentelemetry: {service: otel.example.com, port: 4317}}
    - name: http
      envoyExtAuthzHttp: {service: foo/ext.foo.svc.cluster.local, port: 8000, timeout: 2s, includeHeadersInCheck: [x-a], statusOnError: "503"}
    - {name: grpc, envoyExtAuthzGrpc: {service: ext, port: 0}}
    """
    found, conditions = mesh_settings.parse({"data": {"mesh": text}})
    assert found.authorizers == (
        Authorizer(name="http", namespace="foo", host="ext.foo.svc.cluster.local", port=8000, timeout=2.0, headers_in_check=("x-a",), status_on_error=503),
        Authorizer(name="grpc", problem="port must be a number from 1 to 65535"),
    )
    assert [item.path for item in conditions] == ["mesh.extensionProviders[2].envoyExtAuthzGrpc.port"]


def test_upstream_defaults() -> None:
    """Keepalive, retries and localities are read as resources write them, unknown fields noticed."""
    text = """
    tcpKeepalive: {probes: 3, time: 75s, interval: 10s}
    defaultHttpRetryPolicy: {attempts: 4, perTryTimeout: 2s, retryOn: 5xx, attemps: 3}
    localityLbSetting: {distribute: [{from: r1/*, to: {r1/*: 80, r2/*: 20}}]}
    inboundTrafficPolicy: {mode: LOCALHOST}
    outboundClusterStatName: "%SERVICE%_%SERVICE_PORT%"
    meshMTLS: {minProtocolVersion: TLSV1_3}
    """
    found, conditions = mesh_settings.parse({"data": {"mesh": text}})
    assert [item.path for item in conditions] == ["mesh.defaultHttpRetryPolicy.attemps"]
    assert found == MeshSettings(
        tcp_keepalive=KeepAlive(probes=3, time=75.0, interval=10.0),
        default_retry=Retries(attempts=4, per_try_timeout=2.0, retry_on="5xx"),
        locality=LocalityLb(distribute={"r1/*": {"r1/*": 80, "r2/*": 20}}),
        inbound_localhost=True,
        outbound_stat_name="%SERVICE%_%SERVICE_PORT%",
        min_tls_version="TLSV1_3",
    )


def test_defaults_of_an_installation_are_no_news() -> None:
    """What every installation writes gives no findings, and the defaults."""
    text = """
    defaultConfig: {configPath: ./etc/istio/proxy, binaryPath: /usr/local/bin/envoy, serviceCluster: istio-proxy, statNameLength: 189, drainDuration: 45s}
    ingressClass: istio
    ingressControllerMode: STRICT
    ingressService: istio-ingressgateway
    verifyCertificateAtClient: false
    """
    assert mesh_settings.parse({"data": {"mesh": text}}) == (MeshSettings(), ())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("statusOnError", "299"),
        ("statusOnError", "none"),
        ("timeout", "0s"),
        ("timeout", "soon"),
        ("pathPrefix", "check"),
        ("pathPrefix", "/a\nb"),
        ("includeRequestBodyInCheck", {"maxRequestBytes": 2**32}),
        ("includeAdditionalHeadersInCheck", {"x": "a\r\nb"}),
        ("headersToUpstreamOnAllow", "x"),
        ("service", ""),
    ],
)
def test_authorizers_that_envoy_would_refuse(field: str, value: object) -> None:
    """A value that Envoy could not read makes the authorizer unusable, and nothing else."""
    fields = {"service": "a.b", "port": 80, field: value}
    found, conditions = mesh_settings.of({"extensionProviders": [{"name": "p", "envoyExtAuthzHttp": fields}]})
    assert [one.problem.partition(" ")[0] for one in found.authorizers] == [field]
    assert [item.path for item in conditions] == [f"mesh.extensionProviders[0].envoyExtAuthzHttp.{field}"]
