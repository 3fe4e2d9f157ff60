from __future__ import annotations

import json

import pytest
from tests.builders.findings import found, kubernetes, namespace
from tests.builders.meshobjects import istio

MISMATCH, AUTO = "injection.ImageAnalyzer", "injection.ImageAutoAnalyzer"


def _injector(tag: str = "1.2", name: str = "istio-sidecar-injector", **more: object) -> dict[str, object]:
    values = {"global": {"hub": "hub", "tag": tag, "proxy": {"image": "proxyv2"}}, **more}
    return {**kubernetes("ConfigMap", name, namespace="istio-system"), "data": {"values": json.dumps(values)}}


def _pod(image: str, kind: str = "containers", **meta: object) -> dict[str, object]:
    return kubernetes("Pod", "p", {kind: [{"name": "istio-proxy", "image": image}]}, **meta)


@pytest.mark.parametrize(
    ("image", "kind", "mesh", "fits"),
    [
        ("hub/proxyv2:1.2", "containers", {}, True),
        ("hub/proxyv2:1.1", "containers", {}, False),
        ("hub/proxyv2:1.1", "initContainers", {}, False),
        ("hub/proxyv2:1.2-distroless", "containers", {}, False),
        ("hub/proxyv2:1.2-distroless", "containers", {"defaultConfig": {"image": {"imageType": "distroless"}}}, True),
    ],
)
def test_image_of_the_proxy(image: str, kind: str, mesh: dict[str, object], fits: bool) -> None:
    """It is the injector's, with or without the type that the mesh asks for."""
    said = found(MISMATCH, namespace(istio_injection="enabled"), _injector(), _pod(image, kind), mesh_config=mesh)
    assert said == ([] if fits else ["IST0158 Namespace default"])


def test_values_that_leave_the_image_out() -> None:
    """The injector has defaults for what an installation does not set."""
    bare = {**kubernetes("ConfigMap", "istio-sidecar-injector", namespace="istio-system"), "data": {"values": '{"global": {"tag": "1.2"}}'}}
    assert found(MISMATCH, namespace(istio_injection="enabled"), bare, _pod("docker.io/istio/proxyv2:1.2")) == []


def test_most_specific_type() -> None:
    """A ProxyConfig of the namespace goes before that of the root, and the pod's own annotation before all."""
    configs = [istio("ProxyConfig", "c", {"image": {"imageType": kind}}, where) for where, kind in (("istio-system", "debug"), ("default", "distroless"))]
    around = (namespace(istio_injection="enabled"), _injector(), *configs)
    assert found(MISMATCH, *around, _pod("hub/proxyv2:1.2-distroless")) == []
    assert found(MISMATCH, *around, _pod("hub/proxyv2:1.2-debug")) == ["IST0158 Namespace default"]
    own = {"annotations": {"proxy.istio.io/config": "image: {imageType: debug}"}}
    assert found(MISMATCH, *around, _pod("hub/proxyv2:1.2-debug", **own)) == []


def test_revisions_have_injectors_of_their_own() -> None:
    """A namespace of a revision is compared with that revision's injector, one without injection with none."""
    canary = (namespace(**{"istio.io/rev": "canary"}), _injector("1.3", "istio-sidecar-injector-canary"), _injector())
    assert found(MISMATCH, *canary, _pod("hub/proxyv2:1.3")) == []
    assert found(MISMATCH, *canary, _pod("hub/proxyv2:1.2")) == ["IST0158 Namespace default"]
    assert found(MISMATCH, namespace(), _injector(), _pod("x")) == []
    assert found(MISMATCH, *canary, _pod("x", annotations={"sidecar.istio.io/proxyImage": "x"})) == []


def test_auto_is_replaced_by_an_injector_only() -> None:
    """A pod with it was not injected; a Deployment's pods have to meet a webhook's selectors."""
    template = {"metadata": {"labels": {"app": "gw"}}, "spec": {"containers": [{"name": "istio-proxy", "image": "auto"}]}}
    deployment = kubernetes("Deployment", "d", {"template": template}, version="apps/v1")
    selector = {"matchExpressions": [{"key": "istio-injection", "operator": "In", "values": ["enabled"]}]}
    hook = {
        **kubernetes("MutatingWebhookConfiguration", "m", namespace="", version="admissionregistration.k8s.io/v1"),
        "webhooks": [{"name": "a.istio.io", "namespaceSelector": selector}],
    }
    assert found(AUTO, _pod("auto")) == ["IST0147 Pod default/p"]
    assert found(AUTO, namespace(), hook, deployment) == ["IST0146 Deployment default/d"]
    assert found(AUTO, namespace(istio_injection="enabled"), hook, deployment) == []


def test_an_installation_that_names_no_image() -> None:
    """It gets the image that injection falls back to."""
    plain = {**_injector(), "data": {"values": json.dumps({"global": {"hub": "hub", "tag": "1.2"}})}}
    assert found(MISMATCH, namespace(istio_injection="enabled"), plain, _pod("hub/proxyv2:1.2")) == []
    assert found(MISMATCH, namespace(istio_injection="enabled"), plain, _pod("hub/other:1.2")) == ["IST0158 Namespace default"]
