"""Keeps the Gateway API's objects as they should be: statuses, our GatewayClass, and the workloads of Gateways.

Everything is compared before it is written, so several replicas do no harm: they would write the same.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from varka.base.clock import Clock, rfc3339
from varka.base.errors import VarkaError
from varka.client import manifests as applying
from varka.client import resources
from varka.client.api import Api, ApiError, Gvr, Object
from varka.control.gateway_api import manifests
from varka.control.settings import Settings
from varka.control.state import ClusterState
from varka.model.gateway_api.statuses import Condition
from varka.model.gateway_api.translation import GatewayStatus, Translation
from varka.model.snapshot import Snapshot
from varka.resources.gateway_api import kinds

log = logging.getLogger("varka.control.gateways")

QUIET_SECONDS = 0.4
"""Longer than a change needs to be in the snapshot."""
REPEAT_SECONDS = 5.0
"""A look without a change, for addresses that come late."""
_MANAGER = "istio.io/gateway-controller"


class GatewayKeeper:
    """`changed` says that there may be something to do; `run` does it."""

    def __init__(self, api: Api, state: ClusterState, settings: Settings, clock: Clock, snapshot: Callable[[], Snapshot | None]) -> None:
        self._api = api
        self._state = state
        self._settings = settings
        self._clock = clock
        self._snapshot = snapshot
        self._dirty = asyncio.Event()
        self._applied: dict[str, list[Object]] = {}

    def changed(self) -> None:
        """Something in the cluster may be different now."""
        self._dirty.set()

    async def run(self) -> None:
        """Keep things so until cancelled."""
        while True:
            try:
                async with asyncio.timeout(REPEAT_SECONDS):
                    await self._dirty.wait()
            except TimeoutError:
                pass
            await self._clock.sleep(QUIET_SECONDS)
            self._dirty.clear()
            snapshot = self._snapshot()
            served = self._served()
            if snapshot is None or not (served or snapshot.gateway_api.ingresses):
                continue
            try:
                await self.once(snapshot.gateway_api, snapshot.mesh.ingress_service)
            except VarkaError as error:
                log.warning("not everything of the Gateway API was written: %s", error)
                await self._clock.sleep(REPEAT_SECONDS)
                self._dirty.set()

    def _served(self) -> dict[str, Gvr]:
        """The kinds of the Gateway API that the cluster serves, by plural."""
        return {gvr.resource: gvr for gvr in self._state.mesh_informers() if gvr.group == kinds.GROUP}

    async def once(self, made: Translation, ingress_service: str = "") -> None:
        """Compare everything once, and write what differs."""
        served = self._served()
        if "gatewayclasses" in served:
            await self._class(served["gatewayclasses"], made)
        for workload in made.workloads:
            await self._deploy(f"{workload.namespace}/{workload.name}", manifests.objects(workload, self._settings.revision))
        for (kind, namespace, name), found in made.gateway_statuses.items():
            obj = self._find(served, f"{kind.lower()}s", namespace, name)
            if obj is not None:
                await self._write(served["gateways"], obj, lambda obj, found=found: self._gateway_status(obj, found))  # type: ignore[misc]
        for (kind, namespace, name), parents in made.route_statuses.items():
            plural = f"{kind.lower()}s"
            obj = self._find(served, plural, namespace, name)
            if obj is not None:
                await self._write(
                    served[plural],
                    obj,
                    lambda obj, parents=parents: {"parents": _parents(obj, [one.shown(_generation(obj), _namespace(obj)) for one in parents])},  # type: ignore[misc]
                )
        address = self._address(self._settings.namespace, ingress_service)
        for _, namespace, name in made.ingresses:
            ingress = self._state.one(resources.INGRESSES, name, namespace)
            if ingress is not None and address:
                await self._write(resources.INGRESSES, ingress, lambda _: {"loadBalancer": {"ingress": address}})

    def _find(self, served: Mapping[str, Gvr], plural: str, namespace: str, name: str) -> Object | None:
        gvr = served.get(plural)
        return self._state.mesh_informers()[gvr].get(name, namespace) if gvr is not None else None

    async def _class(self, gvr: Gvr, made: Translation) -> None:
        """Our class, and the word that those which name us are accepted."""
        informer = self._state.mesh_informers()[gvr]
        if informer.get(kinds.CLASS) is None:
            body = {
                "apiVersion": f"{kinds.GROUP}/{gvr.version}",
                "kind": "GatewayClass",
                "metadata": {"name": kinds.CLASS},
                "spec": {"controllerName": kinds.CONTROLLER, "description": "gateways made of Envoy, kept by the mesh's control plane"},
            }
            try:
                await self._api.create(gvr, body)
            except ApiError as error:
                if error.code != 409:
                    raise
        for name, conditions in made.classes.items():
            obj = informer.get(name)
            if obj is not None:
                await self._write(gvr, obj, lambda obj, conditions=conditions: {"conditions": _shown(obj, conditions)})  # type: ignore[misc]

    async def _deploy(self, key: str, wanted: list[Object]) -> None:
        present = self._state.one(resources.SERVICES, *reversed(key.split("/"))) is not None
        if present and self._applied.get(key) == wanted:
            return
        await applying.apply(self._api, wanted, manager=_MANAGER)
        self._applied[key] = wanted

    def _gateway_status(self, obj: Object, found: GatewayStatus) -> Object:
        """Conditions and listeners as computed, addresses from the services, and whether traffic can come."""
        addresses = [address for host in found.services for address in self._addresses(host)]
        usable = any(any(one.type == "Programmed" and one.holds for one in listener.conditions) for listener in found.listeners)
        if not all(one.holds for one in found.conditions):
            programmed = Condition(type="Programmed", holds=False, reason="Invalid", message="it is not accepted")
        elif not addresses:
            programmed = Condition(type="Programmed", holds=False, reason="AddressNotAssigned", message=f"no address yet for {', '.join(found.services)}")
        elif not usable:
            programmed = Condition(type="Programmed", holds=False, reason="Invalid", message="no listener can be used")
        else:
            programmed = Condition(type="Programmed", holds=True, reason="Programmed", message=f"reached by {', '.join(found.services)}")
        generation = _generation(obj)
        return {
            "conditions": _shown(obj, (*found.conditions, programmed)),
            "listeners": [one.shown(generation) for one in found.listeners],
            "addresses": addresses,
        }

    def _addresses(self, host: str) -> list[Object]:
        name, _, rest = host.partition(".")
        namespace = rest.partition(".")[0]
        found = self._address(namespace, name)
        if found:
            return [{"type": "Hostname" if "hostname" in one else "IPAddress", "value": str(one.get("hostname") or one.get("ip"))} for one in found]
        service = self._state.one(resources.SERVICES, name, namespace)
        if service is None or service["spec"].get("type") == "LoadBalancer":
            return []
        return [{"type": "Hostname", "value": host}]

    def _address(self, namespace: str, name: str) -> list[Object]:
        """What a Service of type LoadBalancer was given."""
        service = self._state.one(resources.SERVICES, name, namespace) or {}
        found = ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        return [{key: one[key] for key in ("ip", "hostname") if key in one} for one in found]

    async def _write(self, gvr: Gvr, obj: Object, make: Callable[[Object], Object]) -> None:
        wanted = _timed(make(obj), obj.get("status") or {}, rfc3339(self._clock.now()))
        given = obj.get("status") or {}
        if all(given.get(key) == value for key, value in wanted.items()):
            return
        try:
            await self._api.patch(gvr, obj["metadata"]["name"], {"status": wanted}, obj["metadata"].get("namespace"), subresource="status")
        except ApiError as error:
            if error.code not in (404, 409):
                raise


def _generation(obj: Object) -> int:
    return int(obj["metadata"].get("generation") or 0)


def _namespace(obj: Object) -> str:
    return str(obj["metadata"].get("namespace") or "")


def _shown(obj: Object, conditions: tuple[Condition, ...]) -> list[Object]:
    return [one.shown(_generation(obj)) for one in conditions]


def _parents(obj: Object, ours: list[Object]) -> list[Object]:
    """Ours, and those that other controllers wrote."""
    given = (obj.get("status") or {}).get("parents") or []
    return [*ours, *(one for one in given if one.get("controllerName") != kinds.CONTROLLER)]


def _timed(wanted: Any, given: Any, now: str) -> Any:
    """`wanted` with the time of the last change in each condition: the one that is there where nothing else is different."""
    if isinstance(wanted, list):
        before = given if isinstance(given, list) else []
        return [_timed(one, _counterpart(one, before), now) for one in wanted]
    if not isinstance(wanted, dict):
        return wanted
    found = given if isinstance(given, dict) else {}
    result = {key: _timed(value, found.get(key), now) for key, value in wanted.items()}
    if {"type", "status", "reason"} <= wanted.keys():
        same = found.get("status") == wanted["status"] and found.get("reason") == wanted["reason"]
        result["lastTransitionTime"] = found.get("lastTransitionTime", now) if same else now
    return result


def _counterpart(one: Any, before: list[Any]) -> Any:
    """The entry of the same condition, listener or parent."""
    if not isinstance(one, dict):
        return None
    for key in ("type", "name", "parentRef"):
        if key in one:
            return next((other for other in before if isinstance(other, dict) and other.get(key) == one[key]), None)
    return None
