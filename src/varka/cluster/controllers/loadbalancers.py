"""Services of type LoadBalancer: an address from outside the cluster, which someone else provides.

The provider (on one machine: a loopback address that the host relay forwards) is handed in as two functions.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from varka.client.api import Object
from varka.client.informers import Key
from varka.client.resources import SERVICES
from varka.cluster.controllers import events
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.events import Recorder
from varka.cluster.controllers.queues import Reconciler

COMPONENT = "service-controller"
PORT_ERROR = "varka.dev/PortUnavailable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """An address, and at which of its ports each service port is found (port, port outside; normally the same)."""

    ip: str
    ports: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """Who provides addresses. `allocate` must give the same answer for the same service and may be called again at any
    time, also after a restart; it raises VarkaError when there is no address. `release` takes back what a service had."""

    allocate: Callable[[Object], Awaitable[Allocation]]
    release: Callable[[Key], Awaitable[None]]


def ingress(service: Object, allocation: Allocation) -> Object:
    """An entry of `status.loadBalancer.ingress`; ports are named only when one of them is not as the service asks for."""
    entry: Object = {"ip": allocation.ip, "ipMode": "VIP"}
    outside = dict(allocation.ports)
    ports: list[Object] = []
    for port in service["spec"].get("ports", []):
        protocol = port.get("protocol", "TCP")
        served = outside.get(port["port"], port["port"]) == port["port"] and protocol == "TCP"
        ports.append({"port": port["port"], "protocol": protocol, **({} if served else {"error": PORT_ERROR})})
    if any("error" in port for port in ports):
        entry["ports"] = ports
    return entry


class LoadBalancers:
    """The controller; `reconciler` is its loop."""

    def __init__(self, context: Context, recorder: Recorder, balancer: Balancer) -> None:
        self._context = context
        self._recorder = recorder
        self._balancer = balancer
        self._services = context.informer(SERVICES)
        self._held: set[Key] = set()
        self.reconciler = Reconciler("loadbalancers", self.reconcile, context.clock)
        self._services.add_handler(self._changed)

    def _changed(self, old: Object | None, new: Object | None) -> None:
        for obj in (old, new):
            if obj is not None and obj["spec"].get("type") == "LoadBalancer":
                self.reconciler.add(Key(obj["metadata"]["namespace"], obj["metadata"]["name"]))

    async def reconcile(self, key: Key) -> None:
        """Give or take back the address of one service."""
        service = self._services.items.get(key)
        wanted = service is not None and service["spec"].get("type") == "LoadBalancer" and "deletionTimestamp" not in service["metadata"]
        if service is None or not wanted:
            if key in self._held:
                await self._balancer.release(key)
                self._held.discard(key)
            if service is not None and (service.get("status") or {}).get("loadBalancer"):
                await self._context.update_status(SERVICES, service, {**service["status"], "loadBalancer": {}})
            return
        self._held.add(key)
        allocation = await self._balancer.allocate(service)
        status = {**(service.get("status") or {}), "loadBalancer": {"ingress": [ingress(service, allocation)]}}
        if service.get("status") != status:
            await self._context.update_status(SERVICES, service, status)
            self._recorder.record(COMPONENT, service, events.NORMAL, "EnsuredLoadBalancer", "Ensured load balancer")
            for port, outside in allocation.ports:
                if port != outside:
                    text = f"Port {port} cannot be had on this machine; it is served at {allocation.ip}:{outside}"
                    self._recorder.record(COMPONENT, service, events.WARNING, "PortMoved", text)
