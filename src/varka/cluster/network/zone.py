"""The cluster's names: what each one answers, worked out from Services and EndpointSlices. Pure.

Follows the Kubernetes DNS specification 1.1.0: services, headless services with their pods' host names, SRV for named ports,
`a-b-c-d.NAMESPACE.pod`, ExternalName as an alias, and PTR for the addresses that have a name.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

_SERVICE_NAME = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a name has: `exists` is False for NXDOMAIN; `srv` is (port, target); `alias` is a name to go on with."""

    exists: bool
    addresses: tuple[str, ...] = ()
    srv: tuple[tuple[int, str], ...] = ()
    alias: str = ""
    pointer: str = ""


MISSING = Answer(exists=False)
EMPTY = Answer(exists=True)


@dataclass(slots=True)
class Zone:
    """All names of the cluster, lower case, without the final dot."""

    domain: str
    records: dict[str, Answer] = field(default_factory=dict)
    pointers: dict[str, str] = field(default_factory=dict)

    def inside(self, name: str) -> bool:
        """Whether the cluster alone decides about `name`."""
        return name == self.domain or name.endswith(f".{self.domain}") or self._reverse(name) is not None

    def lookup(self, name: str) -> Answer:
        """The answer for a name inside the cluster."""
        if (found := self.records.get(name)) is not None:
            return found
        address = self._reverse(name)
        if address is not None:
            pointer = self.pointers.get(address, "")
            return Answer(exists=True, pointer=pointer) if pointer else MISSING
        labels = name.removesuffix(f".{self.domain}").split(".")
        if len(labels) == 3 and labels[2] == "pod" and (address := _dashed(labels[0])):
            return Answer(exists=True, addresses=(address,))
        return MISSING

    @staticmethod
    def _reverse(name: str) -> str | None:
        if not name.endswith(".in-addr.arpa"):
            return None
        address = ".".join(reversed(name.removesuffix(".in-addr.arpa").split(".")))
        return address if address.startswith(("10.96.", "10.244.")) else None


def build(services: Iterable[Mapping[str, Any]], slices: Iterable[Mapping[str, Any]], namespaces: Iterable[str], domain: str) -> Zone:
    """The zone of a cluster."""
    zone = Zone(domain)
    for name in (domain, f"svc.{domain}", f"pod.{domain}"):
        zone.records[name] = EMPTY
    for namespace in namespaces:
        zone.records[f"{namespace}.svc.{domain}"] = EMPTY
        zone.records[f"{namespace}.pod.{domain}"] = EMPTY
    by_service: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for piece in slices:
        meta = piece["metadata"]
        by_service.setdefault((meta["namespace"], meta.get("labels", {}).get(_SERVICE_NAME, "")), []).append(piece)
    for service in services:
        meta = service["metadata"]
        _add_service(zone, service, by_service.get((meta["namespace"], meta["name"]), []))
    return zone


def _add_service(zone: Zone, service: Mapping[str, Any], slices: list[Mapping[str, Any]]) -> None:
    meta, spec = service["metadata"], service.get("spec", {})
    base = f"{meta['name']}.{meta['namespace']}.svc.{zone.domain}"
    if spec.get("type") == "ExternalName":
        zone.records[base] = Answer(exists=True, alias=spec.get("externalName", "").rstrip(".").lower())
        return
    address = spec.get("clusterIP") or ""
    if address and address != "None":
        zone.records[base] = Answer(exists=True, addresses=(address,))
        zone.pointers[address] = base
        for port in spec.get("ports", []):
            _add_port(zone, base, port.get("name", ""), port.get("protocol", "TCP"), ((port["port"], base),))
        return
    _add_headless(zone, base, slices, bool(spec.get("publishNotReadyAddresses")))


def _add_headless(zone: Zone, base: str, slices: list[Mapping[str, Any]], not_ready: bool) -> None:
    hosts: dict[str, set[str]] = {}
    ports: dict[tuple[str, str], set[tuple[int, str]]] = {}
    for piece in slices:
        if piece.get("addressType", "IPv4") != "IPv4":
            continue
        for endpoint in piece.get("endpoints") or []:
            if not not_ready and endpoint.get("conditions", {}).get("ready", True) is False:
                continue
            for address in endpoint.get("addresses", []):
                host = f"{endpoint.get('hostname') or address.replace('.', '-')}.{base}"
                hosts.setdefault(host, set()).add(address)
                if endpoint.get("hostname"):
                    zone.pointers[address] = host
                for port in piece.get("ports") or []:
                    ports.setdefault((port.get("name") or "", port.get("protocol", "TCP")), set()).add((port["port"], host))
    everyone = {address for addresses in hosts.values() for address in addresses}
    zone.records[base] = Answer(exists=True, addresses=_sorted(everyone))
    for host, addresses in hosts.items():
        zone.records[host] = Answer(exists=True, addresses=_sorted(addresses))
    for (name, protocol), targets in ports.items():
        _add_port(zone, base, name, protocol, tuple(sorted(targets)))


def _add_port(zone: Zone, base: str, name: str, protocol: str, targets: tuple[tuple[int, str], ...]) -> None:
    if name:
        parent = f"_{protocol.lower()}.{base}"
        zone.records.setdefault(parent, EMPTY)
        zone.records[f"_{name}.{parent}"] = Answer(exists=True, srv=targets)


def _sorted(addresses: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(address) for address in sorted(ipaddress.ip_address(text) for text in addresses))


def _dashed(label: str) -> str:
    try:
        return str(ipaddress.IPv4Address(label.replace("-", ".")))
    except ValueError:
        return ""
