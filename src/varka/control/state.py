"""What the control plane knows of the cluster: local copies of the kinds it needs, which survive the loss of the API.

Istio's own kinds may be missing: each is followed from the moment when its CustomResourceDefinition is established,
and forgotten when that is deleted.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from varka.base.clock import Clock
from varka.client import resources
from varka.client.api import Api, Gvr, Object
from varka.client.informers import Informer
from varka.control import metrics
from varka.control.settings import Settings
from varka.resources.gateway_api import kinds as gateway_api

log = logging.getLogger("varka.control.state")

NETWORKING, SECURITY = "networking.istio.io", "security.istio.io"
GATEWAY_API = gateway_api.GROUP
MESH_KINDS: dict[str, tuple[str, ...]] = {
    NETWORKING: (
        "gateways",
        "virtualservices",
        "destinationrules",
        "serviceentries",
        "sidecars",
        "workloadentries",
        "workloadgroups",
        "envoyfilters",
        "proxyconfigs",
    ),
    SECURITY: ("authorizationpolicies", "peerauthentications", "requestauthentications"),
    "telemetry.istio.io": ("telemetries",),
    "extensions.istio.io": ("wasmplugins",),
    GATEWAY_API: tuple(kind.plural for kind in gateway_api.KINDS),
}
_RESOURCES = {one.gvr: one for one in resources.BUILTIN}
CORE_KINDS = (
    resources.NAMESPACES,
    resources.SERVICES,
    resources.ENDPOINT_SLICES,
    resources.PODS,
    resources.NODES,
    resources.INGRESSES,
    resources.INGRESS_CLASSES,
)
SYNC_SECONDS = 30.0
AUTHORITY_KEYS = ("cacert", "ca.crt")
"""A ConfigMap with one of these may hold what a gateway checks its clients' certificates against."""

Changed = Callable[[str], None]
"""Told what kind of thing changed: `config`, `service`, `endpoint`, `proxy`, `global`, `secret`."""


