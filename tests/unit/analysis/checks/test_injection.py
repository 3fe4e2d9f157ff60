from __future__ import annotations

import json

import pytest
from tests.builders.findings import found, kubernetes, namespace
from tests.builders.meshobjects import pod

ANALYZER = "injection.Analyzer"


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({}, ["IST0102 Namespace default"]),
        ({"istio_injection": "disabled"}, []),
        ({"istio_injection": "enabled"}, ["IST0103 Pod default/web-1"]),
        ({"istio.io/rev": "canary"}, ["IST0103 Pod default/web-1"]),
        ({"istio.io/rev": "canary", "istio_injection": "enabled"}, ["IST0123 Namespace default"]),
        ({"istio.io/dataplane_mode": "ambient"}, []),
    ],
)
def test_namespaces(labels: dict[str, str], said: list[str]) -> None:
    """A namespace asks for proxies by one of two labels, or is told how to."""
    assert found(ANALYZER, namespace(**labels), pod("web", "10.0.0.1")) == said


def test_injection_by_default() -> None:
    """Where the installation injects everywhere, a namespace without labels has injection."""
    values = json.dumps({"sidecarInjectorWebhook": {"enableNamespacesByDefault": True}})
    config = {**kubernetes("ConfigMap", "istio-sidecar-injector", namespace="istio-system"), "data": {"values": values}}
    assert found(ANALYZER, namespace(), config) == ["IST0148 Namespace default"]


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": {"sidecar.istio.io/inject": "false"}},
        {"hostNetwork": True},
        {"initContainers": [{"name": "istio-proxy"}]},
    ],
)
def test_pods_that_need_no_proxy(changes: dict[str, object]) -> None:
    """Those that refuse it, use the node's network, or have it as a native sidecar."""
    assert found(ANALYZER, namespace(istio_injection="enabled"), pod("web", "10.0.0.1", **changes)) == []
