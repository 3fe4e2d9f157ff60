"""Pods: checks, service account, QoS."""

from __future__ import annotations

from typing import Any

from varka.cluster.apiserver.kinds import defaults, pods


def spec(**more: Any) -> dict[str, Any]:
    """A pod's spec with little in it."""
    return {"containers": [{"name": "a", "image": "x"}], "restartPolicy": "Always", "dnsPolicy": "ClusterFirst", **more}


def wrong(given: dict[str, Any]) -> list[str]:
    """What is wrong, as texts."""
    return [f"{cause.field}: {cause.text}" for cause in pods.validate_spec(given, "spec")]


def test_good_spec() -> None:
    """A plain pod has nothing wrong."""
    assert wrong(spec()) == []


def test_mounts_need_volumes() -> None:
    """A mount of a volume that is not there is named."""
    assert wrong(spec(containers=[{"name": "a", "image": "x", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}])) == [
        'spec.containers[0].volumeMounts[0].name: Not found: "v"'
    ]


def test_container_names() -> None:
    """Container names are required, DNS labels, and unique over init containers too."""
    found = wrong(spec(containers=[{"image": "x"}, {"name": "b", "image": "x"}], initContainers=[{"name": "b", "image": "y"}]))
    assert found == ["spec.containers[0].name: Required value", 'spec.initContainers[0].name: Duplicate value: "b"']


def test_limits_and_requests() -> None:
    """A request over the limit, and what is no quantity, are refused."""
    one = {"name": "a", "image": "x", "resources": {"requests": {"cpu": "2", "memory": "x"}, "limits": {"cpu": "1"}}}
    found = wrong(spec(containers=[one]))
    assert found[0].startswith('spec.containers[0].resources.requests[memory]: Invalid value: "x"')
    assert found[1].endswith("must be less than or equal to cpu limit of 1")


def test_defaults() -> None:
    """A container gets the pull policy of its tag, and probes their times."""
    pod = {
        "metadata": {},
        "spec": {"containers": [{"name": "a", "image": "r:5000/x:1", "livenessProbe": {"httpGet": {"port": 1}}}, {"name": "b", "image": "y"}]},
    }
    defaults.fill("pods", pod)
    first, second = pod["spec"]["containers"]
    assert (first["imagePullPolicy"], second["imagePullPolicy"]) == ("IfNotPresent", "Always")
    assert first["livenessProbe"] == {
        "httpGet": {"port": 1, "path": "/", "scheme": "HTTP"},
        "failureThreshold": 3,
        "periodSeconds": 10,
        "successThreshold": 1,
        "timeoutSeconds": 1,
    }
    assert (pod["spec"]["restartPolicy"], pod["spec"]["terminationGracePeriodSeconds"]) == ("Always", 30)


def test_service_account_token() -> None:
    """Every container gets the token's mount, once, however often admission runs."""
    pod = {"metadata": {}, "spec": spec(initContainers=[{"name": "i", "image": "x"}])}
    pods.add_service_account(pod, {})
    pods.add_service_account(pod, {})
    volumes = pod["spec"]["volumes"]
    assert len(volumes) == 1
    assert volumes[0]["name"].startswith("kube-api-access-")
    for one in (pod["spec"]["containers"][0], pod["spec"]["initContainers"][0]):
        assert [mount["mountPath"] for mount in one["volumeMounts"]] == [pods.TOKEN_PATH]


def test_no_token_wished() -> None:
    """automountServiceAccountToken false, in the pod or its account, leaves the token out; the pod decides."""
    pod = {"metadata": {}, "spec": spec()}
    pods.add_service_account(pod, {"automountServiceAccountToken": False})
    assert "volumes" not in pod["spec"]
    pod["spec"]["automountServiceAccountToken"] = True
    pods.add_service_account(pod, {"automountServiceAccountToken": False})
    assert len(pod["spec"]["volumes"]) == 1


def test_qos() -> None:
    """The QoS class follows requests and limits."""
    full = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1", "memory": "1Gi"}}
    assert pods.qos_class(spec()) == "BestEffort"
    assert pods.qos_class(spec(containers=[{"resources": {"requests": {"cpu": "1"}}}])) == "Burstable"
    assert pods.qos_class(spec(containers=[{"resources": full}])) == "Guaranteed"


def test_only_images_change() -> None:
    """A pod's image may change, its command may not."""
    old = {"spec": spec(nodeName="n")}
    image = {"spec": spec(nodeName="n", containers=[{"name": "a", "image": "y"}])}
    command = {"spec": spec(nodeName="n", containers=[{"name": "a", "image": "x", "command": ["z"]}])}
    assert pods.validate_update(image, old) == []
    assert len(pods.validate_update(command, old)) == 1
