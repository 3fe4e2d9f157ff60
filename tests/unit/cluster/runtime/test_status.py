"""What a pod's status says."""

from __future__ import annotations

from typing import Any

import pytest

from varka.cluster.runtime import status
from varka.cluster.runtime.status import ContainerState, Ended, PodState

NOW = "2026-01-01T00:01:00Z"
POD: dict[str, Any] = {"metadata": {}, "spec": {"containers": [{"name": "a"}, {"name": "b"}], "restartPolicy": "Always"}}
BORN = 1767225600.0
"""2026-01-01T00:00:00Z."""


def container(name: str = "a", **fields: Any) -> ContainerState:
    """A container that waits to be created."""
    return ContainerState(name=name, image="nginx:1", **fields)


def running(name: str = "a", **fields: Any) -> ContainerState:
    """One that runs and is ready."""
    return container(name, waiting="", running_since=BORN, **{"ready": True, "started": True, "container_id": f"varka://{name}", **fields})


def ended(name: str = "a", code: int = 0, **fields: Any) -> ContainerState:
    """One that has ended for good."""
    return container(name, waiting="", done=True, ended=Ended(code=code, started=BORN, finished=BORN + 5), container_id=f"varka://{name}", **fields)


def state(*containers: ContainerState, inits: list[ContainerState] | None = None, **fields: Any) -> PodState:
    """A pod with an address."""
    return PodState(containers=list(containers), inits=inits or [], **{"ip": "10.244.0.9", "host_ip": "10.244.0.1", "start_time": BORN, **fields})


def test_a_running_container() -> None:
    """All fields as kubelet writes them."""
    assert running(restarts=2, last=Ended(code=3, started=BORN, finished=BORN + 1, container_id="varka://old")).to_json() == {
        "name": "a",
        "image": "nginx:1",
        "imageID": "varka://nginx:1",
        "containerID": "varka://a",
        "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
        "lastState": {
            "terminated": {
                "exitCode": 3,
                "reason": "Error",
                "startedAt": "2026-01-01T00:00:00Z",
                "finishedAt": "2026-01-01T00:00:01Z",
                "containerID": "varka://old",
            }
        },
        "ready": True,
        "started": True,
        "restartCount": 2,
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (container(), {"waiting": {"reason": "ContainerCreating"}}),
        (container(waiting="PodInitializing"), {"waiting": {"reason": "PodInitializing"}}),
        (container(waiting="ErrImagePull", waiting_message="no recipe"), {"waiting": {"reason": "ErrImagePull", "message": "no recipe"}}),
        (
            container(waiting="CrashLoopBackOff", waiting_message="back-off 10s", last=Ended(code=1, started=0, finished=1)),
            {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}},
        ),
        (ended(), {"terminated": {"exitCode": 0, "reason": "Completed", "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:05Z"}}),
    ],
)
def test_states(given: ContainerState, expected: dict[str, Any]) -> None:
    """Exactly one of waiting, running, terminated."""
    assert given.to_json()["state"] == expected


def test_a_finished_init_container_is_ready() -> None:
    """So that `kubectl get pod -o yaml` reads as on Kubernetes."""
    assert [ended(init=True).to_json()["ready"], ended(init=True, code=1).to_json()["ready"], ended().to_json()["ready"]] == [True, False, False]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (state(container()), "Pending"),
        (state(running(), container("b")), "Pending"),
        (state(running(), running("b", ready=False)), "Running"),
        (state(running(), container("b", waiting="CrashLoopBackOff", last=Ended(code=1, started=0, finished=1))), "Running"),
        (state(ended(), ended("b")), "Succeeded"),
        (state(ended(), ended("b", code=2)), "Failed"),
        (state(ended(code=1), running("b")), "Running"),
        (state(container(), inits=[running("i", init=True)]), "Pending"),
        (state(container(), inits=[ended("i", code=1, init=True)]), "Failed"),
        (state(running(), inits=[ended("i", init=True)]), "Running"),
        (state(container(), inits=[running("side", init=True, restartable=True, started=False)]), "Pending"),
        (state(running(), reason="DeadlineExceeded"), "Failed"),
    ],
)
def test_phase(given: PodState, expected: str) -> None:
    """Pending until every container has run once; over when none will run again."""
    assert status.phase(given, "Always") == expected


