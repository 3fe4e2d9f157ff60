"""Which addresses and ports a sidecar listens on for the application's own connections, and for what.

HTTP is told apart by its Host header, so one listener a port, `0.0.0.0_9080`, serves every service with that port. Of
other bytes only the address that was dialled is known: each service has a listener of its own at its virtual address,
`10.96.1.2_3306`. A service without one shares the wildcard listener: by TLS server name if it speaks TLS, by address
block if that is what its address is, or as the one owner of all other connections to the port.

A Sidecar may ask for listeners of its own, at other addresses or bound by the proxy itself, each for a part of the mesh.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import ip_network

from msgspec import Struct, field
from msgspec.structs import replace

from varka.envoy import memo
from varka.model.services import Endpoint, Hostname, Protocol, Resolution, Service, ServicePort
from varka.model.view import EgressListener, OutboundView

WILDCARD = "0.0.0.0"
WILDCARD_6 = "::"
LOOPBACK = "127.0.0.1"
UNIX = "unix://"
MAX_HEADLESS_LISTENERS = 200
"""Beyond this many endpoints a headless TCP service gets no listener of its own per address."""


class Kind(StrEnum):
    """How connections are told apart."""

    HTTP = "http"
    TCP = "tcp"
    TLS = "tls"
    SNIFFED = "sniffed"


class Claim(Struct, frozen=True, kw_only=True):
    """One service's wish for connections to one address and port; `block` narrows a wildcard to an address block."""

    service: Service
    port: ServicePort
    kind: Kind
    block: str = ""


class Binding(Struct, kw_only=True):
    """What one listener serves. `route` names the route configuration for HTTP, if there is one.

    `reach` is what can be asked for there (None: all of the view); `shared`: several services may stand behind the address, which then says
    nothing; `bound`: the proxy listens by itself; `http_proxy`: it is asked as a proxy, for any host on any port.
    """

    address: str
    port: int
    reach: OutboundView | None
    shared: bool
    route: str = ""
    bound: bool = False
    http_proxy: bool = False
    claims: list[Claim] = field(default_factory=list)

    @property
    def http(self) -> bool:
        return bool(self.route)


class RouteConfig(Struct, frozen=True, kw_only=True):
    """A route configuration that listeners refer to: of a port, or of one service alone at its address."""

    name: str
    port: int
    reach: OutboundView | None
    service: Service | None = None
    http_proxy: bool = False


Families = tuple[int, ...]
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


def wildcard(families: Families) -> str:
    """The address of listeners for all addresses; one of both families has the other's as an additional address."""
    return WILDCARD if 4 in families else WILDCARD_6


def bindings(view: OutboundView, families: Families = (4,)) -> tuple[Binding, ...]:
    """Every listener that the view calls for, by port and address; `families` are those of the proxy's addresses."""
    own = _by_endpoints.get((view.services,), None, lambda: _listened_for_by_endpoint(view))
    known = [view.endpoints.get(key) for key in own]
    return _bindings.get((view.services, view.listeners, *known), families, lambda: _Collected(view, families).all())


def _listened_for_by_endpoint(view: OutboundView) -> list[tuple[Hostname, int]]:
    """The ports whose listeners depend on their endpoints: those of headless services."""
    return [(service.hostname, port.number) for service in view.services if service.headless for port in service.ports]


