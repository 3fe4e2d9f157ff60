from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.builders.meshobjects import istio
from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock, settle

from varka.client.api import Gvr
from varka.control.registration import SWEEP_SECONDS, Registrar
from varka.xds.server import Client, Node
from varka.xds.streams import StreamState

ENTRIES = Gvr("networking.istio.io", "v1", "workloadentries")
GROUPS = Gvr("networking.istio.io", "v1", "workloadgroups")
GRACE = 10.0


class Kind(list[dict[str, Any]]):
    """An informer of the fake API server's objects."""

    def get(self, name: str, namespace: str) -> dict[str, Any] | None:
        return next((obj for obj in self if (obj["metadata"]["namespace"], obj["metadata"]["name"]) == (namespace, name)), None)


class State:
    """The part of a ClusterState that holds groups and entries."""

    def __init__(self, api: FakeApi) -> None:
        self._api = api

    def mesh_informers(self) -> dict[Gvr, Kind]:
        return {gvr: Kind(self._api.all(gvr)) for gvr in (ENTRIES, GROUPS)}


def client(account: str = "vm", group: str = "vm") -> Client:
    """The stream of a proxy outside."""
    metadata = {"AUTO_REGISTER_GROUP": group, "SERVICE_ACCOUNT": account, "NAMESPACE": "default"}
    node = Node(id="sidecar~192.0.2.7~vm-192.0.2.7.default~default.svc.cluster.local", metadata=metadata)
    return Client(id="1", node=node, peer="", state=StreamState(), connected_at=0.0)


@asynccontextmanager
async def registrar(api: FakeApi, clock: TurnedClock) -> AsyncIterator[Registrar]:
    spec = {"metadata": {"labels": {"app": "vm"}}, "template": {"serviceAccount": "vm", "ports": {"http": 80}}}
    await api.create(GROUPS, istio("WorkloadGroup", "vm", spec), "default")
    made = Registrar(api, State(api), clock, name="istiod", grace=GRACE)  # type: ignore[arg-type]
    task = asyncio.create_task(made.run())
    await settle()
    try:
        yield made
    finally:
        task.cancel()


async def test_comes_and_goes() -> None:
    """An entry appears with the proxy and disappears after the grace period, not before."""
    clock = TurnedClock()
    api = FakeApi(clock)
    async with registrar(api, clock) as made:
        stream = client()
        made.connected(stream)
        await settle()
        (entry,) = api.all(ENTRIES)
        assert entry["metadata"]["name"] == "vm-192.0.2.7"
        assert entry["spec"]["address"] == "192.0.2.7" and entry["spec"]["ports"] == {"http": 80} and entry["spec"]["serviceAccount"] == "vm"
        assert entry["spec"]["labels"] == {"app": "vm", "security.istio.io/tlsMode": "istio"}
        made.disconnected(stream)
        await clock.turn(GRACE - SWEEP_SECONDS)
        assert len(api.all(ENTRIES)) == 1
        await clock.turn(3 * SWEEP_SECONDS)
        assert api.all(ENTRIES) == []


async def test_coming_back_keeps_the_entry() -> None:
    """A proxy that only changes its connection is not forgotten."""
    clock = TurnedClock()
    api = FakeApi(clock)
    async with registrar(api, clock) as made:
        stream = client()
        made.connected(stream)
        await settle()
        made.disconnected(stream)
        await clock.turn(SWEEP_SECONDS)
        made.connected(stream)
        await clock.turn(3 * GRACE)
        (entry,) = api.all(ENTRIES)
        assert "istio.io/disconnectedAt" not in entry["metadata"]["annotations"]


async def test_nobody_registers_under_anothers_name() -> None:
    """The group must exist, and be for the service account of the certificate."""
    clock = TurnedClock()
    api = FakeApi(clock)
    async with registrar(api, clock) as made:
        made.connected(client(account="other"))
        made.connected(client(group="nobody"))
        await settle()
        assert api.all(ENTRIES) == []
