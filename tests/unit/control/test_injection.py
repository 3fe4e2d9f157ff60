"""What the injector makes of pods, beyond upstream's own cases (`tests/conformance/test_injection.py`)."""

from __future__ import annotations

import copy
import json
from typing import Any

import jsonpatch
import pytest

from varka.base.errors import VarkaError
from varka.control.injection import owners, pods, policy, workloads
from varka.control.injection.options import Options

OPTIONS = Options(values={"global": {"hub": "docker.io/istio", "tag": "1.28.2"}})
ENABLED = {"istio-injection": "enabled"}


def pod(*, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    """A pod with one container."""
    body = {"containers": [{"name": "nginx", "image": "nginx", "ports": [{"containerPort": 80}]}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "labels": labels or {}, "annotations": annotations or {}}, "spec": body}


def injected(given: dict[str, Any], options: Options = OPTIONS) -> dict[str, Any]:
    """The pod with its proxy."""
    found = pods.inject(given, "default", ENABLED, options)
    assert found is not None
    return found


def named(containers: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """One container."""
    return next(one for one in containers if one["name"] == name)


def environment(container: dict[str, Any]) -> dict[str, Any]:
    """The plain values of a container's environment."""
    return {one["name"]: one.get("value") for one in container["env"]}


def test_proxy_is_an_ordinary_container_after_the_application() -> None:
    """`{.spec.containers[*].name}` prints `nginx istio-proxy`."""
    found = injected(pod())
    assert [one["name"] for one in found["spec"]["containers"]] == ["nginx", "istio-proxy"]
    assert [one["name"] for one in found["spec"]["initContainers"]] == ["istio-init"]
    assert named(found["spec"]["containers"], "istio-proxy")["image"] == "docker.io/istio/proxyv2:1.28.2"


def test_proxy_can_be_a_native_sidecar() -> None:
    """By the annotation, or by the setting."""
    found = injected(pod(annotations={"sidecar.istio.io/nativeSidecar": "true"}))
    assert [one["name"] for one in found["spec"]["initContainers"]] == ["istio-init", "istio-proxy"]
    assert found["spec"]["initContainers"][1]["restartPolicy"] == "Always"
    assert injected(pod(), Options(native_sidecars=True))["spec"]["initContainers"][1]["name"] == "istio-proxy"


@pytest.mark.parametrize(
    ("labels", "namespace_labels", "expected"),
    [
        ({}, {"istio-injection": "enabled"}, True),
        ({}, {}, False),
        ({}, {"istio-injection": "disabled"}, False),
        ({"sidecar.istio.io/inject": "false"}, {"istio-injection": "enabled"}, False),
        ({"sidecar.istio.io/inject": "true"}, {}, True),
        ({"sidecar.istio.io/inject": "true"}, {"istio-injection": "disabled"}, False),
        ({}, {"istio.io/rev": "default"}, True),
        ({}, {"istio.io/rev": "canary"}, False),
        ({"istio.io/rev": "default"}, {}, True),
        ({"istio.io/rev": "canary", "sidecar.istio.io/inject": "true"}, {}, False),
    ],
)
def test_labels_decide(labels: dict[str, str], namespace_labels: dict[str, str], expected: bool) -> None:
    """Of the namespace first, then of the pod."""
    assert policy.required(pod(labels=labels), "default", namespace_labels, OPTIONS) is expected


def test_annotation_opts_out() -> None:
    """The older form of the label."""
    assert pods.inject(pod(annotations={"sidecar.istio.io/inject": "false"}), "default", ENABLED, OPTIONS) is None


def test_label_comes_before_the_annotation() -> None:
    """When they disagree."""
    given = pod(labels={"sidecar.istio.io/inject": "true"}, annotations={"sidecar.istio.io/inject": "false"})
    assert pods.inject(given, "default", ENABLED, OPTIONS) is not None


def test_pods_of_the_host_and_of_the_system_are_left_alone() -> None:
    """A proxy in the host's network would capture the machine's traffic."""
    assert pods.inject(pod(hostNetwork=True), "default", ENABLED, OPTIONS) is None
    assert pods.inject(pod(), "kube-system", ENABLED, OPTIONS) is None


def test_injecting_twice_changes_nothing() -> None:
    """A pod that has its proxy is left as it is."""
    assert pods.inject(injected(pod()), "default", ENABLED, OPTIONS) is None


def test_input_is_not_changed() -> None:
    """The function is pure."""
    given = pod()
    before = copy.deepcopy(given)
    injected(given)
    assert given == before


@pytest.mark.parametrize("given", [pod(), pod(initContainers=[{"name": "setup", "image": "busybox"}], volumes=[{"name": "data", "emptyDir": {}}])])
def test_patch_leads_to_the_injected_pod(given: dict[str, Any]) -> None:
    """What the webhook answers is the same as what the function gives."""
    found = injected(given)
    assert jsonpatch.apply_patch(given, pods.patch(given, found)) == found


def test_gateway_template_fills_in_the_container() -> None:
    """`image: auto` becomes a router; the user's own fields stay."""
    given = pod(annotations={"inject.istio.io/templates": "gateway"}, labels={"istio": "ingressgateway"})
    given["spec"]["containers"] = [{"name": "istio-proxy", "image": "auto", "ports": [{"containerPort": 8080}], "env": [{"name": "X", "value": "1"}]}]
    found = injected(given)
    (proxy,) = found["spec"]["containers"]
    assert proxy["image"] == "docker.io/istio/proxyv2:1.28.2" and proxy["args"][:2] == ["proxy", "router"]
    assert [one["containerPort"] for one in proxy["ports"]] == [15090, 8080]
    assert environment(proxy)["X"] == "1"
    assert "initContainers" not in found["spec"]
    assert "security.istio.io/tlsMode" not in found["metadata"]["labels"]


def test_unknown_template_is_an_error() -> None:
    """The user is told which there are."""
    with pytest.raises(VarkaError, match="sidecar, gateway"):
        pods.inject(pod(annotations={"inject.istio.io/templates": "grpc"}), "default", ENABLED, OPTIONS)


def test_malformed_proxy_config_is_an_error() -> None:
    """Instead of a proxy that ignores it."""
    with pytest.raises(VarkaError, match=r"proxy\.istio\.io/config"):
        pods.inject(pod(annotations={"proxy.istio.io/config": "just a text"}), "default", ENABLED, OPTIONS)


def test_application_can_wait_for_its_proxy() -> None:
    """The proxy comes first, and its start blocks the next container."""
    found = injected(pod(annotations={"proxy.istio.io/config": "holdApplicationUntilProxyStarts: true"}))
    first = found["spec"]["containers"][0]
    assert first["name"] == "istio-proxy" and first["lifecycle"]["postStart"]["exec"]["command"] == ["pilot-agent", "wait"]


def test_resources_come_from_annotations() -> None:
    """Any of the four replaces the installation's."""
    found = injected(pod(annotations={"sidecar.istio.io/proxyCPU": "10m", "sidecar.istio.io/proxyMemoryLimit": "64Mi"}))
    assert named(found["spec"]["containers"], "istio-proxy")["resources"] == {"requests": {"cpu": "10m"}, "limits": {"memory": "64Mi"}}


def test_traffic_annotations_become_arguments() -> None:
    """What is captured, as `istio-iptables` takes it."""
    prefix = "traffic.sidecar.istio.io/"
    notes = {f"{prefix}includeInboundPorts": "80", f"{prefix}excludeOutboundPorts": "3306", f"{prefix}excludeOutboundIPRanges": "10.0.0.0/8"}
    arguments = injected(pod(annotations=notes))["spec"]["initContainers"][0]["args"]
    pairs = dict(zip(arguments[1::2], arguments[2::2], strict=False))
    assert (pairs["-b"], pairs["-o"], pairs["-x"], pairs["-d"]) == ("80", "3306", "10.0.0.0/8", "15090,15021,15020")


def test_probes_go_through_the_agent() -> None:
    """Every kind of network probe; a command stays."""
    given = pod()
    given["spec"]["containers"][0] |= {
        "livenessProbe": {"httpGet": {"path": "/l", "port": 80, "scheme": "HTTPS"}, "timeoutSeconds": 4},
        "readinessProbe": {"grpc": {"port": 90, "service": "s"}},
        "startupProbe": {"exec": {"command": ["true"]}},
    }
    found = injected(given)["spec"]["containers"]
    assert found[0]["livenessProbe"] == {"httpGet": {"path": "/app-health/nginx/livez", "port": 15020, "scheme": "HTTP"}, "timeoutSeconds": 4}
    assert found[0]["readinessProbe"] == {"httpGet": {"path": "/app-health/nginx/readyz", "port": 15020}}
    assert found[0]["startupProbe"] == {"exec": {"command": ["true"]}}
    assert json.loads(environment(found[1])["ISTIO_KUBE_APP_PROBERS"]) == {
        "/app-health/nginx/livez": {"httpGet": {"path": "/l", "port": 80, "scheme": "HTTPS"}, "timeoutSeconds": 4},
        "/app-health/nginx/readyz": {"grpc": {"port": 90, "service": "s"}},
    }


def test_probes_can_be_left_alone() -> None:
    """By annotation."""
    given = pod(annotations={"sidecar.istio.io/rewriteAppHTTPProbers": "false"})
    given["spec"]["containers"][0]["livenessProbe"] = {"httpGet": {"path": "/l", "port": 80}}
    assert injected(given)["spec"]["containers"][0]["livenessProbe"] == {"httpGet": {"path": "/l", "port": 80}}


def test_applications_metrics_are_remembered() -> None:
    """The agent serves them with the proxy's."""
    found = injected(pod(annotations={"prometheus.io/scrape": "true", "prometheus.io/port": "9100"}))
    assert json.loads(environment(found["spec"]["containers"][1])["ISTIO_PROMETHEUS_ANNOTATIONS"]) == {"scrape": "true", "port": "9100"}
    assert found["metadata"]["annotations"]["prometheus.io/port"] == "15020"


@pytest.mark.parametrize(
    ("owner", "labels", "expected"),
    [
        ({"kind": "ReplicaSet", "name": "web-5f6", "apiVersion": "apps/v1"}, {"pod-template-hash": "5f6"}, ("Deployment", "web")),
        ({"kind": "ReplicaSet", "name": "web", "apiVersion": "apps/v1"}, {}, ("ReplicaSet", "web")),
        ({"kind": "Job", "name": "pi-28000000", "apiVersion": "batch/v1"}, {}, ("CronJob", "pi")),
        ({"kind": "StatefulSet", "name": "db", "apiVersion": "apps/v1"}, {}, ("StatefulSet", "db")),
    ],
)
def test_workload_is_the_owner_that_the_user_wrote(owner: dict[str, Any], labels: dict[str, str], expected: tuple[str, str]) -> None:
    """Not the objects in between."""
    given = pod(labels=labels)
    given["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    found = owners.of_pod(given)
    assert (found.kind, found.name) == expected


def test_every_kind_with_a_pod_template_is_injected() -> None:
    """Also inside a CronJob and a List."""
    template = {"metadata": {}, "spec": pod()["spec"]}
    cron = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {"jobTemplate": {"spec": {"template": template}}}}
    found = workloads.inject({"apiVersion": "v1", "kind": "List", "items": [cron, {"kind": "Service", "apiVersion": "v1"}]}, OPTIONS)
    inner = found["items"][0]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert [one["name"] for one in inner["containers"]] == ["nginx", "istio-proxy"]
    assert environment(inner["containers"][1])["ISTIO_META_OWNER"] == "kubernetes://apis/batch/v1/namespaces/default/cronjobs/c"
    assert found["items"][1] == {"kind": "Service", "apiVersion": "v1"}


def test_status_tells_what_was_added() -> None:
    """So that people and tools can tell the injected from the written."""
    status = json.loads(injected(pod())["metadata"]["annotations"]["sidecar.istio.io/status"])
    assert (status["containers"], status["initContainers"], status["revision"]) == (["istio-proxy"], ["istio-init"], "default")


def test_own_volume_of_the_same_name_wins() -> None:
    """The user's volume is not doubled."""
    found = injected(pod(volumes=[{"name": "istio-data", "emptyDir": {"sizeLimit": "1Gi"}}]))
    assert [one for one in found["spec"]["volumes"] if one["name"] == "istio-data"] == [{"name": "istio-data", "emptyDir": {"sizeLimit": "1Gi"}}]
