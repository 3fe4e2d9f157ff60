"""Each pod's link: a veth pair, routed, with one address and no bridge.

The pod's end is `eth0` with a /32 address and a default route to 169.254.1.1, an address that the node owns on loopback and
answers for on every link. The node's end is named after the address and carries a /32 route. Since every packet is routed,
nftables in the node's namespace sees them all.
"""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path

from varka.cluster.network import addresses, netlink
from varka.cluster.settings import ClusterSettings

GATEWAY = "169.254.1.1"


def link_name(address: str) -> str:
    """Name of the node's end of the link to the pod with `address`: `vp` and the address in hexadecimal."""
    return "vp" + socket.inet_aton(address).hex()


def prepare_node(config: ClusterSettings) -> None:
    """Give the node's namespace its addresses, its routes and forwarding; safe to repeat."""
    with netlink.Netlink() as route:
        route.set_up("lo")
        loopback = netlink.index_of("lo")
        for address in (config.node_ip, config.dns_ip):
            route.add_address(loopback, address, 32)
        route.add_address(loopback, GATEWAY, 32, netlink.SCOPE_LINK)
        # Packets to service and outside addresses are rewritten or refused by nftables; without a route they would never get there.
        route.add_route("0.0.0.0", 0, loopback, source=config.node_ip)
    for key, value in (("ip_forward", "1"), ("conf/all/rp_filter", "0"), ("conf/default/rp_filter", "0"), ("ip_local_port_range", "20000 60999")):
        Path("/proc/sys/net/ipv4", key).write_text(value)


class PodNetwork:
    """Attaches pods to the node."""

    def __init__(self, config: ClusterSettings, file: Path | None = None) -> None:
        self._addresses = addresses.Addresses(config.pod_cidr, (config.node_ip,), file)
        self._route = netlink.Netlink()

    async def attach(self, uid: str, pid: int) -> str:
        """Link the network namespace of process `pid` to the node, or find the link that is there; the pod's address."""
        address = self._addresses.take(uid)
        try:
            await asyncio.to_thread(self._link, address, pid)
        except OSError:
            self._addresses.give_back(uid)
            raise
        return address

    async def detach(self, uid: str) -> None:
        """Remove the pod's link and give its address back; unknown pods are fine."""
        address = self._addresses.of(uid)
        if address:
            await asyncio.to_thread(self._unlink, address)
            self._addresses.give_back(uid)

    async def retain(self, uids: set[str]) -> None:
        """Detach every pod that is not in `uids`: those that ended while the node was away."""
        for uid in self._addresses.owners() - uids:
            await self.detach(uid)

    def address(self, uid: str) -> str:
        """The pod's address, or the empty string."""
        return self._addresses.of(uid)

    def _link(self, address: str, pid: int) -> None:
        name = link_name(address)
        namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            if name in _interfaces() and "eth0" in netlink.inside(namespace, _interfaces):
                return
            with netlink.Netlink() as route:
                route.delete_link(name)
                route.create_veth(name, "eth0", namespace)
                route.add_route(address, 32, netlink.index_of(name))
            netlink.inside(namespace, lambda: _configure_pod(address))
        finally:
            os.close(namespace)

    def _unlink(self, address: str) -> None:
        with netlink.Netlink() as route:
            route.delete_link(link_name(address))


def _interfaces() -> set[str]:
    return {name for _, name in socket.if_nameindex()}


def _configure_pod(address: str) -> None:
    with netlink.Netlink() as route:
        route.set_up("lo")
        route.set_up("eth0")
        index = netlink.index_of("eth0")
        route.add_address(index, address, 32)
        route.add_route(GATEWAY, 32, index)
        route.add_route("0.0.0.0", 0, index, gateway=GATEWAY)
    # As in Kubernetes: a container without capabilities may listen on port 80. The file is that of this thread's namespace.
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("0")
