"""The listener table: address, port, what a connection must look like, and where it goes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

HEADER = ("ADDRESSES", "PORT", "MATCH", "DESTINATION")
_HCM = "envoy.filters.network.http_connection_manager"
_TCP = "envoy.filters.network.tcp_proxy"
_HTTP_TLS = ["http/1.0", "http/1.1", "h2c", "istio-http/1.0", "istio-http/1.1", "istio-h2"]
_APPLICATIONS = {
    "App: HTTP TLS": ["istio-http/1.0", "istio-http/1.1", "istio-h2"],
    "App: Istio HTTP Plain": ["istio", "istio-http/1.0", "istio-http/1.1", "istio-h2"],
    "App: TCP TLS": ["istio-peer-exchange", "istio"],
    "App: HTTP": ["http/1.0", "http/1.1", "h2c"],
}


class Filter(NamedTuple):
    """What `--address`, `--port` and `--type` leave."""

    address: str = ""
    port: int = 0
    type: str = ""

    def passes(self, listener: Mapping[str, Any]) -> bool:
        if self.address and self.address.lower() != address(listener).lower():
            return False
        if self.port and self.port != port(listener):
            return False
        return not self.type or self.type.upper() in kind(listener).split("+")


def address(listener: Mapping[str, Any]) -> str:
    """The IP or path that a listener is bound to."""
    where = listener.get("address") or {}
    return str(where["socket_address"]["address"]) if "socket_address" in where else str((where.get("pipe") or {}).get("path", ""))


def port(listener: Mapping[str, Any]) -> int:
    """Its port; 0 when it has none."""
    return int(((listener.get("address") or {}).get("socket_address") or {}).get("port_value", 0))


def kind(listener: Mapping[str, Any]) -> str:
    """HTTP, TCP, HTTP+TCP or UNKNOWN, by its filters."""
    names = {found["name"] for chain in chains(listener) for found in chain.get("filters", [])}
    kinds = [label for label, name in (("HTTP", _HCM), ("TCP", _TCP)) if name in names]
    return "+".join(kinds) or "UNKNOWN"


def chains(listener: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Its filter chains, the default one last."""
    default = listener.get("default_filter_chain")
    return [*listener.get("filter_chains", []), *([default] if default else [])]


def rows(listeners: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """One row a filter chain, by port and address."""
    yield HEADER
    for listener in sorted(listeners, key=lambda each: (port(each), address(each))):
        for chain in chains(listener):
            yield (address(listener), str(port(listener)) if port(listener) else "", match(chain), destination(chain))


def match(chain: Mapping[str, Any]) -> str:
    """The conditions of a filter chain; ALL when there are none."""
    found: Mapping[str, Any] = chain.get("filter_chain_match") or {}
    told: list[str] = []
    if found.get("server_names"):
        told.append("SNI: " + ",".join(found["server_names"]))
    if found.get("transport_protocol"):
        told.append("Trans: " + found["transport_protocol"])
    if found.get("application_protocols"):
        given = found["application_protocols"]
        told.append(next((label for label, known in _APPLICATIONS.items() if sorted(known) == sorted(given)), "App: " + ",".join(given)))
    number = str(found["destination_port"]) if "destination_port" in found else ""
    ranges = [f"{entry['address_prefix']}/{_prefix(entry)}" for entry in found.get("prefix_ranges", [])]
    if ranges:
        plain = [entry.removesuffix("/32").removesuffix("/128") for entry in ranges]
        told.append("Addr: " + ",".join(f"{entry}:{number}" if number else entry for entry in plain))
    elif number:
        told.append(f"Addr: *:{number}")
    return "; ".join(told) or "ALL"


def _prefix(entry: Mapping[str, Any]) -> int:
    length = entry.get("prefix_len", 0)
    return int(length["value"] if isinstance(length, dict) else length)


def destination(chain: Mapping[str, Any]) -> str:
    """Where a filter chain leads, by its last deciding filter."""
    for found in chain.get("filters", []):
        config = found.get("typed_config") or {}
        if found["name"] == _HCM:
            if "rds" in config:
                return f"Route: {config['rds'].get('route_config_name', '')}"
            return _inline(config.get("route_config") or {})
        if found["name"] == _TCP:
            if "weighted_clusters" in config:
                return "; ".join(_cluster(entry["name"]) for entry in config["weighted_clusters"].get("clusters", []))
            return _cluster(str(config.get("cluster", "")))
    return "Non-HTTP/Non-TCP"


def _cluster(name: str) -> str:
    return name if "Cluster" in name else f"Cluster: {name}"


def _inline(config: Mapping[str, Any]) -> str:
    hosts = config.get("virtual_hosts", [])
    if len(hosts) == 1 and len(hosts[0].get("routes", [])) == 1:
        route = hosts[0]["routes"][0]
        if route.get("match", {}).get("prefix") == "/" and "cluster" in route.get("route", {}):
            return _cluster(str(route["route"]["cluster"]))
    told = []
    for host in hosts:
        domains = [domain for domain in host.get("domains", []) if domain != "*"]
        paths = ", ".join(path(route) for route in host.get("routes", []))
        told.append(f"{'/'.join(domains)} {paths}".strip())
    return "Inline Route: " + "; ".join(told)


def path(route: Mapping[str, Any]) -> str:
    """A route's path condition, as istioctl abbreviates it."""
    found = route.get("match") or {}
    conditions = ""
    if found.get("headers"):
        conditions = " + headers"
    if "prefix" in found:
        return f"{found['prefix']}*{conditions}"
    if "path_separated_prefix" in found:
        return f"PathPrefix:{found['path_separated_prefix']}{conditions}"
    if "path" in found:
        return f"{found['path']}{conditions}"
    if "safe_regex" in found:
        return f"regex {found['safe_regex'].get('regex', '')}{conditions}"
    return conditions.strip(" +")
