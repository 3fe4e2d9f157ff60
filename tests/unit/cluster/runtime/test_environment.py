"""A container's variables."""

from __future__ import annotations

import os
from typing import Any

import pytest

from varka.cluster.runtime import environment

POD: dict[str, Any] = {
    "metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1", "labels": {"app": "web", "v": "1"}, "annotations": {"note": 'say "hi"'}},
    "spec": {"nodeName": "varka", "serviceAccountName": "seller", "containers": [{"name": "c", "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}}]},
    "status": {"hostIP": "10.244.0.1", "podIP": "10.244.0.9", "podIPs": [{"ip": "10.244.0.9"}]},
}
CONFIG = {"data": {"color": "blue", "size": "9"}}
SECRET = {"data": {"password": "aHVudGVyMg=="}}


def find(kind: str, name: str) -> dict[str, Any] | None:
    """The objects of the namespace."""
    return {("configmap", "config"): CONFIG, ("secret", "secret"): SECRET}.get((kind, name))


def build(container: dict[str, Any], base: dict[str, str] | None = None, services: dict[str, str] | None = None) -> dict[str, str]:
    """The variables of a container of POD."""
    return environment.build(POD, {"name": "c", **container}, base or {}, find, services or {})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(A)/$(B)", "1/2"), ("$(C)", "$(C)"), ("$$(A)", "$(A)"), ("$A", "$A"), ("$(A", "$(A"), ("100$$", "100$")],
)
def test_expand(text: str, expected: str) -> None:
    """Known names are replaced, unknown ones stay, a doubled dollar escapes."""
    assert environment.expand(text, {"A": "1", "B": "2"}) == expected


def test_later_sources_win() -> None:
    """Image, services, envFrom, env: in this order, each over the one before."""
    container = {"envFrom": [{"configMapRef": {"name": "config"}}], "env": [{"name": "size", "value": "10"}]}
    built = build(container, base={"A": "image", "color": "none"}, services={"A": "service"})
    assert built == {"A": "service", "color": "blue", "size": "10"}


def test_variables_refer_to_earlier_ones_and_to_services() -> None:
    """`$(NAME)` sees what stands before it."""
    container = {"env": [{"name": "URL", "value": "http://$(HOST):$(PORT)"}, {"name": "PORT", "value": "1"}]}
    assert build(container, services={"HOST": "h"})["URL"] == "http://h:$(PORT)"


def test_references_to_config_maps_and_secrets() -> None:
    """Keys are read, secrets decoded, prefixes added."""
    container = {
        "envFrom": [{"prefix": "S_", "secretRef": {"name": "secret"}}],
        "env": [{"name": "C", "valueFrom": {"configMapKeyRef": {"name": "config", "key": "color"}}}],
    }
    assert build(container) == {"S_password": "hunter2", "C": "blue"}


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"configMapKeyRef": {"name": "other", "key": "k"}}, 'configmap "other" not found'),
        ({"secretKeyRef": {"name": "other", "key": "k"}}, 'secret "other" not found'),
        ({"configMapKeyRef": {"name": "config", "key": "k"}}, "couldn't find key k in ConfigMap shop/config"),
    ],
)
def test_what_is_missing_is_named_as_kubelet_does(reference: dict[str, Any], message: str) -> None:
    """The message goes into the container's status."""
    with pytest.raises(environment.MissingError, match=message):
        build({"env": [{"name": "A", "valueFrom": reference}]})


def test_optional_references_may_be_missing() -> None:
    """Then the variable is not set at all."""
    container = {
        "envFrom": [{"configMapRef": {"name": "other", "optional": True}}],
        "env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "none", "optional": True}}}],
    }
    assert build(container) == {}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "web-1"),
        ("metadata.namespace", "shop"),
        ("metadata.uid", "u-1"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.labels", 'app="web"\nv="1"'),
        ("metadata.annotations", 'note="say \\"hi\\""'),
        ("spec.nodeName", "varka"),
        ("spec.serviceAccountName", "seller"),
        ("status.hostIP", "10.244.0.1"),
        ("status.podIP", "10.244.0.9"),
        ("status.podIPs", "10.244.0.9"),
    ],
)
def test_fields_of_the_pod(path: str, expected: str) -> None:
    """The downward API."""
    assert environment.field(POD, path) == expected


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ({"resource": "limits.cpu"}, "2"),
        ({"resource": "limits.cpu", "divisor": "1m"}, "1500"),
        ({"resource": "limits.memory", "divisor": "1Mi"}, "64"),
        ({"resource": "limits.memory"}, str(64 << 20)),
        ({"resource": "requests.cpu"}, "0"),
    ],
)
def test_resources_are_rounded_up(reference: dict[str, str], expected: str) -> None:
    """Divided by the divisor, never rounded down."""
    assert environment.resource(POD, POD["spec"]["containers"][0], reference) == expected


def test_without_a_limit_the_machine_is_the_limit() -> None:
    """As on a node."""
    assert environment.resource(POD, {"name": "d"}, {"resource": "limits.cpu"}) == str(os.cpu_count())


def service(name: str, namespace: str, address: str, *ports: dict[str, Any]) -> dict[str, Any]:
    """A Service."""
    return {"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": address, "ports": list(ports)}}


def test_services_of_the_own_namespace_and_the_api_server() -> None:
    """Names in capitals, first port without name, headless services left out."""
    services = [
        service("kubernetes", "default", "10.96.0.1", {"name": "https", "port": 443, "protocol": "TCP"}),
        service("my-db", "shop", "10.96.0.7", {"name": "sql", "port": 5432, "protocol": "TCP"}),
        service("quiet", "shop", "None", {"port": 1}),
        service("other", "elsewhere", "10.96.0.8", {"port": 1}),
    ]
    assert environment.of_services(services, "shop", links=True) == {
        "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "KUBERNETES_SERVICE_PORT": "443",
        "KUBERNETES_SERVICE_PORT_HTTPS": "443",
        "KUBERNETES_PORT": "tcp://10.96.0.1:443",
        "KUBERNETES_PORT_443_TCP": "tcp://10.96.0.1:443",
        "KUBERNETES_PORT_443_TCP_PROTO": "tcp",
        "KUBERNETES_PORT_443_TCP_PORT": "443",
        "KUBERNETES_PORT_443_TCP_ADDR": "10.96.0.1",
        "MY_DB_SERVICE_HOST": "10.96.0.7",
        "MY_DB_SERVICE_PORT": "5432",
        "MY_DB_SERVICE_PORT_SQL": "5432",
        "MY_DB_PORT": "tcp://10.96.0.7:5432",
        "MY_DB_PORT_5432_TCP": "tcp://10.96.0.7:5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_ADDR": "10.96.0.7",
    }


def test_without_service_links_only_the_api_server_is_told() -> None:
    """enableServiceLinks: false."""
    services = [service("kubernetes", "default", "10.96.0.1", {"port": 443}), service("db", "shop", "10.96.0.7", {"port": 5432})]
    assert {name.partition("_")[0] for name in environment.of_services(services, "shop", links=False)} == {"KUBERNETES"}
