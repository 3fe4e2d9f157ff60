"""What a node process learns of containers from the files of the one before, and how their ends are told."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from varka.client.api import Object
from varka.cluster.runtime import containers
from varka.cluster.runtime.containers import ContainerRunner
from varka.cluster.runtime.status import ContainerState, Ended


class Worker:
    """What a runner asks of its pod's worker without starting anything."""

    def __init__(self, folder: Path, *, taken_back: bool, status: Object | None = None) -> None:
        self.folder = folder
        self.taken_back = taken_back
        self.pod: Object = {"status": status or {}}
        self.backoff_first = 10.0
        self.mounts: dict[str, str] = {}
        self.earlier = containers.earlier_runs(self.pod)
        self.touched = 0

    def container_id(self, container: str, attempt: int) -> str:
        """A name for a run."""
        return f"id://{container}/{attempt}"

    def touch(self) -> None:
        """Count."""
        self.touched += 1


def runner(worker: Worker, policy: str = "Always", *, init: bool = False, **spec: Any) -> ContainerRunner:
    """A runner of the container `c`."""
    asked: Any = worker
    return ContainerRunner(asked, {"name": "c", "image": "i", **spec}, ContainerState(name="c", image="i", init=init), policy)


def keep(folder: Path, attempt: int, **state: Any) -> None:
    """The file that the shim wrote about a run."""
    place = folder / "containers" / "c"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{attempt}.json").write_text(json.dumps({"pid": 2, "started": 100.0, "mounts": "mnt:[1]", **state}))


def test_nothing_is_known(tmp_path: Path) -> None:
    """A container without files is started for the first time."""
    (tmp_path / "containers" / "c").mkdir(parents=True)
    one = runner(Worker(tmp_path, taken_back=True))
    assert one.recall() is False
    assert one.state == ContainerState(name="c", image="i")


def test_running_container_is_taken_back(tmp_path: Path) -> None:
    """It keeps its start, its restart count, its readiness and the end before."""
    keep(tmp_path, 0, finished=150.0, code=3)
    keep(tmp_path, 1)
    told = {"containerStatuses": [{"name": "c", "ready": True, "started": True}]}
    worker = Worker(tmp_path, taken_back=True, status=told)
    one = runner(worker, readinessProbe={}, startupProbe={})
    assert one.recall() is True
    assert one.state == ContainerState(
        name="c", image="i", waiting="", running_since=100.0, restarts=1, ready=True, started=True, container_id="id://c/1",
        last=Ended(code=3, started=100.0, finished=150.0, container_id="id://c/0"),
    )  # fmt: skip
    assert worker.mounts == {"c": "mnt:[1]"}
    assert one.log_path == tmp_path / "containers" / "c" / "1.log"


def test_unready_container_stays_unready(tmp_path: Path) -> None:
    """A probe that had not succeeded yet has not succeeded because the node process is new."""
    keep(tmp_path, 0)
    one = runner(Worker(tmp_path, taken_back=True), readinessProbe={})
    assert one.recall() is True
    assert (one.state.started, one.state.ready) == (True, False)


def test_new_namespaces_end_what_ran(tmp_path: Path) -> None:
    """When the pod's namespaces are gone, so is the container; it is started anew with the next number."""
    keep(tmp_path, 4)
    one = runner(Worker(tmp_path, taken_back=False))
    assert one.recall() is False
    assert one.state.last is not None
    assert (one.state.last.code, one.state.last.reason, one.state.restarts, one.state.done) == (255, "Unknown", 4, False)
    assert json.loads((tmp_path / "containers" / "c" / "4.json").read_text())["code"] == 255


@pytest.mark.parametrize(("policy", "code", "done"), [("Never", 1, True), ("OnFailure", 0, True), ("OnFailure", 1, False), ("Always", 0, False)])
def test_new_namespaces_and_policies(tmp_path: Path, policy: str, code: int, done: bool) -> None:
    """A container that had ended for good is not run again."""
    keep(tmp_path, 0, finished=150.0, code=code)
    one = runner(Worker(tmp_path, taken_back=False), policy)
    assert one.recall() is False
    assert (one.state.done, one.state.ended is not None) == (done, done)


def test_init_containers_run_again_in_new_namespaces(tmp_path: Path) -> None:
    """What they prepared went with the old ones."""
    keep(tmp_path, 0, finished=150.0, code=0)
    one = runner(Worker(tmp_path, taken_back=False), "OnFailure", init=True)
    assert one.recall() is False
    assert one.state.done is False


@pytest.mark.parametrize(
    ("policy", "code", "written", "message"),
    [("File", 1, b"last words", "last words"), ("FallbackToLogsOnError", 1, b"", "one\ntwo\n"), ("FallbackToLogsOnError", 0, b"", ""), ("File", 1, b"", "")],
)
def test_last_words(tmp_path: Path, policy: str, code: int, written: bytes, message: str) -> None:
    """The message is what was written to the message file, or, on wish and after a failure, the end of the log."""
    keep(tmp_path, 0, finished=150.0, code=code)
    place = tmp_path / "containers" / "c"
    (place / "0.message").write_bytes(written)
    (place / "0.log").write_text("2026-01-01T00:00:00.000000001Z stdout F one\n2026-01-01T00:00:00.000000002Z stderr F two\n")
    one = runner(Worker(tmp_path, taken_back=False), "Never", terminationMessagePolicy=policy)
    one.recall()
    assert one.state.ended is not None
    assert one.state.ended.message == message


def test_conclude_takes_the_end_that_was_not_waited_for(tmp_path: Path) -> None:
    """A pod that is ending tells of its containers' ends at once."""
    keep(tmp_path, 0)
    one = runner(Worker(tmp_path, taken_back=True))
    one.recall()
    keep(tmp_path, 0, finished=160.0, code=143)
    one.conclude()
    assert one.state.ended is not None
    assert (one.state.ended.code, one.state.running_since, one.state.done, one.over) == (143, 0.0, True, True)


def test_path() -> None:
    """Events name init containers and others by their lists."""
    worker: Any = SimpleNamespace(folder=Path("/pod"))
    assert runner(worker).path == "spec.containers{c}"
    assert runner(worker, init=True).path == "spec.initContainers{c}"


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_duration(seconds: float, text: str) -> None:
    """Waits are told as Go writes durations."""
    assert containers._duration(seconds) == text


def test_the_count_of_restarts_outlives_the_files() -> None:
    """From the pod's status, for containers that were started; one that never was begins at nought."""
    started = {"name": "a", "restartCount": 3, "containerID": "varka://1"}
    waiting = {"name": "b", "restartCount": 0, "state": {"waiting": {}}}
    first = {"name": "i", "restartCount": 0, "containerID": "varka://2"}
    pod = {"status": {"containerStatuses": [started, waiting], "initContainerStatuses": [first]}}
    assert containers.earlier_runs(pod) == {"a": 3, "i": 0}
    assert containers.earlier_runs({}) == {}
