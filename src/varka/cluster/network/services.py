"""Service addresses → endpoints, as nftables rules.

Pure half: `frontends` reads Services and EndpointSlices and says which address and port leads to which endpoints; `ruleset`
and `changes` turn that into nft texts. One map leads from (address, protocol, port) to a chain per frontend, so a change of
one service touches one chain, and looking an address up costs the same with one service or thousands.

What is not rewritten and lies in the service range is refused at once, so a service without endpoints answers
`connection refused` instead of letting the caller wait.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from varka.cluster.settings import ClusterSettings

GATEWAY = "169.254.1.1"
TABLE = "ip varka"
_SERVICE_NAME = "kubernetes.io/service-name"


class Frontend(NamedTuple):
    """Where clients connect; a node port has an empty address."""

    address: str
    protocol: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """Where connections go: (address, port) of every ready endpoint, sorted. `sticky` keeps a client with its endpoint."""

    endpoints: tuple[tuple[str, int], ...]
    sticky: bool = False


Frontends = Mapping[Frontend, Backend]


def frontends(services: Iterable[Mapping[str, Any]], slices: Iterable[Mapping[str, Any]], config: ClusterSettings) -> dict[Frontend, Backend]:
    """Every frontend that has endpoints; always with the API server's own."""
    by_service: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for piece in slices:
        meta = piece["metadata"]
        by_service.setdefault((meta["namespace"], meta.get("labels", {}).get(_SERVICE_NAME, "")), []).append(piece)
    found: dict[Frontend, Backend] = {}
    for service in services:
        meta, spec = service["metadata"], service.get("spec", {})
        addresses = [ip for ip in [spec.get("clusterIP"), *spec.get("externalIPs", [])] if ip and ip != "None" and ":" not in ip]
        if not addresses or spec.get("type") == "ExternalName":
            continue
        sticky = spec.get("sessionAffinity") == "ClientIP"
        for port in spec.get("ports", []):
            endpoints = _endpoints(by_service.get((meta["namespace"], meta["name"]), []), port.get("name", ""), bool(spec.get("publishNotReadyAddresses")))
            if not endpoints:
                continue
            backend = Backend(endpoints=endpoints, sticky=sticky)
            protocol = port.get("protocol", "TCP").lower()
            for address in addresses:
                found[Frontend(address, protocol, port["port"])] = backend
            if port.get("nodePort"):
                found[Frontend("", protocol, port["nodePort"])] = backend
    found[Frontend(config.api_service_ip, "tcp", 443)] = Backend(endpoints=((config.node_ip, config.node_api_port),))
    return found


def _endpoints(slices: Iterable[Mapping[str, Any]], port_name: str, not_ready: bool) -> tuple[tuple[str, int], ...]:
    found: set[tuple[str, int]] = set()
    for piece in slices:
        if piece.get("addressType", "IPv4") != "IPv4":
            continue
        numbers = [port["port"] for port in piece.get("ports") or [] if (port.get("name") or "") == port_name and port.get("port")]
        for endpoint in piece.get("endpoints") or []:
            if not_ready or endpoint.get("conditions", {}).get("ready", True) is not False:
                found.update((address, number) for address in endpoint.get("addresses", []) for number in numbers)
    return tuple(sorted(found, key=lambda pair: (socket.inet_aton(pair[0]), pair[1])))


def base(config: ClusterSettings) -> str:
    """The table without any service: hooks, maps, refusal of what nothing answers, the way outside."""
    outside = f"ip daddr != {{ {config.pod_cidr}, {config.service_cidr}, 127.0.0.0/8, {GATEWAY}, 224.0.0.0/3 }}"
    own = f"{{ 127.0.0.0/8, {config.pod_cidr}, {config.dns_ip}, {GATEWAY} }}"
    way_out = (
        f"{outside} udp dport 53 dnat to {config.dns_ip}:53\n{outside} tcp dport 53 dnat to {config.dns_ip}:53\n"
        f"{outside} meta l4proto tcp dnat to {config.node_ip}:{config.egress_port}"
        if config.egress
        else ""
    )
    return f"""
add table {TABLE}
delete table {TABLE}
table {TABLE} {{
set hairpin {{ type ipv4_addr . ipv4_addr; }}
map services {{ type ipv4_addr . inet_proto . inet_service : verdict; }}
map nodeports {{ type inet_proto . inet_service : verdict; }}
chain services {{
ip daddr . meta l4proto . th dport vmap @services
ip daddr {config.node_ip} meta l4proto . th dport vmap @nodeports
{way_out}
}}
chain prerouting {{ type nat hook prerouting priority dstnat; policy accept; jump services; }}
chain output {{ type nat hook output priority -100; policy accept; jump services; }}
chain postrouting {{ type nat hook postrouting priority srcnat; policy accept; ip saddr . ip daddr @hairpin snat to {config.node_ip}; }}
chain refuse {{
meta l4proto tcp reject with tcp reset
reject with icmp type port-unreachable
}}
chain forward {{ type filter hook forward priority filter; policy accept; ip daddr {config.service_cidr} jump refuse; oifname "lo" jump refuse; }}
chain local {{ type filter hook output priority filter; policy accept; ip daddr != {own} jump refuse; }}
}}
"""