class _Collected:
    """The listeners of one view in the making."""

    def __init__(self, view: OutboundView, families: Families) -> None:
        self._view = view
        self._families = families
        self._found: dict[tuple[int, str], Binding] = {}
        self._closed: set[tuple[int, str]] = set()

    def all(self) -> tuple[Binding, ...]:
        for listener in self._view.listeners or (EgressListener(reach=self._view),):
            if listener.port is not None:
                self._explicit(listener, listener.port)
            else:
                self._rest(listener)
            self._closed = set(self._found)
        return tuple(self._found[key] for key in sorted(self._found))

    def _explicit(self, listener: EgressListener, port: ServicePort) -> None:
        """A listener with a port of its own, whose protocol counts for all that is behind it."""
        kind = kind_of(port.protocol)
        fixed = listener.bind or (LOOPBACK if listener.bound else "")
        if kind is None:
            return
        if listener.http_proxy or port.number == 0:
            binding = self._binding(fixed or wildcard(self._families), port.number, listener, shared=True)
            if binding is not None and kind is Kind.HTTP:
                binding.route, binding.http_proxy = self._route(port.number, fixed), True
                return
        for service in listener.reach.services:
            served = service.port(port.number) or service.ports[0]
            self._claim(Claim(service=service, port=served, kind=kind), listener, fixed, port.number)

    def _rest(self, listener: EgressListener) -> None:
        fixed = listener.bind or (LOOPBACK if listener.bound else "")
        for service in listener.reach.services:
            for port in service.ports:
                kind = kind_of(port.protocol)
                if kind is not None:
                    self._claim(Claim(service=service, port=port, kind=kind), listener, fixed, port.number)

    def _claim(self, claim: Claim, listener: EgressListener, fixed: str, number: int) -> None:
        known = listener.reach.endpoints.get((claim.service.hostname, claim.port.number), ())
        places = [(fixed, "")] if fixed else _addresses(claim.service, claim.kind, known, self._families)
        for address, block in places:
            binding = self._binding(address, number, listener, shared=bool(fixed) or address == wildcard(self._families))
            if binding is None:
                continue
            if binding.shared and claim.kind in {Kind.HTTP, Kind.SNIFFED} and not block:
                binding.route = binding.route or self._route(number, fixed)
            if claim.kind is not Kind.HTTP:
                binding.claims.append(replace(claim, block=block))

    def _binding(self, address: str, port: int, listener: EgressListener, shared: bool) -> Binding | None:
        """The listener at an address and port; None when an earlier one of the Sidecar has it."""
        key = (port, address)
        if key in self._closed:
            return None
        reach = listener.reach if self._view.listeners else None
        return self._found.setdefault(key, Binding(address=address, port=port, reach=reach, shared=shared, bound=listener.bound))

    def _route(self, port: int, fixed: str) -> str:
        """The port; where several listeners of one port differ in what they reach, the address as well."""
        if port == 0:
            return fixed
        taken = {binding.route for key, binding in self._found.items() if key in self._closed}
        return f"{fixed or wildcard(self._families)}_{port}" if str(port) in taken else str(port)


def virtual_addresses(service: Service, families: Families = (4,)) -> list[str]:
    """The service's own addresses and blocks, of the proxy's families; insignificant bits of blocks are zero."""
    found = (address for address in service.addresses if address not in {"0.0.0.0", "::", ""} and (6 if ":" in address else 4) in families)
    return list(dict.fromkeys(str(ip_network(address, strict=False)) if "/" in address else address for address in found))


def _addresses(service: Service, kind: Kind, known: tuple[Endpoint, ...], families: Families) -> list[tuple[str, str]]:
    """Pairs of listener address and address block."""
    everywhere = wildcard(families)
    if kind is Kind.HTTP:
        return [(everywhere, "")]
    own = virtual_addresses(service, families)
    if own:
        return [(everywhere, address) if "/" in address else (address, "") for address in own]
    if service.headless and service.resolution is Resolution.PASSTHROUGH and known and len(known) <= MAX_HEADLESS_LISTENERS:
        return [(address, "") for address in sorted({item.address for item in known if (6 if ":" in item.address else 4) in families})]
    return [(everywhere, "")]


def route_configs(view: OutboundView, families: Families = (4,)) -> list[RouteConfig]:
    """The route configurations that the listeners refer to, by name."""
    found: dict[str, RouteConfig] = {}
    for binding in bindings(view, families):
        if binding.route:
            found.setdefault(binding.route, RouteConfig(name=binding.route, port=binding.port, reach=binding.reach, http_proxy=binding.http_proxy))
            if binding.shared:
                continue
        for claim in binding.claims:
            if claim.kind is Kind.SNIFFED:
                name = sniffed_route(claim)
                found.setdefault(name, RouteConfig(name=name, port=claim.port.number, reach=binding.reach, service=claim.service))
    return [found[name] for name in sorted(found)]


def sniffed_route(claim: Claim) -> str:
    """`host:port`: the route configuration of a service alone at its address."""
    return f"{claim.service.hostname}:{claim.port.number}"
