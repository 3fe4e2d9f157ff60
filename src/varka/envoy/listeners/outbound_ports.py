"""Which addresses and ports a sidecar listens on for the application's own connections, and for what.

HTTP is told apart by its Host header, so one listener a port, `0.0.0.0_9080`, serves every service with that port. Of
other bytes only the address that was dialled is known: each service has a listener of its own at its virtual address,
`10.96.1.2_3306`. A service without one shares the wildcard listener: by TLS server name if it speaks TLS, by address
block if that is what its address is, or as the one owner of all other connections to the port.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from varka.envoy import memo
from varka.model.services import Endpoint, Hostname, Protocol, Resolution, Service, ServicePort
from varka.model.view import OutboundView

WILDCARD = "0.0.0.0"
MAX_HEADLESS_LISTENERS = 200
"""Beyond this many endpoints a headless TCP service gets no listener of its own per address."""


class Kind(StrEnum):
    """How connections are told apart."""

    HTTP = "http"
    TCP = "tcp"
    TLS = "tls"
    SNIFFED = "sniffed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One service's wish for connections to one address and port; `block` narrows a wildcard to an address block."""

    service: Service
    port: ServicePort
    kind: Kind
    block: str = ""


@dataclass(slots=True, kw_only=True)
class Binding:
    """What one listener serves; `http` means the route configuration named by the port."""

    address: str
    port: int
    http: bool = False
    claims: list[Claim] = field(default_factory=list)


_by_endpoints: memo.Memo[list[tuple[Hostname, int]]] = memo.Memo(64)
_bindings: memo.Memo[tuple[Binding, ...]] = memo.Memo(64)


def kind_of(protocol: Protocol) -> Kind | None:
    """None for UDP, which is not captured."""
    if protocol is Protocol.UDP:
        return None
    if protocol.is_http:
        return Kind.HTTP
    if protocol.is_tls:
        return Kind.TLS
    return Kind.SNIFFED if protocol is Protocol.AUTO else Kind.TCP


def bindings(view: OutboundView) -> tuple[Binding, ...]:
    """Every listener that the view calls for, by port and address."""
    own = _by_endpoints.get((view.services,), None, lambda: _listened_for_by_endpoint(view))
    known = [view.endpoints.get(key) for key in own]
    return _bindings.get((view.services, *known), None, lambda: _bindings_of(view))


def _listened_for_by_endpoint(view: OutboundView) -> list[tuple[Hostname, int]]:
    """The ports whose listeners depend on their endpoints: those of headless services."""
    return [(service.hostname, port.number) for service in view.services if service.headless for port in service.ports]


def _bindings_of(view: OutboundView) -> tuple[Binding, ...]:
    found: dict[tuple[int, str], Binding] = {}
    for service in view.services:
        for port in service.ports:
            kind = kind_of(port.protocol)
            if kind is None:
                continue
            known = view.endpoints.get((service.hostname, port.number), ())
            for address, block in _addresses(service, kind, known):
                binding = found.setdefault((port.number, address), Binding(address=address, port=port.number))
                if address == WILDCARD and kind in {Kind.HTTP, Kind.SNIFFED} and not block:
                    binding.http = True
                if kind is not Kind.HTTP:
                    binding.claims.append(Claim(service=service, port=port, kind=kind, block=block))
    return tuple(found[key] for key in sorted(found))


def virtual_addresses(service: Service) -> list[str]:
    """The service's own IPv4 addresses and blocks."""
    return [address for address in service.addresses if address not in {"0.0.0.0", "::", ""} and ":" not in address]


def _addresses(service: Service, kind: Kind, known: tuple[Endpoint, ...]) -> list[tuple[str, str]]:
    """Pairs of listener address and address block."""
    if kind is Kind.HTTP:
        return [(WILDCARD, "")]
    own = virtual_addresses(service)
    if own:
        return [(WILDCARD, address) if "/" in address else (address, "") for address in own]
    if service.headless and service.resolution is Resolution.PASSTHROUGH and known and len(known) <= MAX_HEADLESS_LISTENERS:
        addresses = sorted({endpoint.address for endpoint in known if ":" not in endpoint.address})
        return [(address, "") for address in addresses]
    return [(WILDCARD, "")]


def route_names(view: OutboundView) -> list[str]:
    """The route configurations that the listeners refer to."""
    plain = {binding.port for binding in bindings(view) if binding.http}
    single = {
        sniffed_route(claim)
        for binding in bindings(view)
        if not (binding.http and binding.address == WILDCARD)
        for claim in binding.claims
        if claim.kind is Kind.SNIFFED
    }
    return [str(port) for port in sorted(plain)] + sorted(single)


def sniffed_route(claim: Claim) -> str:
    """`host:port`: the route configuration of a service alone at its address."""
    return f"{claim.service.hostname}:{claim.port.number}"
