"""The stages in a row: informers' objects → typed resources → Snapshot → ProxyView → Envoy resources.

Nothing here decides anything. Each stage keeps its results for as long as its inputs are the same objects, so all
that has to be done is to hand over the same objects again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from varka.base.wire import WireResource
from varka.client import resources as kinds
from varka.client.api import Object
from varka.control import metrics, nodes
from varka.control.addresses import AddressKeeper
from varka.control.certificates import credentials
from varka.control.parsing import ParsedObjects
from varka.control.reporting.patch_reports import PatchReports
from varka.control.settings import Settings
from varka.control.signing_keys import KeyFetcher
from varka.control.state import ClusterState
from varka.control.wasm_fetcher import WasmFetcher
from varka.envoy import generate
from varka.envoy.patching import bootstraps
from varka.model import mesh_settings, snapshot, views
from varka.model.extending import wasm_plugins
from varka.model.inputs import Inputs
from varka.model.snapshot import Snapshot
from varka.model.view import MeshSettings, Proxy, ProxyType
from varka.resources.conditions import Condition, Severity, warning
from varka.resources.parsing import Parsed, parse
from varka.resources.traffic.proxy_configs import ProxyConfig
from varka.xds import types
from varka.xds.server import Client

log = logging.getLogger("varka.control.pipeline")

FIRST_KEYS_SECONDS, KEYS_SECONDS = 5.0, 1.0
"""How long the first push, and any later one, waits for keys of token issuers."""
MOST_IDENTIFIED = 20_000
"""Streams whose proxies are remembered; ended ones go when it is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the pipeline asks on its way."""

    keys: KeyFetcher
    may_read_secrets: Callable[[str, str], bool]
    """By namespace and service account."""
    addresses: AddressKeeper
    modules: WasmFetcher


class MeshPipeline:
    """Implements `push.Pipeline`."""

    def __init__(self, state: ClusterState, settings: Settings, parts: Parts) -> None:
        self._modules = parts.modules
        self._state = state
        self._parts = parts
        self._settings = settings
        self._keys = parts.keys
        self._objects = ParsedObjects(state)
        self._inputs = Inputs()
        self._mesh = MeshSettings(cluster_domain=settings.cluster_domain)
        self._read: tuple[Object | None] | None = None
        self._identified: dict[str, tuple[Object | None, frozenset[str], Proxy]] = {}
        self._patience = FIRST_KEYS_SECONDS
        self.patching = PatchReports()
        self.told: Callable[[tuple[Condition, ...]], None] = lambda _: None
        """Called with the findings in a mesh configuration that was read."""
        self.snapshot: Snapshot | None = None
        """The mesh as it was when it was last refreshed; None before that."""

    def refresh(self) -> None:
        """Compute the mesh's state anew."""
        objects: dict[str, Any] = self._objects.current()
        allocated = self._parts.addresses.update(objects.get("service_entries", ()))
        self._inputs = Inputs(mesh=self._mesh_settings(), signing_keys=self._keys.known, wasm_code=self._modules.known, allocated=allocated, **objects)
        first = self.snapshot is None
        self.patching.begin(self._inputs.envoy_filters)
        self.snapshot = snapshot.build(self._inputs, self.snapshot)
        self._patience = FIRST_KEYS_SECONDS if first else KEYS_SECONDS
        self._keys.want(self.snapshot.requests.sources)
        self._modules.want(self.snapshot.wasm_plugins.sources)
        metrics.SERVICES.set(len(self._inputs.services) + len(self._inputs.service_entries))
        metrics.VIRTUAL_SERVICES.set(len(self._inputs.virtual_services))

    def parsed(self) -> tuple[Parsed[Any], ...]:
        """The typed resources that the snapshot was made of, and those of other kinds."""
        return self._objects.all()

    async def settle(self) -> None:
        """Wait a moment for keys that are wanted for the first time, so that tokens are not refused for the lack of them."""
        if await self._keys.settle(self._patience):
            self.refresh()

    def _mesh_settings(self) -> MeshSettings:
        """The settings of the ConfigMap, the last good ones when it is no YAML; the same object until they differ."""
        config_map = self._state.mesh_config_map
        if self._read is not None and config_map is self._read[0]:
            return self._mesh
        self._read = (config_map,)
        found, conditions = mesh_settings.parse(config_map, self._settings.cluster_domain)
        for condition in conditions:
            log.warning("mesh configuration: %s", condition.text)
        self.told(conditions)
        if found != self._mesh and not any(condition.severity is Severity.ERROR and condition.reason == "NoYaml" for condition in conditions):
            self._mesh = found
        return self._mesh

    def identify(self, client: Client) -> Proxy:
        """The proxy behind a stream; for as long as it is equal it is the same object."""
        mesh = self._mesh_settings()
        domains = frozenset([mesh.trust_domain, *mesh.trust_domain_aliases])
        pod = self._state.one(kinds.PODS, *nodes.pod_name(client))
        kept = self._identified.get(client.id)
        if kept is not None and kept[0] is pod and kept[1] == domains:
            return kept[2]
        found = nodes.proxy(client, pod, domains)
        same: Proxy = client.context if client.context == found else found
        if len(self._identified) >= MOST_IDENTIFIED:
            self._identified.pop(next(iter(self._identified)))
        self._identified[client.id] = (pod, domains, same)
        return same

    def resources(self, proxy: Proxy) -> Mapping[str, Mapping[str, WireResource]]:
        """Everything that the proxy is to have, by type URL."""
        if self.snapshot is None:
            return {}
        seen = views.view(self.snapshot, proxy)
        found = generate.generate(seen)
        self.patching.note(seen.extensions.identities, found)
        return {
            types.CLUSTER: found.clusters,
            types.ENDPOINT: found.endpoints,
            types.LISTENER: found.listeners,
            types.ROUTE: found.routes,
            types.EXTENSION: found.extensions,
            types.NAME_TABLE: found.names,
        }

    def findings(self, obj: Object) -> list[Condition]:
        """What is known of a resource beyond the resource itself: unused patches, modules that cannot be fetched."""
        if obj.get("kind") != "WasmPlugin":
            return self.patching.of(obj)
        source = wasm_plugins.code_source(parse(obj))
        problem = self._modules.known.problems.get(source) if source is not None else None
        return [warning("spec.url", f"the module is not used: {problem}", "ModuleNotFetched")] if problem else []

    def proxy_configs(self) -> tuple[Parsed[ProxyConfig], ...]:
        """The ProxyConfig resources of the mesh."""
        return self._objects.current().get("proxy_configs", ())

    def bootstrap_addition(self, namespace: str, labels: Mapping[str, str], router: bool) -> str:
        """What EnvoyFilters add to the bootstrap of a pod that is about to be made."""
        if self.snapshot is None or not self.snapshot.envoy_filters.namespaces:
            return ""
        kind = ProxyType.ROUTER if router else ProxyType.SIDECAR
        found = Proxy(id="", type=kind, name="", namespace=namespace, ip="", labels=dict(labels), istio_version=self._settings.version)
        return bootstraps.addition(self.snapshot.envoy_filters.of(found), router)

    def secrets(self, proxy: Proxy, names: frozenset[str]) -> Sequence[WireResource]:
        """Credentials from Secrets of the proxy's own namespace, if its service account may read them, and from those that its Gateways refer to."""
        state = self._state
        secrets: credentials.Lookup = lambda place, name: state.secrets.get(name, place)  # noqa: E731
        config_maps: credentials.Lookup = lambda place, name: state.config_maps.get(name, place)  # noqa: E731
        found = credentials.granted(names, self._granted(proxy), secrets, config_maps)
        if self._parts.may_read_secrets(proxy.namespace, proxy.service_account or "default"):
            found += credentials.build(names, proxy.namespace, secrets, config_maps)
        return found

    def _granted(self, proxy: Proxy) -> frozenset[str]:
        """The Secrets that Gateways of the Gateway API which this proxy serves refer to."""
        if self.snapshot is None or not self.snapshot.gateway_api.credentials:
            return frozenset()
        known = self.snapshot.gateway_api.credentials
        served = {binding.server.gateway for binding in views.view(self.snapshot, proxy).gateways}
        return frozenset[str]().union(*(known.get(gateway, frozenset()) for gateway in served))
