from __future__ import annotations

import pytest
from tests.builders.findings import found, namespace, texts
from tests.builders.meshobjects import istio, pod

AUTHORIZATION, AUTHENTICATION = "authz.AuthorizationPoliciesAnalyzer", "authn.SelectorAnalyzer"
NAMESPACE = namespace(istio_injection="enabled")


def _policy(namespace: str = "default", app: str = "", **spec: object) -> dict[str, object]:
    return istio("AuthorizationPolicy", "p", {**({"selector": {"matchLabels": {"app": app}}} if app else {}), **spec}, namespace)


def test_workloads() -> None:
    """A policy needs a pod with a proxy: of its namespace, or of any for one in the root namespace."""
    web = pod("web", "10.0.0.1")
    plain = pod("bare", "10.0.0.2", labels={"sidecar.istio.io/inject": "false"})
    assert found(AUTHORIZATION, NAMESPACE, web, plain, _policy(app="web")) == []
    assert found(AUTHORIZATION, NAMESPACE, web, plain, _policy(app="bare")) == ["IST0127 AuthorizationPolicy default/p"]
    assert found(AUTHORIZATION, NAMESPACE, web, _policy("other")) == ["IST0127 AuthorizationPolicy other/p"]
    assert found(AUTHORIZATION, NAMESPACE, web, _policy("istio-system", "web")) == []
    assert found(AUTHORIZATION, NAMESPACE, web, _policy("istio-system", "x")) == ["IST0127 AuthorizationPolicy istio-system/p"]


def test_pods_of_a_mesh_without_sidecars_count() -> None:
    """Their traffic goes through a proxy too, the node's, as an annotation tells."""
    ambient = pod("web", "10.0.0.1", namespace="other")
    assert found(AUTHORIZATION, ambient, _policy("other", "web")) == ["IST0127 AuthorizationPolicy other/p"]
    ambient["metadata"]["annotations"] = {"ambient.istio.io/redirection": "enabled"}
    assert found(AUTHORIZATION, ambient, _policy("other", "web")) == []


def test_deployments_count_as_pods() -> None:
    """Files hold Deployments; their pods come later."""
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app"}]}}
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "default"}, "spec": {"template": template}}
    assert found(AUTHORIZATION, NAMESPACE, deployment, _policy(app="web")) == []


@pytest.mark.parametrize(("name", "known"), [("default", True), ("def*", True), ("*ault", True), ("*", True), ("other", False), ("oth*", False)])
def test_namespaces_of_sources(name: str, known: bool) -> None:
    """Sources by namespace want namespaces that are there; prefixes and suffixes count."""
    said = texts(AUTHORIZATION, NAMESPACE, pod("web", "10.0.0.1"), _policy(rules=[{"from": [{"source": {"namespaces": [name]}}]}]))
    assert said == ([] if known else [f'Referenced namespace not found: "{name}"'])


def test_authentication() -> None:
    """A selector of an authentication policy that picks nobody."""
    peer = istio("PeerAuthentication", "p", {"selector": {"matchLabels": {"app": "x"}}, "mtls": {"mode": "STRICT"}})
    assert found(AUTHENTICATION, pod("web", "10.0.0.1"), peer) == ["IST0127 PeerAuthentication default/p"]
    assert found(AUTHENTICATION, pod("x", "10.0.0.1"), peer) == []
