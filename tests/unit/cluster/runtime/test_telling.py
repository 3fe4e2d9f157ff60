"""When a pod's status is written."""

from __future__ import annotations

import asyncio
import itertools
from types import SimpleNamespace
from typing import Any

from tests.fakes.clock import TurnedClock, settle

from varka.client.api import ApiError, Object
from varka.cluster.runtime import telling
from varka.cluster.runtime.status import ContainerState, PodState


class Server:
    """Takes status patches."""

    def __init__(self, *failures: Exception) -> None:
        self.failures = list(failures)
        self.written: list[Object] = []

    async def patch(self, _resource: Any, _name: str, patch: Object, _namespace: str, **_more: Any) -> Object:
        """Keep it, or fail."""
        if self.failures:
            raise self.failures.pop(0)
        self.written.append(patch)
        return {"status": {**patch["status"], "podIPs": patch["status"]["podIPs"][1:]}}


class Telling:
    """A pod whose status is told to a server."""

    def __init__(self, server: Server) -> None:
        self.state = PodState(containers=[ContainerState(name="c", image="i")], ip="10.0.0.1", host_ip="10.0.0.2")
        self.changed = asyncio.Event()
        pod = {"metadata": {"name": "p", "namespace": "n"}, "spec": {"containers": [{"name": "c"}]}}
        worker: Any = SimpleNamespace(pod=pod, uid="u", name="p", namespace="n", taken_back=False)
        api: Any = server
        self.worker = worker
        self.task = asyncio.create_task(telling.tell(worker, self.state, self.changed, api, TurnedClock()))

    async def change(self) -> None:
        """Something may have changed; let it be told."""
        self.changed.set()
        await settle()


async def test_told_once() -> None:
    """A status is written when it differs from the last one, with addresses that replace the earlier ones."""
    server = Server()
    one = Telling(server)
    await one.change()
    await one.change()
    assert [each["metadata"] for each in server.written] == [{"uid": "u"}]
    assert server.written[0]["status"]["podIPs"] == [{"$patch": "replace"}, {"ip": "10.0.0.1"}]
    assert one.worker.pod["status"]["podIPs"] == [{"ip": "10.0.0.1"}]
    one.state.containers[0].waiting = "CrashLoopBackOff"
    await one.change()
    assert len(server.written) == 2
    one.task.cancel()


async def test_nothing_without_an_address() -> None:
    """Before the pod has its network there is nothing to tell."""
    server = Server()
    one = Telling(server)
    one.state.ip = ""
    await one.change()
    assert server.written == []
    one.task.cancel()


async def test_the_object_is_gone() -> None:
    """Nobody is told of a pod that does not exist any more."""
    one = Telling(Server(ApiError(404, "NotFound", "gone")))
    await one.change()
    assert one.task.done()


def test_retries() -> None:
    """Waits grow up to five seconds and never end."""
    assert list(itertools.islice(telling.retries(), 8)) == [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 5.0, 5.0]
