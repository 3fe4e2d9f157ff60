"""A proxy's configuration as messages: from the generated resources, or from the dump of a live Envoy."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from typing import Any

from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2
from google.protobuf import descriptor_pool, json_format
from msgspec import Struct, field

from varka.base.wire import WireResource
from varka.envoy import dump, generate

_DYNAMIC = ("dynamic_listeners", "static_listeners", "dynamic_active_clusters", "static_clusters", "dynamic_route_configs", "static_route_configs")
_MODULES = (
    "envoy.extensions.filters.network.sni_cluster.v3.sni_cluster_pb2",
    "envoy.extensions.upstreams.http.generic.v3.generic_connection_pool_pb2",
)


class Configuration(Struct, frozen=True, kw_only=True):
    """Listeners in the proxy's order, route configurations by name, and the names of the clusters."""

    listeners: tuple[Any, ...] = ()
    routes: Mapping[str, Any] = field(default_factory=dict)
    clusters: frozenset[str] = frozenset()


def of_generated(config: generate.ProxyConfig) -> Configuration:
    """What the control plane would send."""
    load()
    return Configuration(
        listeners=tuple(_messages(config.listeners.values())),
        routes={name: dump.message(resource) for name, resource in config.routes.items()},
        clusters=frozenset(config.clusters),
    )


def _messages(resources: Iterable[WireResource]) -> Iterable[Any]:
    return (dump.message(resource) for resource in resources)


def load() -> None:
    """Import the messages that may stand inside of others."""
    for name in (*dump.EXTENSIONS, *_MODULES):
        importlib.import_module(name)


def of_dump(config_dump: Mapping[str, Any]) -> Configuration:
    """What a proxy has: the body of its admin page `/config_dump`. Resources that are being replaced or removed are passed over."""
    load()
    found: dict[str, list[Any]] = {"listener": [], "cluster": [], "route_config": []}
    for section in config_dump.get("configs", ()):
        for group in _DYNAMIC:
            for item in section.get(group, ()):
                held = item.get("active_state", item)
                for kind, values in found.items():
                    if kind in held:
                        values.append(held[kind])
    routes = [_read(item, route_pb2.RouteConfiguration) for item in found["route_config"]]
    return Configuration(
        listeners=tuple(_read(item, listener_pb2.Listener) for item in found["listener"]),
        routes={route.name: route for route in routes if route.name},
        clusters=frozenset(str(item.get("name", "")) for item in found["cluster"]),
    )


def _read(value: Mapping[str, Any], kind: Any) -> Any:
    message = kind()
    json_format.ParseDict(_known(value), message, ignore_unknown_fields=True)
    return message


def _known(value: Any) -> Any:
    """Without messages of extensions that are not on this side."""
    if isinstance(value, Mapping):
        name = str(value.get("@type", "")).rpartition("/")[2]
        if name and not _has(name):
            return {"@type": "type.googleapis.com/google.protobuf.Empty"}
        return {key: _known(item) for key, item in value.items()}
    return [_known(item) for item in value] if isinstance(value, list) else value


def _has(name: str) -> bool:
    try:
        descriptor_pool.Default().FindMessageTypeByName(name)
    except KeyError:
        return False
    return True
