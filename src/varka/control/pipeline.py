"""The stages in a row: informers' objects → typed resources → Snapshot → ProxyView → Envoy resources.

Nothing here decides anything. Each stage keeps its results for as long as its inputs are the same objects, so all
that has to be done is to hand over the same objects again: a resource is parsed once for each of its versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from varka.base.wire import WireResource
from varka.client import resources as kinds
from varka.control import credentials, nodes
from varka.control.settings import Settings
from varka.control.state import ClusterState
from varka.model.view import Proxy
from varka.xds.server import Client


class MeshPipeline:
    """Implements `push.Pipeline`."""

    def __init__(self, state: ClusterState, settings: Settings) -> None:
        self._state = state
        self._settings = settings
        self._snapshot: Any = None
        self._proxies: dict[str, Proxy] = {}

    @property
    def snapshot(self) -> Any:
        """The mesh as it was when it was last refreshed; None before that."""
        return self._snapshot

    def refresh(self) -> None:
        """Compute the mesh's state anew."""
        raise NotImplementedError

    def identify(self, client: Client) -> Proxy:
        """The proxy behind a stream; equal proxies stay the same object."""
        mesh = self._state.mesh_config
        domains = frozenset([str(mesh.get("trustDomain") or "cluster.local"), *map(str, mesh.get("trustDomainAliases") or [])])
        found = nodes.proxy(client, lambda name, namespace: self._state.one(kinds.PODS, name, namespace), domains)
        return client.context if client.context == found else found

    def resources(self, proxy: Proxy) -> Mapping[str, Mapping[str, WireResource]]:
        """Everything that the proxy is to have, by type URL."""
        raise NotImplementedError

    def secrets(self, proxy: Proxy, names: frozenset[str]) -> Sequence[WireResource]:
        """Credentials from Secrets of the proxy's own namespace."""
        return credentials.build(names, proxy.namespace, lambda namespace, name: self._state.secrets.get(name, namespace))
