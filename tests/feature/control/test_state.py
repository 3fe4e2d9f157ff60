"""Following the cluster: kinds that come and go, changes that matter, and an API that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.fakes.api import FakeApi

from varka.base.clock import SystemClock
from varka.client import resources
from varka.client.api import Gvr
from varka.control.parsing import ParsedObjects
from varka.control.settings import Settings
from varka.control.state import ClusterState

VIRTUAL_SERVICES = Gvr("networking.istio.io", "v1", "virtualservices")


def definition() -> dict[str, Any]:
    """The CustomResourceDefinition of VirtualService."""
    versions = [{"name": "v1", "served": True, "storage": True}]
    spec = {"group": "networking.istio.io", "names": {"plural": "virtualservices", "kind": "VirtualService"}, "versions": versions, "scope": "Namespaced"}
    return {"metadata": {"name": "virtualservices.networking.istio.io"}, "spec": spec}


class Following:
    """A state that follows a fake API, and the reasons it gave."""

    def __init__(self) -> None:
        self.api = FakeApi(SystemClock())
        self.reasons: list[str] = []
        self.state = ClusterState(self.api, Settings(), self.reasons.append, SystemClock())

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something to become true."""
        async with asyncio.timeout(5):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.005)


@asynccontextmanager
async def following(*objects: tuple[Gvr, dict[str, Any], str | None]) -> AsyncIterator[Following]:
    """A state that knows these objects."""
    found = Following()
    for gvr, obj, namespace in objects:
        await found.api.create(gvr, obj, namespace)
    task = asyncio.create_task(found.state.run())
    await asyncio.wait_for(found.state.synced.wait(), 5)
    found.reasons.clear()
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_is_synced_without_any_of_istios_kinds() -> None:
    """A cluster where the mesh's definitions are still to come."""
    async with following() as found:
        assert found.state.mesh_objects() == []


async def test_kind_is_followed_as_soon_as_it_is_defined_and_forgotten_with_its_definition() -> None:
    """Also in the middle of the life of the process."""
    async with following() as found:
        await found.api.create(resources.CUSTOM_RESOURCE_DEFINITIONS, definition())
        await found.api.create(VIRTUAL_SERVICES, {"metadata": {"name": "v"}, "spec": {"hosts": ["a"]}}, "default")
        await found.until(lambda: len(found.state.mesh_objects()) == 1)
        await found.until(lambda: "config" in found.reasons)
        found.api.remove(resources.CUSTOM_RESOURCE_DEFINITIONS, "virtualservices.networking.istio.io")
        await found.until(lambda: found.state.mesh_objects() == [])


async def test_status_of_a_pod_is_no_change() -> None:
    """But its labels are, and the typed form stays the same object until then."""
    pod = {"metadata": {"name": "p", "labels": {"app": "a"}}, "spec": {"containers": []}, "status": {"podIP": "10.0.0.1"}}
    async with following((resources.PODS, pod, "default")) as found:
        parsed = ParsedObjects(found.state)
        (first,) = parsed.current()["pods"]
        found.api.change(resources.PODS, "p", "default", status={"podIP": "10.0.0.1", "conditions": [{"type": "Ready"}]})
        await found.until(lambda: "conditions" in (found.state.one(resources.PODS, "p", "default") or {}).get("status", {}))
        assert found.reasons == [] and parsed.current()["pods"][0] is first
        meta = found.api.one(resources.PODS, "p", "default")["metadata"]  # type: ignore[index]
        found.api.change(resources.PODS, "p", "default", metadata={**meta, "labels": {"app": "b"}})
        await found.until(lambda: found.reasons == ["proxy"])
        assert parsed.current()["pods"][0] is not first


async def test_what_is_known_survives_the_loss_of_watches() -> None:
    """Watches that end are taken up again, and nothing is forgotten in between."""
    async with following((resources.SERVICES, {"metadata": {"name": "s"}, "spec": {}}, "default")) as found:
        found.api.hang_up()
        assert len(found.state.objects(resources.SERVICES)) == 1
        await found.api.create(resources.SERVICES, {"metadata": {"name": "t"}, "spec": {}}, "default")
        await found.until(lambda: len(found.state.objects(resources.SERVICES)) == 2)


async def test_malformed_mesh_configuration_leaves_the_last_good_one() -> None:
    """A slip in the ConfigMap does not take the mesh down."""
    good = {"metadata": {"name": "istio"}, "data": {"mesh": "trustDomain: my.domain"}}
    async with following((resources.CONFIGMAPS, good, "istio-system")) as found:
        assert found.state.mesh_config == {"trustDomain": "my.domain"}
        found.api.change(resources.CONFIGMAPS, "istio", "istio-system", data={"mesh": "a: [b"})
        await found.until(lambda: found.reasons == ["global"])
        assert found.state.mesh_config == {"trustDomain": "my.domain"}
