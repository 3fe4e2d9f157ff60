"""EndpointSlices and the legacy Endpoints of every Service that selects pods.

A change of a pod that alters no endpoint (a heartbeat in its status, say) is noticed here and writes nothing.
Endpoints that a user writes for a Service without a selector are mirrored into a slice.
"""

from __future__ import annotations

from typing import Any

from varka.client.api import ApiError, Object
from varka.client.informers import Key
from varka.client.resources import ENDPOINT_SLICES, ENDPOINTS, PODS, SERVICES
from varka.cluster.controllers import ownership, podstate, slices
from varka.cluster.controllers.context import Context
from varka.cluster.controllers.queues import Reconciler

SERVICE_NAME = "kubernetes.io/service-name"
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"
MIRROR = "endpointslicemirroring-controller.k8s.io"
BY_SERVICE, BY_NAMESPACE = "service", "namespace"


class EndpointSlices:
    """The controller; keys of its queue are services."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._services, self._pods = context.informer(SERVICES), context.informer(PODS)
        self._slices, self._endpoints = context.informer(ENDPOINT_SLICES), context.informer(ENDPOINTS)
        self._pods.add_index(BY_NAMESPACE, lambda obj: (obj["metadata"]["namespace"],))
        self._services.add_index(BY_NAMESPACE, lambda obj: (obj["metadata"]["namespace"],) if obj["spec"].get("selector") else ())
        self._slices.add_index(BY_SERVICE, _service_of)
        self.reconciler = Reconciler("endpoints", self.reconcile, context.clock)
        self._services.add_handler(self.reconciler.on_change())
        self._endpoints.add_handler(self.reconciler.on_change())
        self._pods.add_handler(self._pod_changed)
        self._slices.add_handler(self._slice_changed)

    def _pod_changed(self, old: Object | None, new: Object | None) -> None:
        if old is not None and new is not None and _seen(old) == _seen(new):
            return
        pod = new if new is not None else old
        if pod is None:
            return
        labels = [(one["metadata"].get("labels") or {}).items() for one in (old, new) if one is not None]
        for service in self._services.indexed(BY_NAMESPACE, pod["metadata"]["namespace"]):
            selector = service["spec"]["selector"].items()
            if any(selector <= one for one in labels):
                self.reconciler.add(Key(service["metadata"]["namespace"], service["metadata"]["name"]))

    def _slice_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new if new is not None else old
        name = (obj["metadata"].get("labels") or {}).get(SERVICE_NAME) if obj is not None else None
        if obj is not None and name and old is not None:
            self.reconciler.add(Key(obj["metadata"]["namespace"], name))

    async def reconcile(self, key: Key) -> None:
        """Bring the slices and the Endpoints of one service up to date."""
        service = self._services.items.get(key)
        if service is None or "deletionTimestamp" in service["metadata"]:
            await self._forget(key)
            return
        if service["spec"].get("type") == "ExternalName":
            return
        if not service["spec"].get("selector"):
            await self._mirror(service)
            return
        pods = self._pods.indexed(BY_NAMESPACE, key.namespace)
        await self._put_slices(service, slices.wanted(service, pods), slices.MANAGER)
        await self._put_endpoints(service, slices.subsets(service, pods))

    async def _forget(self, key: Key) -> None:
        """Endpoints have no owner reference: they go with their service."""
        held = self._endpoints.items.get(key)
        marker = "endpoints.kubernetes.io/managed-by"
        if held is not None and (held["metadata"].get("labels") or {}).get(marker) == "endpoint-controller":
            await self._context.delete(ENDPOINTS, held)
        for one in self._of(key, (slices.MANAGER, MIRROR)):
            await self._context.delete(ENDPOINT_SLICES, one)

    async def _mirror(self, service: Object) -> None:
        meta = service["metadata"]
        held = self._endpoints.get(meta["name"], meta["namespace"])
        wanted = []
        skip = held is None or (held["metadata"].get("labels") or {}).get("endpointslice.kubernetes.io/skip-mirror") == "true"
        for subset in () if skip or held is None else held.get("subsets") or ():
            entries = [_mirrored(one, ready=True) for one in subset.get("addresses") or ()]
            entries += [_mirrored(one, ready=False) for one in subset.get("notReadyAddresses") or ()]
            ports = tuple({"name": "", "protocol": "TCP", **port} for port in subset.get("ports") or ())
            wanted.append(slices.Slice(family="IPv4", ports=ports, endpoints=tuple(entries)))
        await self._put_slices(service, wanted, MIRROR)

    def _of(self, key: Key, managers: tuple[str, ...]) -> list[Object]:
        mine = self._slices.indexed(BY_SERVICE, f"{key.namespace}/{key.name}")
        return sorted((one for one in mine if one["metadata"]["labels"].get(MANAGED_BY) in managers), key=lambda one: str(one["metadata"]["name"]))

    async def _put_slices(self, service: Object, wanted: list[slices.Slice], manager: str) -> None:
        meta = service["metadata"]
        held = [one for one in self._of(Key(meta["namespace"], meta["name"]), (manager,)) if "deletionTimestamp" not in one["metadata"]]
        labels = {**(meta.get("labels") or {}), SERVICE_NAME: meta["name"], MANAGED_BY: manager}
        if service["spec"].get("clusterIP") == "None":
            labels[slices.HEADLESS] = ""
        for one in wanted:
            reusable = [old for old in held if old["addressType"] == one.family]
            old = next((old for old in reusable if old.get("ports") == list(one.ports)), reusable[0] if reusable else None)
            body: Object = {"addressType": one.family, "endpoints": list(one.endpoints), "ports": list(one.ports)}
            if old is None:
                await self._create(service, labels, body)
                continue
            held.remove(old)
            if {name: old.get(name) or [] for name in ("endpoints", "ports")} != {"endpoints": body["endpoints"], "ports": body["ports"]} or (
                old["metadata"].get("labels") != labels
            ):
                await self._context.update(ENDPOINT_SLICES, {**old, **body, "metadata": {**old["metadata"], "labels": labels}})
        for old in held:
            await self._context.delete(ENDPOINT_SLICES, old)

    async def _create(self, service: Object, labels: dict[str, str], body: Object) -> None:
        meta = service["metadata"]
        made = {
            "generateName": meta["name"] + "-",
            "namespace": meta["namespace"],
            "labels": labels,
            "ownerReferences": [ownership.reference(service, "v1", "Service")],
        }
        await self._context.create(ENDPOINT_SLICES, {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": made, **body})

    async def _put_endpoints(self, service: Object, subsets: list[Object]) -> None:
        meta = service["metadata"]
        labels = {**(meta.get("labels") or {}), "endpoints.kubernetes.io/managed-by": "endpoint-controller"}
        if service["spec"].get("clusterIP") == "None":
            labels[slices.HEADLESS] = ""
        held = self._endpoints.get(meta["name"], meta["namespace"])
        body: dict[str, Any] = {"subsets": subsets} if subsets else {}
        if held is None:
            named = {"name": meta["name"], "namespace": meta["namespace"], "labels": labels}
            try:
                await self._context.create(ENDPOINTS, {"apiVersion": "v1", "kind": "Endpoints", "metadata": named, **body})
            except ApiError as error:
                if error.code != 404:
                    raise
        elif (held.get("subsets") or []) != subsets or held["metadata"].get("labels") != labels:
            kept = {name: value for name, value in held.items() if name != "subsets"}
            await self._context.update(ENDPOINTS, {**kept, **body, "metadata": {**held["metadata"], "labels": labels}})


def _service_of(obj: Object) -> tuple[str, ...]:
    name = (obj["metadata"].get("labels") or {}).get(SERVICE_NAME)
    return (f"{obj['metadata']['namespace']}/{name}",) if name else ()


def _seen(pod: Object) -> tuple[Any, ...]:
    """What endpoints depend on."""
    status = pod.get("status") or {}
    where = status.get("podIP"), status.get("podIPs"), pod["spec"].get("nodeName")
    return (pod["metadata"].get("labels"), podstate.ready(pod), podstate.terminating(pod), podstate.ended(pod), *where)


def _mirrored(address: Object, *, ready: bool) -> Object:
    made: Object = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for name in ("hostname", "nodeName", "targetRef"):
        if address.get(name):
            made[name] = address[name]
    return made
