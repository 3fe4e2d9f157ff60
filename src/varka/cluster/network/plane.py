"""The node's network as a whole: follows Services, EndpointSlices and Namespaces and keeps rules, names and forwards in step.

Changes that arrive together are applied together: the first of a burst wakes the loop, which then takes the caches as they
are. A change that the kernel refuses is tried again with the whole table.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Mapping
from typing import Any

from varka.base.errors import VarkaError
from varka.client import resources
from varka.client.informers import Informers
from varka.cluster import settings, state
from varka.cluster.network import dns, doors, forwarding, nft, pods, services, zone

log = logging.getLogger(__name__)
_SETTLE = 0.01
_RETRY = 1.0


class NetworkPlane:
    """Service addresses, DNS, and the doors to the relay, for one node."""

    def __init__(self, config: settings.ClusterSettings, folder: state.StateFolder, sockets: Mapping[str, socket.socket]) -> None:
        self._config = config
        self._folder = folder
        self._sockets = sockets
        self._nft = nft.Nft()
        self._applied: services.Frontends | None = None
        self._dirty = asyncio.Event()
        self.dns = dns.NameServer(config.cluster_domain, doors.resolver(folder.relay_socket) if config.egress else None)
        self.forwarding = forwarding.Forwarding(folder.relay_socket, config.node_ip)
        self.pods = pods.PodNetwork(config, folder.addresses)

    def prepare(self) -> None:
        """Addresses, routes and the rule table; before anything else uses the network."""
        pods.prepare_node(self._config)
        listing = self._nft.listing(services.TABLE)
        if listing:
            self._applied = services.known(listing)
        else:
            only_api = services.frontends([], [], self._config)
            self._renew(only_api)

    async def run(self, informers: Informers) -> None:
        """Serve until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dns.serve(self._sockets["dns-udp"], self._sockets["dns-tcp"]))
            group.create_task(doors.serve_inward(self._sockets["node"]))
            group.create_task(doors.serve_outward(self._sockets["egress"], self._folder.relay_socket))
            group.create_task(self.forwarding.run())
            group.create_task(self._follow(informers))

    async def _follow(self, informers: Informers) -> None:
        caches = [informers.of(gvr) for gvr in (resources.SERVICES, resources.ENDPOINT_SLICES, resources.NAMESPACES)]
        for cache in caches:
            cache.add_handler(self._note)
        for cache in caches:
            await cache.synced.wait()
        found, slices, spaces = caches
        while True:
            self._dirty.clear()
            await self._apply(list(found), list(slices), [space["metadata"]["name"] for space in spaces])
            await self._dirty.wait()
            await asyncio.sleep(_SETTLE)

    def _note(self, _old: Mapping[str, Any] | None, _new: Mapping[str, Any] | None) -> None:
        self._dirty.set()

    async def _apply(self, found: list[dict[str, Any]], slices: list[dict[str, Any]], spaces: list[str]) -> None:
        self.dns.load(zone.build(found, slices, spaces, self._config.cluster_domain))
        self.forwarding.update(found)
        wanted = services.frontends(found, slices, self._config)
        while True:
            try:
                await asyncio.to_thread(self._change, wanted)
                return
            except VarkaError as error:
                log.error("%s; the whole table is written anew", error)
                self._applied = None
                await asyncio.sleep(_RETRY)

    def _change(self, wanted: services.Frontends) -> None:
        if self._applied is None:
            self._renew(wanted)
            return
        for text in services.transactions(services.changes(self._applied, wanted)):
            self._nft.run(text)
        self._applied = wanted

    def _renew(self, wanted: services.Frontends) -> None:
        for text in services.transactions([services.base(self._config), *services.changes({}, wanted)]):
            self._nft.run(text)
        self._applied = wanted
