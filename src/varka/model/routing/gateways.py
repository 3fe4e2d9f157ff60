"""Gateways: which servers a proxy at the edge runs, on which of its ports, and which VirtualServices belong to each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from varka.model.discovery import hosts, protocols
from varka.model.discovery.registry import Entry
from varka.model.memo import Kept
from varka.model.routing import visibility
from varka.model.routing.virtual_services import VirtualServices
from varka.model.services import Protocol
from varka.model.traffic import CertificateFiles, GatewayServer, ServerTls, ServerTlsMode, VirtualService
from varka.model.view import GatewayBinding
from varka.resources import Parsed, ciphers
from varka.resources.traffic import gateways as written

Source = Parsed[written.Gateway]
SERVICES = "internal.istio.io/gateway-service"
"""Annotation of a Gateway: host names of the services whose pods serve it, in place of a selector."""


class Gateway(Struct, frozen=True, kw_only=True):
    """One Gateway; `servers` have the Service's port where the proxy's is not known yet."""

    name: str
    namespace: str
    selector: Mapping[str, str] = field(default_factory=dict)
    services: tuple[str, ...] = ()
    """Host names of the only services that open the servers' ports; none: any, by selector."""
    servers: tuple[GatewayServer, ...] = ()
    created: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def index(sources: Iterable[Source], further: tuple[Gateway, ...], kept: Kept) -> tuple[Gateway, ...]:
    """All Gateways, the oldest first; those that did not change stay the same objects. `further` are resolved already."""
    ordered = sorted((source for source in sources if source.spec is not None), key=lambda source: source.meta.age_order)
    return (*(kept.get(source.meta.key, (source,), partial(resolve, source)) for source in ordered), *further)


def resolve(source: Source) -> Gateway:
    """One Gateway as it is meant."""
    spec, meta = source.spec, source.meta
    assert spec is not None
    return Gateway(
        name=meta.name,
        namespace=meta.namespace,
        selector=dict(spec.selector),
        services=tuple(name.strip().lower() for name in meta.annotations.get(SERVICES, "").split(",") if name.strip()),
        servers=tuple(_server(server, meta.key, meta.namespace) for server in spec.servers if server.port is not None),
        created=meta.created,
    )


def _server(server: written.Server, gateway: str, namespace: str) -> GatewayServer:
    port = server.port or written.Port()
    return GatewayServer(
        gateway=gateway,
        port=port.number,
        target_port=port.target_port or port.number,
        port_name=port.name,
        protocol=_protocol(port.protocol),
        name=server.name,
        bind=server.bind,
        hosts=tuple(dict.fromkeys(_host(host, namespace) for host in server.hosts)),
        tls=server_tls(server.tls) if server.tls is not None else None,
    )


def _protocol(text: str) -> Protocol:
    found = protocols.named(text)
    return Protocol.TCP if found is Protocol.AUTO else found


def _host(host: str, namespace: str) -> str:
    where, slash, name = host.lower().partition("/")
    if not slash:
        return f"*/{where}"
    return f"{namespace if where == '.' else where}/{name}"


def server_tls(given: written.ServerTls) -> ServerTls:
    """TLS of accepted connections; without a mode it is pass-through, unless it is there for the redirect only."""
    only_redirect = given.https_redirect and given.mode is None
    pairs = [CertificateFiles(certificate=item.server_certificate, private_key=item.private_key) for item in given.tls_certificates]
    pairs = pairs or [CertificateFiles(certificate=given.server_certificate, private_key=given.private_key)]
    return ServerTls(
        mode=None if only_redirect else ServerTlsMode(given.mode or "PASSTHROUGH"),
        https_redirect=given.https_redirect,
        certificates=tuple(pair for pair in pairs if pair.certificate),
        ca_certificates=given.ca_certificates or next((item.ca_certificates for item in given.tls_certificates if item.ca_certificates), ""),
        ca_crl=given.ca_crl,
        credential_names=(given.credential_name,) if given.credential_name else given.credential_names,
        ca_credential_name=given.ca_cert_credential_name,
        subject_alt_names=given.subject_alt_names,
        verify_certificate_spki=given.verify_certificate_spki,
        verify_certificate_hash=given.verify_certificate_hash,
        min_version=given.min_protocol_version or "",
        max_version=given.max_protocol_version or "",
        cipher_suites=tuple(name for name in dict.fromkeys(given.cipher_suites) if name in ciphers.KNOWN),
    )


Ports = Mapping[int, tuple[int, ...]]
"""Service port → ports of the proxy."""


def for_proxy(gateways: Iterable[Gateway], labels: Mapping[str, str], services: Iterable[str]) -> tuple[Gateway, ...]:
    """The Gateways that a proxy serves, in any namespace: by its labels, or by the services that it belongs to."""
    mine = set(services)
    return tuple(
        gateway for gateway in gateways if (mine & set(gateway.services) if gateway.services else visibility.selected(dict(gateway.selector), labels.items()))
    )


def target_ports(entry: Entry, ip: str) -> dict[int, tuple[int, ...]]:
    """The ports of a service for which this proxy is an endpoint, and its own ports behind them."""
    found = {number: {endpoint.port for endpoint in endpoints if endpoint.address == ip} for number, endpoints in entry.endpoints.items()}
    return {number: tuple(sorted(ports)) for number, ports in found.items() if ports}


def bindings(gateways: Iterable[Gateway], ports: Mapping[str, Ports], routes: VirtualServices, namespace: str) -> tuple[GatewayBinding, ...]:
    """The servers of a proxy in a namespace; `ports` are those of its services by host name.

    A server whose port is taken for another family of protocols is left out, and so is one whose port is none of the
    services that its Gateway names.
    """
    families: dict[tuple[str, int], str] = {}
    found: list[GatewayBinding] = []
    for gateway in gateways:
        bound = [item for item in routes.by_gateway.get(gateway.key, ()) if visibility.visible(item.export_to, namespace)]
        for server in gateway.servers:
            for target in _targets(gateway, server, ports):
                place = replace(server, target_port=target)
                if families.setdefault((server.bind, target), family(server)) == family(server):
                    found.append(GatewayBinding(server=place, virtual_services=tuple(item for item in bound if admits(server, item))))
    return tuple(found)


def _targets(gateway: Gateway, server: GatewayServer, ports: Mapping[str, Ports]) -> tuple[int, ...]:
    known = [of for host, of in sorted(ports.items()) if not gateway.services or host in gateway.services]
    targets = tuple(sorted({target for of in known for target in of.get(server.port, ())}))
    return targets or (() if gateway.services else (server.target_port,))


def family(server: GatewayServer) -> str:
    """What a port can carry together: plain HTTP, anything on TLS, or plain TCP."""
    if server.protocol.is_http:
        return "http"
    if server.protocol.is_tls or (server.tls is not None and server.tls.mode is not None):
        return "tls"
    return "tcp"


def admits(server: GatewayServer, route: VirtualService) -> bool:
    """Whether a server lets a VirtualService in: by its namespace, and by a host in common."""
    for item in server.hosts:
        where, _, name = item.partition("/")
        if where in {"*", route.namespace} and any(hosts.overlap(name, host) for host in route.hosts):
            return True
    return False
