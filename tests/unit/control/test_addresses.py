from __future__ import annotations

import asyncio
from typing import Any

from tests.builders.meshobjects import istio
from tests.fakes.api import FakeApi
from tests.fakes.clock import TurnedClock, settle

from varka.client.api import Gvr
from varka.control.addresses import AddressKeeper
from varka.resources import parse

ENTRIES = Gvr("networking.istio.io", "v1", "serviceentries")


class State:
    """The part of a ClusterState that holds ServiceEntries."""

    def __init__(self, *objects: dict[str, Any]) -> None:
        self.objects = list(objects)

    def mesh_informers(self) -> dict[Gvr, list[dict[str, Any]]]:
        return {ENTRIES: self.objects}


def entry(status: dict[str, Any] | None = None) -> dict[str, Any]:
    """A ServiceEntry for a.com in namespace default."""
    made = istio("ServiceEntry", "s", {"hosts": ["a.com"], "resolution": "DNS", "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]})
    made["metadata"]["namespace"] = "default"
    return made | ({"status": status} if status else {})


def keeper(api: FakeApi, *objects: dict[str, Any]) -> AddressKeeper:
    return AddressKeeper(api, State(*objects), TurnedClock())  # type: ignore[arg-type]


async def test_an_address_is_written_once() -> None:
    """The status gets it; when it is there already nothing is written."""
    api = FakeApi()
    stored = await api.create(ENTRIES, entry(), "default")
    made = keeper(api, stored)
    found = made.update((parse(stored),))
    task = asyncio.create_task(made.run())
    await settle()
    task.cancel()
    address = found["default/s"]["a.com"]
    written = api.one(ENTRIES, "s", "default")
    assert written is not None and written["status"] == {"addresses": [{"host": "a.com", "value": address}]}
    again = keeper(api, written)
    again.update((parse(written),))
    calls = len(api.calls)
    task = asyncio.create_task(again.run())
    await settle()
    task.cancel()
    assert len(api.calls) == calls


async def test_the_status_is_taken_over() -> None:
    """A new process gives the addresses that the one before gave, and equal answers are the same object."""
    stored = entry({"addresses": [{"host": "a.com", "value": "240.240.9.9"}, {"host": "a.com", "value": "2001:2::9"}]})
    made = keeper(FakeApi(), stored)
    found = made.update((parse(stored),))
    assert found == {"default/s": {"a.com": "240.240.9.9"}}
    assert made.update((parse(stored),)) is found
