"""The route table: route configuration, virtual host, domains, path, and the VirtualService that it came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from varka.cli.istioctl.proxy_config import dump, listeners

HEADER = ("NAME", "VHOST NAME", "DOMAINS", "MATCH", "VIRTUAL SERVICE")
SHOWN_DOMAINS = 2


def rows(configs: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """One row a route; a virtual host without routes answers 404."""
    yield HEADER
    for config in sorted(configs, key=_order):
        name = str(config.get("name", ""))
        for host in config.get("virtual_hosts", []):
            domains = _domains(host.get("domains", []))
            routes = host.get("routes", [])
            if not routes:
                yield (name, str(host.get("name", "")), domains, "/*", "404")
            for route in routes:
                yield (name, str(host.get("name", "")), domains, listeners.path(route), virtual_service(route))


def _order(config: Mapping[str, Any]) -> tuple[int, int, str]:
    """Names that are ports by number, other names after them, unnamed ones last."""
    name = str(config.get("name", ""))
    return (0, int(name), name) if name.isdigit() else (2 if not name else 1, 0, name)


def _domains(domains: list[str]) -> str:
    plain = list(dict.fromkeys(domain.rpartition(":")[0] if domain.rpartition(":")[2].isdigit() and "]" not in domain else domain for domain in domains))
    shown = ", ".join(plain[:SHOWN_DOMAINS])
    return shown if len(plain) <= SHOWN_DOMAINS else f"{shown} + {len(plain) - SHOWN_DOMAINS} more..."


def virtual_service(route: Mapping[str, Any]) -> str:
    """`name.namespace` of the VirtualService, or how else the route ends."""
    found = dump.istio_config(route)
    if found:
        return f"{found[1]}.{found[2]}"
    if "direct_response" in route:
        return str(route["direct_response"].get("status", ""))
    return ""
