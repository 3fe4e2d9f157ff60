from __future__ import annotations

import json
from typing import Any

import pytest

from varka.control.injection import pods
from varka.control.injection.options import Options

APPLICATION = {"name": "app", "image": "app:1"}


def injected(annotations: dict[str, str] | None = None, *further: dict[str, Any], init: list[dict[str, Any]] | None = None, **proxy: Any) -> dict[str, Any]:
    """A pod of one application, with its proxy; `proxy` are installation values of `global.proxy`."""
    options = Options(values={"global": {"hub": "hub", "tag": "1.28-debug", "proxy": proxy}, "sidecarInjectorWebhook": {"injectedAnnotations": {"team": "a"}}})
    spec = {"containers": [APPLICATION, *further], **({"initContainers": init} if init else {})}
    found = pods.inject({"metadata": {"name": "p", "annotations": annotations or {}}, "spec": spec}, "default", None, options)
    assert found is not None
    return found


def container(pod: dict[str, Any], name: str = "istio-proxy") -> dict[str, Any]:
    """A container of the pod, of either kind."""
    return next(one for one in [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])] if one["name"] == name)


@pytest.mark.parametrize(
    ("annotations", "image"),
    [
        ({}, "hub/proxyv2:1.28-debug"),
        ({"sidecar.istio.io/proxyImageType": "distroless"}, "hub/proxyv2:1.28-distroless"),
        ({"sidecar.istio.io/proxyImageType": "default"}, "hub/proxyv2:1.28"),
        ({"sidecar.istio.io/proxyImage": "other/proxy:2"}, "other/proxy:2"),
        ({"sidecar.istio.io/proxyImage": "proxy"}, "hub/proxyv2:1.28-debug"),
    ],
)
def test_images(annotations: dict[str, str], image: str) -> None:
    """A flavour replaces the tag's own; an annotation is followed when it names a registry."""
    pod = injected(annotations)
    assert [container(pod, name)["image"] for name in ("istio-proxy", "istio-init")] == [image, image]


def test_low_ports_need_root() -> None:
    """A process has the use of NET_BIND_SERVICE only as root."""
    by_annotation = injected({"sidecar.istio.io/capNetBindService": "true"})
    for pod in (by_annotation, injected(capNetBindService="true")):
        security = container(pod)["securityContext"]
        assert security["capabilities"] == {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]}
        assert (security["runAsUser"], security["runAsGroup"], security["runAsNonRoot"]) == (0, 1337, False)


def test_settings_of_the_installation() -> None:
    """Privileges, life-cycle hooks and annotations of the installation reach every pod."""
    hook = {"preStop": {"exec": {"command": ["sleep", "5"]}}}
    pod = injected(privileged=True, lifecycle=hook)
    assert container(pod)["lifecycle"] == hook
    assert [container(pod, name)["securityContext"]["privileged"] for name in ("istio-proxy", "istio-init")] == [True, True]
    assert pod["metadata"]["annotations"]["team"] == "a"


def test_what_the_user_wrote_of_the_proxy_is_kept() -> None:
    """Fields of the user's own containers win, and are remembered for another injection."""
    own = {"name": "istio-proxy", "image": "mine/proxy:1", "terminationMessagePath": "/a"}
    pod = injected(None, own, init=[{"name": "istio-init", "image": "auto", "resources": {"limits": {"cpu": "1"}}}])
    assert (container(pod)["image"], container(pod)["terminationMessagePath"]) == ("mine/proxy:1", "/a")
    assert container(pod, "istio-init")["image"] == "hub/proxyv2:1.28-debug"
    assert container(pod, "istio-init")["resources"]["limits"]["cpu"] == "1"
    assert json.loads(pod["metadata"]["annotations"]["proxy.istio.io/overrides"]) == {
        "containers": [{**own, "resources": {}}],
        "initContainers": [{"name": "istio-init", "resources": {"limits": {"cpu": "1"}}}],
    }


def test_annotations_for_scrapers_in_every_spelling() -> None:
    """All spellings are read, and one is left."""
    pod = injected({"prometheus.io.port": "9000", "prometheus.io/path": "/own"})
    annotations = {name: value for name, value in pod["metadata"]["annotations"].items() if name.startswith("prometheus")}
    assert annotations == {"prometheus.io/path": "/stats/prometheus", "prometheus.io/port": "15020", "prometheus.io/scrape": "true"}
    env = {one["name"]: one.get("value") for one in container(pod)["env"]}
    assert json.loads(env["ISTIO_PROMETHEUS_ANNOTATIONS"] or "") == {"path": "/own", "port": "9000"}


@pytest.mark.parametrize("given", [{"prometheus.io/scrape": "0"}, {"prometheus.io/port": "15020"}])
def test_annotations_for_scrapers_that_stay(given: dict[str, str]) -> None:
    """Who is not to be scraped, or points at the agent already, is left alone."""
    pod = injected(given)
    assert {name: value for name, value in pod["metadata"]["annotations"].items() if name.startswith("prometheus")} == given
    assert "ISTIO_PROMETHEUS_ANNOTATIONS" not in [one["name"] for one in container(pod)["env"]]
