"""Where connections go that are not HTTP: the `tcp` and `tls` rules of VirtualServices, else straight to the service."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varka.envoy import memo, names
from varka.envoy.listeners import chains, tcp_proxies
from varka.envoy.listeners.outbound_ports import Claim, Kind
from varka.envoy.observing import stats
from varka.envoy.routing import virtual_hosts
from varka.model.services import Hostname
from varka.model.traffic import Destination, L4Match, L4Route, VirtualService, WeightedDestination
from varka.model.view import OutboundView

_ruled: memo.Memo[dict[str, VirtualService]] = memo.Memo(64)


def virtual_service_of(view: OutboundView, host: Hostname) -> VirtualService | None:
    """The VirtualService with rules for connections to this host, if there is one."""

    def build() -> dict[str, VirtualService]:
        result: dict[str, VirtualService] = {}
        for service in view.virtual_services:
            if service.tcp or service.tls:
                for name in service.hosts:
                    result.setdefault(name, service)
        return result

    ruled = _ruled.get((view.virtual_services,), None, build)
    found = ruled.get(host)
    if found is None and ruled:
        found = next((rules for name, rules in ruled.items() if name.startswith("*") and host.endswith(name[1:])), None)
    return found


def dependencies(origin: virtual_hosts.Origin, rules: VirtualService | None) -> list[object]:
    """What the chains are built from beside the rules themselves."""
    if rules is None:
        return []
    hosts = sorted({choice.destination.host for route in (*rules.tcp, *rules.tls) for choice in route.destinations})
    return [item for host in hosts for item in (origin.services.get(host), origin.view.destination_rules.get(host))]


_label_keys: memo.Memo[tuple[str, ...]] = memo.Memo(64)


def labels_looked_at(view: OutboundView, labels: Mapping[str, str]) -> tuple[tuple[str, str | None], ...]:
    """The part of a proxy's labels that the rules for connections ask for."""

    def keys() -> tuple[str, ...]:
        matches = (match for service in view.virtual_services for route in (*service.tcp, *service.tls) for match in route.matches)
        return tuple(sorted({key for match in matches for key in match.source_labels}))

    return tuple((key, labels.get(key)) for key in _label_keys.get((view.virtual_services,), None, keys))


def applies(match: L4Match | None, origin: virtual_hosts.Origin) -> bool:
    """Whether the match can hold at this proxy, port and gateway."""
    if match is None:
        return True
    if match.gateways and origin.gateway not in match.gateways:
        return False
    if match.port is not None and match.port != origin.port:
        return False
    if match.source_namespace and match.source_namespace != origin.namespace:
        return False
    return all(origin.labels.get(key) == value for key, value in match.source_labels.items())


def chains_of(claim: Claim, origin: virtual_hosts.Origin, alone: bool) -> list[Any]:
    """The filter chains for one service; the one without a condition is for all that is left over."""
    rules = virtual_service_of(origin.view, claim.service.hostname)
    blocks = (claim.block,) if claim.block else ()
    result: list[Any] = []
    open_ended = False
    if rules is not None:
        for route, match in _applying(rules, claim.kind, origin):
            built = _chain(route, match, blocks, origin)
            open_ended = open_ended or not built.HasField("filter_chain_match")
            result.append(built)
    if open_ended:
        return result
    host = claim.service.hostname
    by_name = claim.kind is Kind.TLS and not alone
    straight = L4Route(destinations=(WeightedDestination(destination=Destination(host=host, port=origin.port)),))
    if by_name:
        named = L4Match(sni_hosts=(host, *claim.service.aliases)) if host != "*" else None
        if named is not None and any(host in tuple(chain.filter_chain_match.server_names) for chain in result):
            return result
        result.append(_chain(straight, named, blocks, origin))
    else:
        result.append(_chain(straight, None, blocks, origin))
    return result


def _applying(rules: VirtualService, kind: Kind, origin: virtual_hosts.Origin) -> list[tuple[L4Route, L4Match | None]]:
    routes = rules.tls if kind is Kind.TLS else rules.tcp
    return [(route, match) for route in routes for match in route.matches or (None,) if applies(match, origin)]


def _chain(route: L4Route, match: L4Match | None, blocks: tuple[str, ...], origin: virtual_hosts.Origin) -> Any:
    subnets = (match.destination_subnets if match else ()) or blocks
    server_names = tuple(name for name in (match.sni_hosts if match else ()) if name != "*")
    source = match.source_subnet if match else ""
    condition = chains.match(server_names=server_names, blocks=subnets) if server_names or subnets or source else None
    if condition is not None and source:
        condition.source_prefix_ranges.append(_source(source))
    filters = tcp_proxies.to_destinations(origin, route.destinations, stats.of_connections_sent(origin.side.metrics))
    return chains.chain(_name(route, origin), filters, condition)


def _source(block: str) -> Any:
    return chains.match(blocks=(block,)).prefix_ranges[0]


def _name(route: L4Route, origin: virtual_hosts.Origin) -> str:
    return virtual_hosts.cluster_of(origin, route.destinations[0].destination) if route.destinations else names.BLACK_HOLE_CLUSTER