def conditions(given: PodState, pod: dict[str, Any] | None = None) -> dict[str, tuple[Any, ...]]:
    """Type → status, reason, message."""
    found = status.build(given, pod or POD, NOW)["conditions"]
    return {each["type"]: tuple(value for key in ("status", "reason", "message") if (value := each.get(key)) is not None) for each in found}


def test_conditions_of_a_ready_pod() -> None:
    """Four of kubelet's own; PodScheduled is the scheduler's."""
    assert conditions(state(running(), running("b"))) == {
        "PodReadyToStartContainers": ("True",),
        "Initialized": ("True",),
        "Ready": ("True",),
        "ContainersReady": ("True",),
    }


def test_conditions_name_what_is_not_ready() -> None:
    """Containers and init containers."""
    found = conditions(state(container(), running("b", ready=False), inits=[running("i", init=True)]))
    unready = ("False", "ContainersNotReady", "containers with unready status: [a b]")
    assert found == {
        "PodReadyToStartContainers": ("True",),
        "Initialized": ("False", "ContainersNotInitialized", "containers with incomplete status: [i]"),
        "Ready": unready,
        "ContainersReady": unready,
    }


def test_conditions_of_a_finished_pod() -> None:
    """Not ready, because it is completed."""
    found = conditions(state(ended(), ended("b")))
    assert (found["Ready"], found["PodReadyToStartContainers"]) == (("False", "PodCompleted"), ("False",))


def test_a_transition_time_stays_while_the_status_stays() -> None:
    """Only what changed gets the new time."""
    before = {"conditions": [{"type": kind, "status": "False", "lastTransitionTime": "2025-01-01T00:00:00Z"} for kind in ("Ready", "ContainersReady")]}
    found = status.build(state(running(), running("b", ready=False)), {**POD, "status": before}, NOW)["conditions"]
    assert {each["type"]: each["lastTransitionTime"] for each in found} == {
        "PodReadyToStartContainers": NOW,
        "Initialized": NOW,
        "Ready": "2025-01-01T00:00:00Z",
        "ContainersReady": "2025-01-01T00:00:00Z",
    }


def test_a_readiness_gate_holds_back_the_pod_not_the_containers() -> None:
    """Somebody else's condition counts."""
    pod = {**POD, "spec": {**POD["spec"], "readinessGates": [{"conditionType": "example.com/gate"}]}}
    found = conditions(state(running(), running("b")), pod)
    assert (found["Ready"][0], found["ContainersReady"][0]) == ("False", "True")
    open_gate = {**pod, "status": {"conditions": [{"type": "example.com/gate", "status": "True"}]}}
    assert conditions(state(running(), running("b")), open_gate)["Ready"][0] == "True"


def test_the_whole_status() -> None:
    """Addresses, times and class."""
    found = status.build(state(running()), {"metadata": {}, "spec": {"containers": [{"name": "a"}]}}, NOW)
    del found["conditions"], found["containerStatuses"]
    assert found == {
        "phase": "Running",
        "hostIP": "10.244.0.1",
        "hostIPs": [{"ip": "10.244.0.1"}],
        "podIP": "10.244.0.9",
        "podIPs": [{"ip": "10.244.0.9"}],
        "startTime": "2026-01-01T00:00:00Z",
        "qosClass": "BestEffort",
    }


@pytest.mark.parametrize(
    ("resources", "expected"),
    [
        ([{}, {}], "BestEffort"),
        ([{"requests": {"cpu": "1"}}, {}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}], "Guaranteed"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "1Gi"}}], "Burstable"),
        ([{"limits": {"cpu": "1", "memory": "1Gi"}}, {}], "Burstable"),
    ],
)
def test_quality_of_service(resources: list[dict[str, Any]], expected: str) -> None:
    """Guaranteed only when every container's requests are its limits."""
    assert status.quality({"spec": {"containers": [{"name": str(index), "resources": each} for index, each in enumerate(resources)]}}) == expected
