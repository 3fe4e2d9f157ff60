"""Keeps the addresses that are made up for ServiceEntries without any: allocated here, kept in `status.addresses`.

What the status says when istiod starts is taken over, so that an address outlives every process. Writing is left to
whoever may; a status that cannot be written changes nothing for the proxies.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping

from varka.base.clock import Clock
from varka.base.errors import VarkaError
from varka.client.api import Api, ApiError, Gvr, Object
from varka.control.state import ClusterState
from varka.model.discovery import allocation
from varka.resources import Parsed
from varka.resources.traffic.service_entries import ServiceEntry

log = logging.getLogger("varka.control.addresses")

RETRY_SECONDS = 5.0


class AddressKeeper:
    """`update` is called with all ServiceEntries whenever they change; `run` writes what was decided."""

    def __init__(self, api: Api, state: ClusterState, clock: Clock) -> None:
        self._api = api
        self._state = state
        self._clock = clock
        self._entries: tuple[Parsed[ServiceEntry], ...] = ()
        self._found: dict[str, Mapping[str, str]] = {}
        self._dirty = asyncio.Event()

    def update(self, entries: tuple[Parsed[ServiceEntry], ...]) -> Mapping[str, Mapping[str, str]]:
        """Addresses by ServiceEntry and host; the same objects for as long as they are equal."""
        if entries is self._entries:
            return self._found
        self._entries = entries
        stored = {f"{obj['metadata']['namespace']}/{obj['metadata']['name']}": obj for obj in self._objects()}
        made = allocation.allocate(self._wants(entries, stored))
        kept = {key: self._found[key] if self._found.get(key) == found else found for key, found in made.items()}
        if kept != self._found:
            self._found = kept
        self._dirty.set()
        return self._found

    def _wants(self, entries: Iterable[Parsed[ServiceEntry]], stored: Mapping[str, Object]) -> list[allocation.Want]:
        return [
            allocation.Want(
                key=parsed.meta.key,
                created=parsed.meta.created,
                hosts=allocation.hosts(parsed),
                given=self._found.get(parsed.meta.key) or written(stored.get(parsed.meta.key)),
            )
            for parsed in entries
        ]

    def _objects(self) -> list[Object]:
        return [obj for gvr in self._kinds() for obj in self._state.mesh_informers()[gvr]]

    def _kinds(self) -> list[Gvr]:
        return [gvr for gvr in self._state.mesh_informers() if gvr.resource == "serviceentries"]

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if not await self._write_all():
                await self._clock.sleep(RETRY_SECONDS)
                self._dirty.set()

    async def _write_all(self) -> bool:
        done = True
        for gvr in self._kinds():
            for obj in list(self._state.mesh_informers()[gvr]):
                meta = obj["metadata"]
                wanted = self._found.get(f"{meta['namespace']}/{meta['name']}", {})
                if dict(wanted) != written(obj):
                    done = await self._write(gvr, obj, wanted) and done
        return done

    async def _write(self, gvr: Gvr, obj: Object, wanted: Mapping[str, str]) -> bool:
        meta = obj["metadata"]
        addresses = [{"host": host, "value": address} for host, address in wanted.items()]
        try:
            await self._api.patch(gvr, meta["name"], {"status": {"addresses": addresses}}, meta["namespace"], subresource="status")
        except ApiError as error:
            return error.code in (404, 409)
        except (VarkaError, TimeoutError) as error:
            log.debug("the addresses of serviceentry/%s/%s were not written: %s", meta["namespace"], meta["name"], error)
            return False
        return True


def written(obj: Object | None) -> dict[str, str]:
    """The addresses in a ServiceEntry's status, by host; of several for one host the first of IPv4."""
    found: dict[str, str] = {}
    addresses = ((obj or {}).get("status") or {}).get("addresses")
    for item in addresses if isinstance(addresses, list) else ():
        if isinstance(item, dict) and isinstance(item.get("host"), str) and isinstance(item.get("value"), str) and ":" not in item["value"]:
            found.setdefault(item["host"], item["value"])
    return found
