"""VirtualService: hosts, gateways, and rules that can be reached and lead somewhere."""

from __future__ import annotations

import re

from varka.resources.parsing import Meta
from varka.resources.traffic import virtual_services as written
from varka.resources.validation import headers, http_routes, names, reachability
from varka.resources.validation.findings import Findings

_AUTO_PASSTHROUGH = re.compile(r"outbound_\.\d+_\._\..+|outbound_\.\d+_\.[-\w]+_\..+")
"""The server names by which sidecars call through a gateway of mode AUTO_PASSTHROUGH: port, subset, service."""


def check(spec: written.VirtualService, meta: Meta, found: Findings) -> None:
    """Check a whole VirtualService."""
    delegate = not spec.hosts
    mesh = not spec.gateways or "mesh" in spec.gateways
    _check_gateways(spec, delegate, found)
    _check_hosts(spec, mesh, found)
    if not (spec.http or spec.tls or spec.tcp):
        found.error("spec", "http, tcp or tls must be provided in virtual service")
    if delegate and (spec.tls or spec.tcp):
        found.error("spec", "a delegate (a virtual service without hosts) cannot contain tls or tcp routes; give it hosts or remove them")
    if mesh:
        _check_claims(spec, found)
    for index, route in enumerate(spec.http):
        http_routes.check(route, f"spec.http[{index}]", delegate, found)
    reachability.check(spec, found)
    for index, tls in enumerate(spec.tls):
        _check_tls(tls, spec.hosts, mesh, f"spec.tls[{index}]", found)
    for index, tcp in enumerate(spec.tcp):
        _check_tcp(tcp, f"spec.tcp[{index}]", found)
    names.check_export_to(spec.export_to, meta.namespace, "spec.exportTo", found)


def _check_gateways(spec: written.VirtualService, delegate: bool, found: Findings) -> None:
    if delegate and spec.gateways:
        found.error("spec.gateways", "a delegate (a virtual service without hosts) cannot have gateways; those of its parent count")
    names.check_gateways(spec.gateways, "spec.gateways", found)


def _check_hosts(spec: written.VirtualService, mesh: bool, found: Findings) -> None:
    valid = True
    by_name = not mesh and any(match.sni_hosts for route in spec.tls for match in route.match)
    for index, host in enumerate(spec.hosts):
        path = f"spec.hosts[{index}]"
        if not names.is_ip(host) and not (by_name and _AUTO_PASSTHROUGH.fullmatch(host)):
            valid = names.check_domain(host, path, found) and valid
        if host == "*" and mesh:
            found.error(path, "wildcard host * is not allowed for virtual services bound to the mesh gateway")
            valid = False
    for index, host in enumerate(spec.hosts if valid else ()):
        for other in spec.hosts[index + 1 :]:
            if names.covers(host, other) or names.covers(other, host):
                found.error("spec.hosts", f"duplicate hosts in virtual service: {host} & {other}")


def _check_claims(spec: written.VirtualService, found: Findings) -> None:
    for index, route in enumerate(spec.http):
        for number, match in enumerate(route.match):
            for name in (*match.headers, *match.without_headers):
                if headers.is_claim(name):
                    found.error(
                        f"spec.http[{index}].match[{number}]",
                        f"JWT claim based routing (key: {name}) is only supported for gateways; name one in gateways",
                    )


def _check_tls(route: written.TlsRoute, hosts: tuple[str, ...], mesh: bool, path: str, found: Findings) -> None:
    if not route.match:
        found.error(f"{path}.match", "TLS route must have at least one match condition")
    for index, match in enumerate(route.match):
        where = f"{path}.match[{index}]"
        if not match.sni_hosts:
            found.error(f"{where}.sniHosts", "TLS match must have at least one SNI host")
        for number, host in enumerate(match.sni_hosts):
            if mesh or host not in hosts or not _AUTO_PASSTHROUGH.fullmatch(host):
                _check_sni(host, hosts, f"{where}.sniHosts[{number}]", found)
        _check_l4(match, where, found)
    _check_destinations(route.route, path, found)


def _check_sni(host: str, hosts: tuple[str, ...], path: str, found: Findings) -> None:
    if names.is_ip(host):
        found.warning(path, f"using an IP address ({host!r}) goes against SNI spec and most clients do not support this")
    elif names.check_domain(host, path, found) and not any(names.covers(name, host) for name in hosts):
        found.error(path, f"SNI host {host!r} is not a compatible subset of any of the virtual service hosts: [{', '.join(hosts)}]")


def _check_l4(match: written.TlsMatchAttributes | written.L4MatchAttributes, path: str, found: Findings) -> None:
    for index, subnet in enumerate(match.destination_subnets):
        if not names.is_subnet(subnet):
            found.error(f"{path}.destinationSubnets[{index}]", f"{subnet!r} is not an IP address or CIDR block")
    if match.port:
        names.check_port(match.port, f"{path}.port", found)
    names.check_gateways(match.gateways, f"{path}.gateways", found)
    names.check_labels(match.source_labels, f"{path}.sourceLabels", found)


def _check_tcp(route: written.TcpRoute, path: str, found: Findings) -> None:
    for index, match in enumerate(route.match):
        _check_l4(match, f"{path}.match[{index}]", found)
        if match.source_subnet and not names.is_subnet(match.source_subnet):
            found.error(f"{path}.match[{index}].sourceSubnet", f"{match.source_subnet!r} is not an IP address or CIDR block")
    _check_destinations(route.route, path, found)


def _check_destinations(given: tuple[written.RouteDestination, ...], path: str, found: Findings) -> None:
    if not given:
        found.error(f"{path}.route", "route is required")
    for index, item in enumerate(given):
        http_routes.check_destination(item.destination, f"{path}.route[{index}].destination", found)
    http_routes.check_weights([item.weight for item in given], f"{path}.route", found)
