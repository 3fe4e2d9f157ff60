"""The controllers on the real API server in one process: admission, defaults, conflicts and finalizers are the server's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from tests.fakes.cluster import deployment

from varka.base.clock import SystemClock, rfc3339
from varka.client.api import Api, ApiError
from varka.client.resources import DEPLOYMENTS, ENDPOINT_SLICES, NAMESPACES, NODES, PODS, REPLICA_SETS, SERVICE_ACCOUNTS, SERVICES
from varka.cluster import controllers
from varka.cluster.apiserver.core import Core
from varka.cluster.apiserver.request import Extensions
from varka.cluster.store.store import Store


class Kubelet:
    """Makes bound pods ready and takes deleted ones away."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._count = 1

    async def run(self) -> None:
        """Follow the pods until cancelled."""
        listed = await self._api.list(PODS)
        async for event in self._api.watch(PODS, resource_version=listed.resource_version):
            if event.type not in ("ADDED", "MODIFIED"):
                continue
            pod = event.object
            meta = pod["metadata"]
            try:
                if "deletionTimestamp" in meta:
                    await self._api.delete(PODS, meta["name"], meta["namespace"], grace_seconds=0)
                elif pod["spec"].get("nodeName") and not pod["status"].get("podIP"):
                    self._count += 1
                    conditions = [
                        *(pod["status"].get("conditions") or []),
                        {"type": "Ready", "status": "True", "lastTransitionTime": rfc3339(SystemClock().now())},
                    ]
                    address = f"10.244.0.{self._count}"
                    status = {**pod["status"], "phase": "Running", "podIP": address, "podIPs": [{"ip": address}], "conditions": conditions}
                    await self._api.update(PODS, {**pod, "status": status}, subresource="status")
            except ApiError as error:
                if error.code not in (404, 409):
                    raise


@pytest.fixture
async def api(tmp_path) -> AsyncIterator[Api]:
    """A cluster with a server, controllers and a stand-in for the kubelet."""
    store = Store(tmp_path / "store.db")
    await store.start()
    core = Core(store, Extensions(), SystemClock())
    core.start()
    ready = asyncio.Event()
    settings = controllers.ControllerSettings(root_ca="CA")
    tasks = [asyncio.create_task(controllers.run(core.api, SystemClock(), settings, ready=ready)), asyncio.create_task(Kubelet(core.api).run())]
    async with asyncio.timeout(10):
        await ready.wait()
    yield core.api
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await core.stop()
    await store.close()


async def until(holds: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until `holds`."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def _complete(api: Api, name: str, namespace: str = "default") -> bool:
    held = await api.get(DEPLOYMENTS, name, namespace)
    reasons = [one["reason"] for one in (held.get("status") or {}).get("conditions") or ()]
    return "NewReplicaSetAvailable" in reasons and held["status"]["observedGeneration"] == held["metadata"]["generation"]


async def test_a_deployment_rolls_out_and_serves(api):
    """A Deployment and its Service become ready pods and endpoints, a new template replaces them, and nothing is written afterwards."""
    await api.create(
        SERVICES, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}}, "default"
    )
    await api.create(DEPLOYMENTS, deployment(replicas=3))
    await until(lambda: _complete(api, "web"))

    async def served() -> bool:
        found = (await api.list(ENDPOINT_SLICES, "default", label_selector="kubernetes.io/service-name=web")).items
        return len(found) == 1 and [one["conditions"]["ready"] for one in found[0]["endpoints"]] == [True] * 3

    await until(served)
    await api.patch(DEPLOYMENTS, "web", {"spec": {"template": {"metadata": {"annotations": {"v": "2"}}}}}, "default")
    await until(lambda: _complete(api, "web"))
    await until(served)
    sizes = {one["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: one["spec"]["replicas"] for one in (await api.list(REPLICA_SETS)).items}
    assert sizes == {"1": 0, "2": 3}
    await asyncio.sleep(0.3)
    before = (await api.list(DEPLOYMENTS)).resource_version
    await asyncio.sleep(0.5)
    assert (await api.list(DEPLOYMENTS)).resource_version == before


async def test_a_namespace_is_emptied_and_goes(api):
    """A namespace with running workloads is gone soon after it was deleted."""
    await api.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    body = deployment(replicas=2)
    body["metadata"]["namespace"] = "shop"
    await api.create(DEPLOYMENTS, body)
    await until(lambda: _complete(api, "web", "shop"))
    assert [one["metadata"]["name"] for one in (await api.list(SERVICE_ACCOUNTS, "shop")).items] == ["default"]
    await api.delete(NAMESPACES, "shop")

    async def gone() -> bool:
        return "shop" not in [one["metadata"]["name"] for one in (await api.list(NAMESPACES)).items]

    await until(gone)
    assert (await api.list(PODS)).items == []


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
async def test_deleting_an_owner_deletes_what_it_owns(api, policy):
    """A deleted Deployment takes its ReplicaSets and pods with it."""
    await api.create(DEPLOYMENTS, deployment(replicas=2))
    await until(lambda: _complete(api, "web"))
    await api.delete(DEPLOYMENTS, "web", "default", propagation=policy)

    async def empty() -> bool:
        return not any([(await api.list(kind)).items for kind in (DEPLOYMENTS, REPLICA_SETS, PODS)])

    await until(empty)


async def test_the_node_is_ready_at_once(api):
    """The Node is Ready when the controllers say that they are."""
    node = await api.get(NODES, "varka")
    assert {one["type"]: one["status"] for one in node["status"]["conditions"]}["Ready"] == "True"
