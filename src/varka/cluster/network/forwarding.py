"""Asks the relay to make services reachable from the host, and knows where they ended up.

LoadBalancer services get an address on loopback; the node ports of any service are offered on 127.0.0.1 as well, if they are
free there. The whole wish list is sent on every change and every few seconds, so a relay that was restarted is never wrong
for long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from varka.base.errors import VarkaError
from varka.cluster import forwards, handover

log = logging.getLogger(__name__)
REPEAT = 5.0
_RETRY = 0.2
_PATIENCE = 10.0


def wishes(service: Mapping[str, Any], node_ip: str) -> list[forwards.Wish]:
    """What a service wants from the relay; nothing for a ClusterIP service."""
    meta, spec = service["metadata"], service.get("spec", {})
    key = f"{meta['namespace']}/{meta['name']}"
    if spec.get("type") not in ("LoadBalancer", "NodePort") or meta.get("deletionTimestamp"):
        return []
    ports = [port for port in spec.get("ports", []) if port.get("protocol", "TCP") == "TCP"]
    found = []
    address = spec.get("clusterIP") or ""
    if spec["type"] == "LoadBalancer" and address not in ("", "None") and ports:
        found.append(forwards.Wish(id=key, target=address, ports=tuple(port["port"] for port in ports)))
    node_ports = tuple(port["nodePort"] for port in ports if port.get("nodePort"))
    if node_ports:
        found.append(forwards.Wish(id=f"nodeport/{key}", target=node_ip, ports=node_ports, fixed=True))
    return found


class Forwarding:
    """The node's side of the relay's listening sockets."""

    def __init__(self, relay: Path, node_ip: str) -> None:
        self._relay = relay
        self._node_ip = node_ip
        self._wanted: dict[str, list[forwards.Wish]] = {}
        self._places: dict[str, forwards.Place] = {}
        self._dirty = asyncio.Event()
        self._told = asyncio.Condition()
        self._loaded = asyncio.Event()

    def update(self, services: Iterable[Mapping[str, Any]]) -> None:
        """Want what these services want, and nothing else."""
        new = {f"{service['metadata']['namespace']}/{service['metadata']['name']}": wishes(service, self._node_ip) for service in services}
        new = {key: wanted for key, wanted in new.items() if wanted}
        first = not self._loaded.is_set()
        self._loaded.set()
        if first or new != self._wanted:
            self._wanted = new
            self._dirty.set()

    async def allocate(self, service: Mapping[str, Any]) -> forwards.Place:
        """The place of a LoadBalancer service; VarkaError when the relay does not answer in time."""
        meta = service["metadata"]
        key = f"{meta['namespace']}/{meta['name']}"
        wanted = wishes(service, self._node_ip)
        await self._loaded.wait()
        if self._wanted.get(key) != wanted:
            self._wanted[key] = wanted
            self._dirty.set()
        ports = {port for wish in wanted if wish.id == key for port in wish.ports}
        try:
            async with asyncio.timeout(_PATIENCE):
                async with self._told:
                    await self._told.wait_for(lambda: key in self._places and set(self._places[key].ports) == ports)
        except TimeoutError as error:
            raise VarkaError(f"service/{key} has got no address on the host", "is the relay running? varka status tells") from error
        return self._places[key]

    async def run(self) -> None:
        """Keep the relay informed until cancelled."""
        await self._loaded.wait()
        while True:
            self._dirty.clear()
            try:
                await self._tell()
                pause = REPEAT
            except (OSError, TimeoutError, VarkaError, ValueError) as error:
                log.debug("the relay does not answer: %s", error)
                pause = _RETRY
            try:
                async with asyncio.timeout(pause):
                    await self._dirty.wait()
            except TimeoutError:
                continue

    async def _tell(self) -> None:
        everything = [wish for key in sorted(self._wanted) for wish in self._wanted[key]]
        answer, _ = await handover.ask(self._relay, f"FORWARDS {forwards.encode(everything)}")
        async with self._told:
            self._places = {place.id: place for place in forwards.places(answer)}
            self._told.notify_all()