def _chain(frontend: Frontend) -> str:
    where = socket.inet_aton(frontend.address).hex() if frontend.address else "node"
    return f"to_{where}_{frontend.protocol}_{frontend.port}"


def _rule(frontend: Frontend, backend: Backend) -> str:
    if len(backend.endpoints) == 1:
        address, port = backend.endpoints[0]
        return f"add rule {TABLE} {_chain(frontend)} meta l4proto {frontend.protocol} dnat to {address}:{port}\n"
    pick = "jhash ip saddr" if backend.sticky else "numgen random"
    targets = ", ".join(f"{number} : {address} . {port}" for number, (address, port) in enumerate(backend.endpoints))
    return f"add rule {TABLE} {_chain(frontend)} meta l4proto {frontend.protocol} dnat ip to {pick} mod {len(backend.endpoints)} map {{ {targets} }}\n"


def _element(frontend: Frontend) -> tuple[str, str]:
    if frontend.address:
        return "services", f"{frontend.address} . {frontend.protocol} . {frontend.port}"
    return "nodeports", f"{frontend.protocol} . {frontend.port}"


def _hairpins(table: Frontends) -> set[str]:
    return {address for backend in table.values() for address, _ in backend.endpoints}


def changes(old: Frontends, new: Frontends) -> list[str]:
    """The nft commands that lead from `old` to `new`, each complete in itself; empty when nothing differs."""
    groups: list[str] = []
    for address in sorted(_hairpins(old) - _hairpins(new)):
        groups.append(f"delete element {TABLE} hairpin {{ {address} . {address} }}\n")
    for address in sorted(_hairpins(new) - _hairpins(old)):
        groups.append(f"add element {TABLE} hairpin {{ {address} . {address} }}\n")
    for frontend in sorted(old.keys() - new.keys()):
        into, key = _element(frontend)
        groups.append(f"delete element {TABLE} {into} {{ {key} }}\nflush chain {TABLE} {_chain(frontend)}\ndelete chain {TABLE} {_chain(frontend)}\n")
    for frontend, backend in sorted(new.items(), key=lambda pair: pair[0]):
        chain = _chain(frontend)
        if frontend not in old:
            into, key = _element(frontend)
            groups.append(f"add chain {TABLE} {chain}\n{_rule(frontend, backend)}add element {TABLE} {into} {{ {key} : goto {chain} }}\n")
        elif old[frontend] != backend:
            groups.append(f"flush chain {TABLE} {chain}\n{_rule(frontend, backend)}")
    return groups


def transactions(groups: Iterable[str], limit: int = 32_000) -> list[str]:
    """`groups` joined into texts that fit the kernel's send buffer, which a user namespace cannot enlarge."""
    texts: list[str] = []
    for group in groups:
        if texts and len(texts[-1]) + len(group) <= limit:
            texts[-1] += group
        else:
            texts.append(group)
    return texts


def known(listing: str) -> dict[Frontend, Backend]:
    """The frontends that `nft list table` shows, with unknown endpoints: what a restarted node finds."""
    found: dict[Frontend, Backend] = {}
    for where, protocol, port in re.findall(r"chain to_(node|[0-9a-f]{8})_(tcp|udp|sctp)_(\d+) ", listing):
        address = "" if where == "node" else socket.inet_ntoa(bytes.fromhex(where))
        found[Frontend(address, protocol, int(port))] = Backend(endpoints=())
    return found
