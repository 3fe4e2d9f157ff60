"""Envoy's config dump: its sections, and its JSON with the field names that protobuf's JSON mapping prefers.

Envoy writes snake_case, istioctl camelCase. Keys of maps and of free-form structs are data, not field names, and stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from varka.base.errors import VarkaError

Json = Any

_PREFIX = "type.googleapis.com/envoy.admin.v3."
_STRUCTS = {"filter_metadata", "static_layer", "key_values"}
_MAPS = {"typed_per_filter_config", "typed_extension_protocol_options", "typed_filter_metadata", "per_endpoint_locality_load_assignments"}


class ConfigDump:
    """One proxy's dump. `sections` are found by message name, such as `ListenersConfigDump`."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        if not isinstance(document.get("configs"), list):
            raise VarkaError(
                "this is no config dump of Envoy: it has no list `configs`", "give the output of `istioctl proxy-config all POD -o json`, or of /config_dump"
            )
        self.configs: list[dict[str, Any]] = document["configs"]

    def sections(self, name: str) -> Iterator[dict[str, Any]]:
        """Every section of a message type."""
        return (config for config in self.configs if str(config.get("@type", "")) == _PREFIX + name)

    def section(self, name: str) -> dict[str, Any]:
        """The section of a message type; empty when the dump has none."""
        return next(self.sections(name), {})

    def bootstrap(self) -> dict[str, Any]:
        """The node and all that Envoy was started with."""
        return fields(self.section("BootstrapConfigDump"))

    def listeners(self) -> list[dict[str, Any]]:
        """Static and active dynamic listeners."""
        section = self.section("ListenersConfigDump")
        static = [entry["listener"] for entry in section.get("static_listeners", [])]
        return static + [entry["active_state"]["listener"] for entry in section.get("dynamic_listeners", []) if "listener" in entry.get("active_state", {})]

    def clusters(self) -> list[dict[str, Any]]:
        """Static and active dynamic clusters."""
        section = self.section("ClustersConfigDump")
        return [entry["cluster"] for key in ("static_clusters", "dynamic_active_clusters") for entry in section.get(key, []) if "cluster" in entry]

    def routes(self) -> list[dict[str, Any]]:
        """Dynamic route configurations, then those within listeners."""
        section = self.section("RoutesConfigDump")
        return [entry["route_config"] for key in ("dynamic_route_configs", "static_route_configs") for entry in section.get(key, []) if "route_config" in entry]

    def endpoints(self) -> list[dict[str, Any]]:
        """Cluster load assignments; those of static clusters too."""
        section = self.section("EndpointsConfigDump")
        return [
            entry["endpoint_config"]
            for key in ("static_endpoint_configs", "dynamic_endpoint_configs")
            for entry in section.get(key, [])
            if "endpoint_config" in entry
        ]


def parse(text: str) -> ConfigDump:
    """VarkaError when the text is no config dump."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise VarkaError(f"this is no JSON: {error}", "give the output of Envoy's /config_dump") from error
    if not isinstance(document, dict):
        raise VarkaError("this is no config dump of Envoy", "give the output of Envoy's /config_dump")
    return ConfigDump(document)


def fields(section: Mapping[str, Any]) -> dict[str, Any]:
    """A section without its type."""
    return {key: value for key, value in section.items() if key != "@type"}


def camel(value: Json) -> Json:
    """The same document with lowerCamelCase field names."""
    if isinstance(value, list):
        return [camel(item) for item in value]
    if not isinstance(value, dict):
        return value
    converted: dict[str, Json] = {}
    for key, item in value.items():
        name = _camel_name(key)
        if key in _STRUCTS or (key == "metadata" and not {"filter_metadata", "typed_filter_metadata"} & set(item)):
            converted[name] = item
        elif key in _MAPS and isinstance(item, dict):
            converted[name] = {entry: camel(content) for entry, content in item.items()}
        else:
            converted[name] = camel(item)
    return converted


def _camel_name(name: str) -> str:
    if "_" not in name or "." in name or name.startswith("@"):
        return name
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def istio_config(resource: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """(kind, name, namespace) of the Istio resource that an Envoy resource was made from, which its metadata names."""
    path = str(((resource.get("metadata") or {}).get("filter_metadata") or {}).get("istio", {}).get("config", ""))
    parts = path.split("/")
    if "namespaces" not in parts:
        return None
    at = parts.index("namespaces")
    return (parts[at + 2], parts[at + 3], parts[at + 1]) if len(parts) > at + 3 else None
