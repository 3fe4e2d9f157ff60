"""Addresses for ServiceEntries that have none, so that TCP to several of them on one port can be told apart.

They come from 240.240.0.0/16, which nobody routes: only proxies that capture DNS ever see them. An address is chosen by
the host's digest, so that it stays the same wherever that is possible, and what was given once is kept.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping

from msgspec import Struct

from varka.resources import Parsed
from varka.resources.traffic.service_entries import ServiceEntry

NETWORK = ipaddress.IPv4Network("240.240.0.0/16")
USABLE = NETWORK.num_addresses - 2
OPT_OUT = "networking.istio.io/enable-autoallocate-ip"

Addresses = Mapping[str, str]
"""One address by host."""
NOTHING: Mapping[str, Addresses] = {}


class Want(Struct, frozen=True, kw_only=True):
    """Hosts of one ServiceEntry that need an address, and what they were given before."""

    key: str
    created: float
    hosts: tuple[str, ...]
    given: Addresses


def hosts(parsed: Parsed[ServiceEntry]) -> tuple[str, ...]:
    """The hosts of a ServiceEntry that are to have an address; none when it has its own, takes any, or does not want them."""
    spec = parsed.spec
    if spec is None or spec.addresses or spec.resolution == "NONE" or parsed.meta.labels.get(OPT_OUT) == "false":
        return ()
    wild = spec.resolution == "DYNAMIC_DNS"
    return tuple(dict.fromkeys(host.lower() for host in spec.hosts if wild or not host.startswith("*")))


def allocate(wants: Iterable[Want]) -> dict[str, dict[str, str]]:
    """By ServiceEntry and host: what was given stays, unless two claim it; then the older keeps it. A full range gives nothing."""
    ordered = sorted(wants, key=lambda want: (want.created, want.key))
    taken: set[str] = set()
    found: dict[str, dict[str, str]] = {want.key: {} for want in ordered}
    for want in ordered:
        for host in want.hosts:
            address = want.given.get(host, "")
            if _is_ours(address) and address not in taken:
                found[want.key][host] = address
                taken.add(address)
    for want in ordered:
        for host in want.hosts:
            if host not in found[want.key] and len(taken) < USABLE:
                address = _free(f"{want.key}/{host}", taken)
                found[want.key][host] = address
                taken.add(address)
    return found


def _is_ours(text: str) -> bool:
    try:
        return ipaddress.IPv4Address(text) in NETWORK
    except ValueError:
        return False


def _free(name: str, taken: set[str]) -> str:
    start = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4]) % USABLE
    for step in range(USABLE):
        address = str(NETWORK[1 + (start + step) % USABLE])
        if address not in taken:
            return address
    raise AssertionError("the caller counts")