class ClusterState:
    """Informers of everything that configuration depends on. `run` keeps them fresh, `synced` says when all is known."""

    def __init__(self, api: Api, settings: Settings, changed: Changed, clock: Clock) -> None:
        self._api = api
        self._settings = settings
        self._changed = changed
        self._clock = clock
        self._definitions = Informer(api, resources.CUSTOM_RESOURCE_DEFINITIONS, clock=clock)
        self._core = {gvr: Informer(api, gvr, clock=clock) for gvr in CORE_KINDS}
        self.secrets = Informer(api, resources.SECRETS, clock=clock)
        self.config_maps = Informer(api, resources.CONFIGMAPS, clock=clock)
        self._mesh: dict[Gvr, Informer] = {}
        self._tasks: dict[Gvr, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self.synced = asyncio.Event()
        self.versions: Counter[Gvr] = Counter()
        """By kind: grows with every change that matters."""
        self._mesh_text: tuple[str, dict[str, Any]] = ("", {})
        self._values_text: tuple[str, dict[str, Any]] = ("", {})

    @property
    def namespaces(self) -> Informer:
        return self._core[resources.NAMESPACES]

    def objects(self, gvr: Gvr) -> list[Object]:
        """All objects of a core kind."""
        return list(self._core[gvr].items.values())

    def one(self, gvr: Gvr, name: str, namespace: str = "") -> Object | None:
        """One object of a core kind."""
        return self._core[gvr].get(name, namespace)

    def mesh_objects(self) -> list[Object]:
        """All objects of Istio's kinds, with apiVersion and kind."""
        return [obj for gvr in sorted(self._mesh) if gvr.group != GATEWAY_API for obj in self._mesh[gvr].items.values()]

    def ours(self, obj: Object) -> bool:
        """Whether a resource is for this revision: it names it, or none at all."""
        wanted = (obj["metadata"].get("labels") or {}).get("istio.io/rev")
        return not wanted or wanted == self._settings.revision

    def mesh_informers(self) -> Mapping[Gvr, Informer]:
        """The informers of the kinds of Istio and of the Gateway API that are served now."""
        return self._mesh

    @property
    def mesh_config(self) -> dict[str, Any]:
        """MeshConfig as written in the ConfigMap `istio`; the last good one when it is malformed."""
        text = self._config_text(f"istio{self._settings.suffix}", "mesh")
        if text != self._mesh_text[0]:
            try:
                found = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}  # noqa: S506
                self._mesh_text = (text, found if isinstance(found, dict) else {})
            except yaml.YAMLError as error:
                log.error("the mesh configuration is no YAML and is not used: %s", error)
                self._mesh_text = (text, self._mesh_text[1])
        return self._mesh_text[1]

    @property
    def mesh_config_map(self) -> Object | None:
        """The ConfigMap `istio` itself."""
        return self.config_maps.get(f"istio{self._settings.suffix}", self._settings.namespace)

    @property
    def values(self) -> dict[str, Any]:
        """The installation's values from the ConfigMap `istio-sidecar-injector`."""
        text = self._config_text(f"istio-sidecar-injector{self._settings.suffix}", "values")
        if text != self._values_text[0]:
            try:
                found = json.loads(text) if text else {}
                self._values_text = (text, found if isinstance(found, dict) else {})
            except ValueError as error:
                log.error("the injector's values are no JSON and are not used: %s", error)
                self._values_text = (text, self._values_text[1])
        return self._values_text[1]

    def _config_text(self, name: str, key: str) -> str:
        found = self.config_maps.get(name, self._settings.namespace)
        return str(((found or {}).get("data") or {}).get(key) or "")

    async def run(self) -> None:
        """Follow everything until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            self._watch_core(group)
            self._definitions.add_handler(self._definition_changed)
            group.create_task(self._definitions.run(), name="informer:definitions")
            await self._definitions.synced.wait()
            first = [*self._core.values(), self.secrets, self.config_maps, *self._mesh.values()]
            for informer in first:
                await informer.synced.wait()
            self.synced.set()
            self._note("global")

    def _watch_core(self, group: asyncio.TaskGroup) -> None:
        reasons = {resources.SERVICES: "service", resources.ENDPOINT_SLICES: "endpoint", resources.PODS: "proxy"}
        for gvr, informer in self._core.items():
            informer.add_handler(self._completing(_RESOURCES[gvr]))
            informer.add_handler(self._registry_handler(gvr, reasons.get(gvr, "global"), ASPECTS[gvr]))
            group.create_task(informer.run(), name=f"informer:{gvr.resource}")
        self.secrets.add_handler(self._registry_handler(resources.SECRETS, "secret", _data))
        self.config_maps.add_handler(self._config_map_changed)
        group.create_task(self.secrets.run(), name="informer:secrets")
        group.create_task(self.config_maps.run(), name="informer:configmaps")

    def _registry_handler(self, gvr: Gvr, reason: str, aspect: Callable[[Object], object]) -> Callable[[Object | None, Object | None], None]:
        def handle(old: Object | None, new: Object | None) -> None:
            if old is not None and new is not None and aspect(old) == aspect(new):
                return
            metrics.REGISTRY_EVENTS.labels(type=gvr.resource, event=_verb(old, new)).inc()
            self._note(reason, gvr)

        return handle

    def _config_map_changed(self, old: Object | None, new: Object | None) -> None:
        obj = new or old
        names = {f"istio{self._settings.suffix}", f"istio-sidecar-injector{self._settings.suffix}"}
        if obj is None:
            return
        if obj["metadata"]["namespace"] == self._settings.namespace and obj["metadata"]["name"] in names:
            self._note("global")
        elif any(key in (one.get("data") or {}) for one in (old, new) if one is not None for key in AUTHORITY_KEYS):
            self._note("secret", resources.CONFIGMAPS)

    def _config_changed(self, resource: resources.Resource) -> Callable[[Object | None, Object | None], None]:
        def handle(old: Object | None, new: Object | None) -> None:
            if old is not None and new is not None and all_but_status(old) == all_but_status(new):
                return
            metrics.CONFIG_EVENTS.labels(type=resource.kind, event=_verb(old, new)).inc()
            self._note("config", resource.gvr)

        return handle

    def _note(self, reason: str, gvr: Gvr | None = None) -> None:
        if gvr is not None:
            self.versions[gvr] += 1
        if self.synced.is_set():
            metrics.INBOUND.labels(type=reason).inc()
            self._changed(reason)

    def _definition_changed(self, old: Object | None, new: Object | None) -> None:
        definition = new or old
        if definition is None:
            return
        spec = definition["spec"]
        if spec["names"]["plural"] not in MESH_KINDS.get(spec["group"], ()):
            return
        found = resources.defined(definition)
        if not found:
            return
        resource = found[0]
        if new is not None and resource.gvr not in self._mesh and self._group is not None:
            informer = self._mesh[resource.gvr] = Informer(self._api, resource.gvr, clock=self._clock)
            informer.add_handler(self._completing(resource))
            informer.add_handler(self._config_changed(resource))
            self._tasks[resource.gvr] = self._group.create_task(self._follow(resource.gvr, informer), name=f"informer:{resource.gvr.resource}")
        elif new is None and resource.gvr in self._mesh:
            del self._mesh[resource.gvr]
            self._tasks.pop(resource.gvr).cancel()
            self._note("config", resource.gvr)

    async def _follow(self, gvr: Gvr, informer: Informer) -> None:
        try:
            await informer.run()
        except asyncio.CancelledError:
            if gvr in self._mesh:
                raise

    def _completing(self, resource: resources.Resource) -> Callable[[Object | None, Object | None], None]:
        """Lists leave out what each item is; put it back, since parsing goes by it."""

        def handle(_: Object | None, new: Object | None) -> None:
            if new is not None:
                new.setdefault("apiVersion", resource.api_version)
                new.setdefault("kind", resource.kind)

        return handle


def _verb(old: Object | None, new: Object | None) -> str:
    return "add" if old is None else "delete" if new is None else "update"


def _whole(obj: Object) -> object:
    return {name: value for name, value in obj.items() if name != "metadata"}, obj["metadata"].get("labels")


def all_but_status(obj: Object) -> object:
    """What the user wrote."""
    meta = obj["metadata"]
    return {name: value for name, value in obj.items() if name not in ("metadata", "status")}, meta.get("labels"), meta.get("annotations")


def _labels_only(obj: Object) -> object:
    return obj["metadata"].get("labels"), obj["metadata"].get("annotations")


def _data(obj: Object) -> object:
    return obj.get("data")


def _pod(obj: Object) -> object:
    """What endpoints and proxies depend on; conditions and container states change often and mean nothing here."""
    meta, spec, status = obj["metadata"], obj.get("spec") or {}, obj.get("status") or {}
    phase = status.get("phase") in ("Succeeded", "Failed")
    return (
        meta.get("labels"),
        meta.get("annotations"),
        spec.get("serviceAccountName"),
        spec.get("nodeName"),
        status.get("podIP"),
        phase,
        meta.get("deletionTimestamp"),
    )


def _service(obj: Object) -> object:
    """What the user wrote, and the addresses of a load balancer."""
    return all_but_status(obj), (obj.get("status") or {}).get("loadBalancer")


ASPECTS: dict[Gvr, Callable[[Object], object]] = {
    resources.NAMESPACES: _labels_only,
    resources.SERVICES: _service,
    resources.ENDPOINT_SLICES: _whole,
    resources.PODS: _pod,
    resources.NODES: _labels_only,
    resources.INGRESSES: all_but_status,
    resources.INGRESS_CLASSES: all_but_status,
}
"""The part of each core kind that configuration depends on; an object that differs elsewhere counts as unchanged."""
