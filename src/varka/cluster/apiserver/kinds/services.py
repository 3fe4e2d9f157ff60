"""Services: checks, and the allocation of cluster addresses and node ports."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Iterable

from varka.client.api import Object
from varka.cluster.apiserver import errors, names
from varka.cluster.apiserver.errors import Cause

SERVICE_CIDR = ipaddress.IPv4Network("10.96.0.0/16")
NODE_PORTS = range(30000, 32768)
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_FIRST_DYNAMIC = 256
"""Addresses below are left to those who ask for one, such as DNS."""


class Allocator:
    """Addresses and node ports in use. What is reserved for a write that then fails is given back."""

    def __init__(self, services: Iterable[Object]) -> None:
        self._addresses: dict[str, str] = {}
        self._ports: dict[int, str] = {}
        for service in services:
            self.take(service)

    def take(self, service: Object) -> None:
        """Count a stored service's address and ports as used."""
        owner = service["metadata"]["uid"]
        spec = service.get("spec") or {}
        for address in spec.get("clusterIPs") or ():
            if address and address != "None":
                self._addresses[address] = owner
        for number in _node_ports(spec):
            self._ports[number] = owner

    def release(self, owner: str) -> None:
        """Forget everything that a service (by uid) holds."""
        self._addresses = {address: uid for address, uid in self._addresses.items() if uid != owner}
        self._ports = {port: uid for port, uid in self._ports.items() if uid != owner}

    def assign(self, service: Object, *, dry_run: bool = False) -> list[Cause]:
        """Give a service the address and node ports that it needs, in place, and reserve them; causes when it asks for what it cannot have."""
        spec, owner = service["spec"], service["metadata"]["uid"]
        causes: list[Cause] = []
        if spec["type"] == "ExternalName":
            return causes
        address = spec.get("clusterIP") or next(iter(spec.get("clusterIPs") or ()), "")
        if address != "None":
            if address:
                causes += self._check_address(address, owner)
            else:
                address = self._free_address()
            if not causes and not dry_run:
                self._addresses[address] = owner
        spec["clusterIP"], spec["clusterIPs"] = address, [address]
        if spec["type"] in ("NodePort", "LoadBalancer") and not causes and spec.get("allocateLoadBalancerNodePorts", True):
            causes += self._assign_ports(spec, owner, dry_run)
        return causes

    def _check_address(self, address: str, owner: str) -> list[Cause]:
        field = "spec.clusterIPs"
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return [errors.invalid(f"{field}[0]", address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")]
        if parsed not in SERVICE_CIDR:
            text = f"failed to allocate IP {address}: the provided IP ({address}) is not in the valid range. The range of valid IPs is {SERVICE_CIDR}"
            return [errors.invalid(field, [address], text)]
        if self._addresses.get(address, owner) != owner:
            return [errors.invalid(field, [address], f"failed to allocate IP {address}: provided IP is already allocated")]
        return []

    def _free_address(self) -> str:
        for _ in range(200):
            candidate = str(SERVICE_CIDR[_FIRST_DYNAMIC + secrets.randbelow(SERVICE_CIDR.num_addresses - _FIRST_DYNAMIC - 1)])
            if candidate not in self._addresses:
                return candidate
        free = (str(address) for address in SERVICE_CIDR.hosts() if str(address) not in self._addresses)
        try:
            return next(free)
        except StopIteration:
            raise errors.internal("failed to allocate a serviceIP: range is full") from None

    def _assign_ports(self, spec: Object, owner: str, dry_run: bool) -> list[Cause]:
        wanted: set[int] = set()
        for position, port in enumerate(spec.get("ports") or ()):
            number = port.get("nodePort") or 0
            where = f"spec.ports[{position}].nodePort"
            if number and number not in NODE_PORTS:
                text = f"provided port is not in the valid range. The range of valid ports is {NODE_PORTS.start}-{NODE_PORTS.stop - 1}"
                return [errors.invalid(where, number, text)]
            if number and self._ports.get(number, owner) != owner:
                return [errors.invalid(where, number, "provided port is already allocated")]
            wanted.add(number)
        for port in spec.get("ports") or ():
            if not port.get("nodePort"):
                free = [number for number in NODE_PORTS if number not in self._ports and number not in wanted]
                port["nodePort"] = secrets.choice(free)
                wanted.add(port["nodePort"])
            if not dry_run:
                self._ports[port["nodePort"]] = owner
        return []


def _node_ports(spec: Object) -> list[int]:
    return [port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")]


def carry_over(new: Object, old: Object) -> None:
    """Fill in, in place, what a replacing client left out of a service: its addresses and node ports."""
    spec, before = new["spec"], old.get("spec") or {}
    if spec["type"] == "ExternalName":
        for name in ("clusterIP", "clusterIPs"):
            if before.get(name) == spec.get(name):
                spec.pop(name, None)
        return
    if before.get("type") != "ExternalName":
        if not spec.get("clusterIP"):
            spec["clusterIP"] = before.get("clusterIP", "")
        if not spec.get("clusterIPs") or spec["clusterIPs"] != [spec["clusterIP"]]:
            spec["clusterIPs"] = [spec["clusterIP"]]
    if spec["type"] in ("NodePort", "LoadBalancer"):
        known = {(port.get("port"), port.get("protocol")): port.get("nodePort") for port in before.get("ports") or ()}
        taken = set(_node_ports(spec))
        for port in spec.get("ports") or ():
            number = known.get((port.get("port"), port.get("protocol")))
            if not port.get("nodePort") and number and number not in taken:
                port["nodePort"] = number
    elif before.get("type") in ("NodePort", "LoadBalancer"):
        for port in spec.get("ports") or ():
            port.pop("nodePort", None)
        for name in ("externalTrafficPolicy", "allocateLoadBalancerNodePorts", "healthCheckNodePort"):
            spec.pop(name, None)


def validate(obj: Object) -> list[Cause]:
    """Everything that is wrong with a service."""
    spec = obj["spec"]
    causes: list[Cause] = []
    if spec["type"] not in _TYPES:
        causes.append(errors.not_supported("spec.type", spec["type"], _TYPES))
    if spec["sessionAffinity"] not in ("ClientIP", "None"):
        causes.append(errors.not_supported("spec.sessionAffinity", spec["sessionAffinity"], ("ClientIP", "None")))
    ports = spec.get("ports") or []
    headless = spec.get("clusterIP") == "None"
    if not ports and not headless and spec["type"] != "ExternalName":
        causes.append(errors.required("spec.ports"))
    if spec["type"] == "ExternalName":
        name = spec.get("externalName", "").removesuffix(".")
        causes += names.dns_subdomain("spec.externalName", name) if name else [errors.required("spec.externalName")]
    if headless and spec["type"] in ("NodePort", "LoadBalancer"):
        causes.append(errors.invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {spec['type']} services"))
    causes += names.label_map("spec.selector", spec.get("selector") or {})
    seen_names: set[str] = set()
    seen: set[tuple[int, str]] = set()
    for position, port in enumerate(ports):
        causes += _port(port, f"spec.ports[{position}]", len(ports) > 1, seen_names, seen)
    return causes


def _port(port: Object, where: str, must_be_named: bool, seen_names: set[str], seen: set[tuple[int, str]]) -> list[Cause]:
    causes: list[Cause] = []
    name, number, protocol = port.get("name", ""), port.get("port", 0), port.get("protocol", "TCP")
    if not name and must_be_named:
        causes.append(errors.required(f"{where}.name"))
    elif name:
        causes += names.dns_label(f"{where}.name", name)
        if name in seen_names:
            causes.append(errors.duplicate(f"{where}.name", name))
    seen_names.add(name)
    if not 0 < number < 65536:
        causes.append(errors.invalid(f"{where}.port", number, "must be between 1 and 65535, inclusive"))
    target = port.get("targetPort")
    if isinstance(target, int) and not 0 < target < 65536:
        causes.append(errors.invalid(f"{where}.targetPort", target, "must be between 1 and 65535, inclusive"))
    if protocol not in ("TCP", "UDP", "SCTP"):
        causes.append(errors.not_supported(f"{where}.protocol", protocol, ("SCTP", "TCP", "UDP")))
    if (number, protocol) in seen:
        causes.append(errors.duplicate(where, {"port": number, "protocol": protocol}))
    seen.add((number, protocol))
    return causes


def validate_update(new: Object, old: Object) -> list[Cause]:
    """What an update changes and may not: the cluster address."""
    before, after = old["spec"], new["spec"]
    if before["type"] == "ExternalName" or after["type"] == "ExternalName":
        return []
    if before.get("clusterIP") and after.get("clusterIP") != before["clusterIP"]:
        return [errors.invalid("spec.clusterIPs[0]", after.get("clusterIP"), "may not change once set")]
    return []
