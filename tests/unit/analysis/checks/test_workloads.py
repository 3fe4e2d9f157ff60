from __future__ import annotations

from tests.builders.findings import found, kubernetes, namespace
from tests.builders.meshobjects import service

ANALYZER = "deployment.ServiceAssociationAnalyzer"


def _deployment(**meta: object) -> dict[str, object]:
    template = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app"}]}}
    return kubernetes("Deployment", "web", {"template": template}, version="apps/v1", **meta)


def _service(name: str, *ports: dict[str, object]) -> dict[str, object]:
    return service(name, *ports, spec={"selector": {"app": "web"}})


def test_services_that_disagree() -> None:
    """One port with two transports, and one target port behind two ports, of Deployments in the mesh."""
    udp = _service("b", {"name": "dns", "port": 80, "protocol": "UDP", "targetPort": 53})
    assert found(ANALYZER, namespace(istio_injection="enabled"), _deployment(), _service("a"), udp) == ["IST0116 Deployment default/web"]
    other = _service("b", {"name": "http", "port": 81, "targetPort": 80})
    assert found(ANALYZER, namespace(istio_injection="enabled"), _deployment(), _service("a"), other) == ["IST0137 Deployment default/web"]
    assert found(ANALYZER, namespace(), _deployment(), _service("a"), other) == []


def test_user_of_the_proxy() -> None:
    """An application must not run as the user whose traffic passes the proxy by; the proxy may."""

    def made(name: str, container: str) -> dict[str, object]:
        return kubernetes("Pod", name, {"containers": [{"name": container, "securityContext": {"runAsUser": 1337}}]})

    assert found("deployment.ApplicationUIDAnalyzer", made("a", "app"), made("b", "istio-proxy")) == ["IST0144 Pod default/a"]
