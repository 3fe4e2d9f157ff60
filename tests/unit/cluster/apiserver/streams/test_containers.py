"""Choosing a container, and the kubelet's words for logs that are not there."""

from __future__ import annotations

from typing import Any

import pytest
from tests.builders import streamserver

from varka.client.api import ApiError
from varka.cluster.apiserver.streams import containers


def refusal(call: Any, *args: Any, **more: Any) -> str:
    """The message of the ApiError that a call raises."""
    with pytest.raises(ApiError) as caught:
        call(*args, **more)
    assert (caught.value.code, caught.value.reason) == (400, "BadRequest")
    return caught.value.message


def test_annotated_default() -> None:
    """The annotation names the default container."""
    pod = streamserver.pod(annotations={"kubectl.kubernetes.io/default-container": "app"})
    assert containers.choose(pod, "") == "app"
    assert containers.choose(pod, "istio-init") == "istio-init"


def test_no_default() -> None:
    """Without a default the refusal lists the containers, as Kubernetes does."""
    text = "a container name must be specified for pod web-1, choose one of: [app istio-proxy] or one of the init containers: [istio-init]"
    assert refusal(containers.choose, streamserver.pod(), "") == text


def test_unknown() -> None:
    """A container that the pod does not have is refused."""
    assert refusal(containers.choose, streamserver.pod(), "nope") == "container nope is not valid for pod web-1"


def test_only_container() -> None:
    """The only container is the default one."""
    pod = streamserver.pod()
    pod["spec"]["containers"] = [{"name": "app"}]
    assert containers.choose(pod, "") == "app"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ({"state": {"waiting": {"reason": "ContainerCreating"}}}, "is waiting to start: ContainerCreating"),
        ({"state": {"waiting": {"reason": "PodInitializing"}}}, "is waiting to start: PodInitializing"),
        ({"state": {"waiting": {"reason": "ErrImagePull"}}}, "is waiting to start: image can't be pulled"),
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}}, "is waiting to start: trying and failing to pull image"),
        ({}, "is waiting to start - no logs yet"),
    ],
)
def test_waiting(status: dict[str, Any], text: str) -> None:
    """A container that never ran has no log, and the refusal says what it waits for."""
    pod = streamserver.pod()
    pod["status"]["containerStatuses"] = [{"name": "app", **status}]
    assert refusal(containers.check_log, pod, "app", previous=False) == f'container "app" in pod "web-1" {text}'


def test_crashed() -> None:
    """A container that waits to be restarted has the log of its last run, and a previous one."""
    pod = streamserver.pod()
    pod["status"]["containerStatuses"] = [{"name": "app", "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": {"exitCode": 1}}}]
    containers.check_log(pod, "app", previous=False)
    containers.check_log(pod, "app", previous=True)


def test_no_previous() -> None:
    """A container that was never restarted has no previous log."""
    text = 'previous terminated container "app" in pod "web-1" not found'
    assert refusal(containers.check_log, streamserver.pod(), "app", previous=True) == text


def test_completed_pod() -> None:
    """Nothing is run in a pod that is over."""
    pod = streamserver.pod()
    pod["status"]["phase"] = "Succeeded"
    assert refusal(containers.check_running, pod) == "cannot exec into a container in a completed pod; current phase is Succeeded"
