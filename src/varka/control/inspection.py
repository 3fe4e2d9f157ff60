"""What the debug pages show: each proxy's status, what it was given, and the configuration that was read."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError

from varka.control.push import Pusher
from varka.control.settings import Settings
from varka.control.state import ClusterState
from varka.xds import status, types
from varka.xds.server import Client

_LEGACY = {"cds": "cluster", "lds": "listener", "rds": "route", "eds": "endpoint"}
AGENT = "GENERATOR"
"""In the metadata of a node that is no Envoy: what it wants."""
COLUMNS = ("cds", "lds", "eds", "rds", "sds", "ecds")


class Inspector:
    """Implements `debug_server.Subject`."""

    def __init__(self, pusher: Pusher, state: ClusterState, settings: Settings, ready: Callable[[], bool]) -> None:
        self._pusher = pusher
        self._state = state
        self._settings = settings
        self._ready = ready

    def ready(self) -> bool:
        return self._ready()

    def sync_status(self) -> list[dict[str, Any]]:
        """One entry a proxy: the words of `proxy-status` by type, nonces, and what the proxy refused with its reason."""
        clients = sorted(self._proxies(), key=lambda client: client.id)
        return [self._status(client) for client in clients]

    def _status(self, client: Client) -> dict[str, Any]:
        found = status.of(client.state, client.resources)
        node = client.node
        result: dict[str, Any] = {
            "proxy": proxy_id(node.id),
            "proxy_type": node.id.partition("~")[0],
            "cluster_id": str(node.metadata.get("CLUSTER_ID") or self._settings.cluster_id),
            "istio_version": str(node.metadata.get("ISTIO_VERSION") or ""),
            "istiod": self._settings.pod_name,
            "identity": client.peer,
            "types": {kind.upper(): str(found[kind].sync) if kind != "ecds" or found[kind].nonce_sent else "IGNORED" for kind in COLUMNS},
            "errors": {kind.upper(): found[kind].error for kind in COLUMNS if found[kind].error},
            "rejected": {kind.upper(): dict(found[kind].rejected) for kind in COLUMNS if found[kind].rejected},
            "resources": {kind.upper(): found[kind].resources for kind in COLUMNS},
        }
        for kind, word in _LEGACY.items():
            result[f"{word}_sent"], result[f"{word}_acked"] = found[kind].nonce_sent, found[kind].nonce_acked
        return result

    def config_dump(self, proxy: str) -> dict[str, Any] | None:
        """Everything that the control plane means a proxy to have, decoded."""
        client = self._find(proxy)
        if client is None:
            return None
        configs = []
        for url in types.ORDER:
            found = client.resources.get(url)
            if found is None or url == types.SECRET or (url in (types.EXTENSION, types.NAME_TABLE) and not len(found)):
                continue
            rows = [{"name": name, "version": packed.version, "resource": _decoded(url, packed.resource.body)} for name in found if (packed := found.get(name))]
            configs.append({"type_url": url, "version": found.version, "resources": rows})
        return {"proxy": proxy_id(client.node.id), "at": datetime.now(UTC).isoformat(), "configs": configs}

    def endpoints(self, proxy: str) -> list[dict[str, Any]]:
        """The endpoints that one proxy is given, or that any proxy is given."""
        client = self._find(proxy) if proxy else next(iter(self._proxies()), None)
        found = client.resources.get(types.ENDPOINT) if client is not None else None
        return [_decoded(types.ENDPOINT, packed.resource.body) for name in found if (packed := found.get(name))] if found is not None else []

    def configuration(self) -> list[dict[str, Any]]:
        """Istio's resources as they were read."""
        return self._state.mesh_objects()

    def _proxies(self) -> list[Client]:
        """Envoys; agents have streams of their own."""
        return [client for client in self._pusher.clients.values() if AGENT not in client.node.metadata]

    def _find(self, proxy: str) -> Client | None:
        return next((client for client in self._proxies() if proxy in (proxy_id(client.node.id), client.node.id)), None)


def proxy_id(node: str) -> str:
    """`pod.namespace`, from a node ID."""
    parts = node.split("~")
    return parts[2] if len(parts) == 4 else node


def _decoded(url: str, body: bytes) -> dict[str, Any]:
    from envoy.config.cluster.v3 import cluster_pb2
    from envoy.config.endpoint.v3 import endpoint_pb2
    from envoy.config.listener.v3 import listener_pb2
    from envoy.config.route.v3 import route_pb2

    messages = {
        types.CLUSTER: cluster_pb2.Cluster,
        types.ENDPOINT: endpoint_pb2.ClusterLoadAssignment,
        types.LISTENER: listener_pb2.Listener,
        types.ROUTE: route_pb2.RouteConfiguration,
    }
    try:
        decoded: dict[str, Any] = json_format.MessageToDict(messages[url].FromString(body), preserving_proto_field_name=True)
        return decoded
    except (DecodeError, TypeError, KeyError) as error:
        return {"undecoded": f"{len(body)} bytes: {error}"}
