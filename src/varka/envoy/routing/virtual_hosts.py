"""A host of the mesh as Envoy's virtual host: its domains, and the rules that its VirtualService gives (none: straight on)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from envoy.config.route.v3 import route_components_pb2
from msgspec import Struct, field

from varka.envoy import memo, messages, names
from varka.envoy.routing import route_actions, route_matches
from varka.envoy.security import peers, policies
from varka.model.services import Hostname, Service
from varka.model.telemetry import Side
from varka.model.traffic import Destination, Headers, HttpMatch, HttpRoute, VirtualService, WeightedDestination
from varka.model.view import MeshSettings, OutboundView

MESH = "mesh"
NO_HEADERS = Headers()


class Origin(Struct, frozen=True, kw_only=True):
    """From where the rules are looked at: what the proxy is, and the port and gateway that the request came to."""

    view: OutboundView
    mesh: MeshSettings
    services: Mapping[Hostname, Service]
    port: int
    gateway: str = MESH
    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    side: Side = field(default_factory=Side)
    """What is told of the requests and connections."""


_indexes: memo.Memo[dict[Hostname, Service]] = memo.Memo(64)


def index(view: OutboundView) -> dict[Hostname, Service]:
    """The view's services by host, and by the other names that stand for them."""

    def build() -> dict[Hostname, Service]:
        aliases = {alias: service for service in view.services for alias in service.aliases}
        return {**aliases, **{service.hostname: service for service in view.services}}

    return _indexes.get((view,), None, build)


def dependencies(origin: Origin, virtual_service: VirtualService | None) -> tuple[object, ...]:
    """The objects of the view that the rules of a VirtualService are built from, beside itself."""
    if virtual_service is None:
        return ()
    hosts = {route.destination.host for rule in virtual_service.http for route in rule.destinations}
    hosts.update(mirror.destination.host for rule in virtual_service.http for mirror in rule.mirrors)
    found: list[object] = [virtual_service]
    for host in sorted(hosts):
        found += [origin.services.get(host), origin.view.destination_rules.get(host)]
    return tuple(found)


def labels_looked_at(virtual_services: Iterable[VirtualService], labels: Mapping[str, str]) -> tuple[tuple[str, str | None], ...]:
    """The part of a proxy's labels that these rules ask for: proxies that agree in it get the same routes."""
    return tuple((key, labels.get(key)) for key in label_keys(virtual_services))


def label_keys(virtual_services: Iterable[VirtualService]) -> tuple[str, ...]:
    """The labels of callers that these rules ask for, sorted."""
    return tuple(sorted({key for service in virtual_services for rule in service.http for match in rule.matches for key in match.source_labels}))


def routes(origin: Origin, virtual_service: VirtualService) -> list[Any]:
    """The rules that can apply at this origin, in order, up to the first that leaves nothing over."""
    result = []
    for rule in virtual_service.http:
        for match in rule.matches or (None,):
            if not route_matches.applies(match, origin.port, origin.gateway, origin.labels, origin.namespace):
                continue
            result.append(_route(origin, virtual_service, rule, match))
            if route_matches.catches_all(match):
                return result
    return result


def default_route(origin: Origin, service: Service) -> Any:
    """Straight on to the service itself."""
    destination = Destination(host=service.hostname, port=origin.port)
    action = route_actions.forward(None, origin.mesh.default_retry)
    action.cluster = cluster_of(origin, destination)
    action.hash_policy.extend(_hash_policies(origin, destination))
    operation = f"{service.hostname}:{origin.port}/*"
    return route_components_pb2.Route(
        name="default",
        match=route_matches.build(None),
        route=action,
        decorator=route_components_pb2.Decorator(operation=operation),
    )


def port_of(origin: Origin, destination: Destination) -> int:
    """The port named, else the only one that the service has, else the one that the request came to."""
    if destination.port is not None:
        return destination.port
    service = origin.services.get(destination.host)
    return service.ports[0].number if service is not None and len(service.ports) == 1 else origin.port


def cluster_of(origin: Origin, destination: Destination) -> str:
    """The name of the destination's cluster, whether or not there is such a cluster."""
    service = origin.services.get(destination.host)
    return names.outbound(port_of(origin, destination), destination.subset, service.hostname if service is not None else destination.host)


def unknown_cluster(mesh: MeshSettings) -> str:
    """Where connections to addresses of no service go."""
    if mesh.outbound_registry_only:
        return names.BLACK_HOLE_CLUSTER
    proxy = mesh.egress_proxy
    return names.PASSTHROUGH_CLUSTER if proxy is None else names.outbound(proxy.port or 0, proxy.subset, proxy.host)


def _hash_policies(origin: Origin, destination: Destination) -> list[Any]:
    rule = origin.view.destination_rules.get(destination.host)
    policy = policies.merged(rule, port_of(origin, destination), destination.subset)
    return route_actions.hash_policies(policy.load_balancer)


def _route(origin: Origin, virtual_service: VirtualService, rule: HttpRoute, match: HttpMatch | None) -> Any:
    config = f"/apis/networking.istio.io/v1/namespaces/{virtual_service.namespace}/virtual-service/{virtual_service.name}"
    route = route_components_pb2.Route(
        name=".".join(part for part in (rule.name, match.name if match else "") if part),
        match=route_matches.build(match),
        metadata=messages.metadata(istio={"config": config}),
        typed_per_filter_config=route_actions.filter_configs(rule),
    )
    if match is not None and match.stat_prefix:
        route.stat_prefix = match.stat_prefix
    if rule.redirect is not None:
        route.redirect.CopyFrom(route_actions.redirect(rule.redirect, origin.port))
    elif rule.direct_response is not None:
        route.direct_response.CopyFrom(route_actions.direct_response(rule.direct_response))
    else:
        route.route.CopyFrom(_forward(origin, rule, match))
        route.decorator.operation = _target(origin, virtual_service, rule) + _pattern(match)
    route_actions.apply_headers(route, rule.headers)
    return route


def _target(origin: Origin, virtual_service: VirtualService, rule: HttpRoute) -> str:
    """What a span is called by: the one destination, or the VirtualService where there are several."""
    if len(rule.destinations) == 1:
        destination = rule.destinations[0].destination
        return f"{destination.host}:{port_of(origin, destination)}"
    return f"{virtual_service.name}:{origin.port}"


def _pattern(match: HttpMatch | None) -> str:
    if match is None or match.uri is None:
        return "/*"
    return match.uri.value if match.uri.kind.value == "exact" else match.uri.value + "*"


def _forward(origin: Origin, rule: HttpRoute, match: HttpMatch | None) -> Any:
    action = route_actions.forward(rule.timeout, rule.retries or origin.mesh.default_retry)
    _apply_rewrite(action, rule, match)
    authority = route_actions.authority_of(rule.headers.request)
    if authority:
        action.host_rewrite_literal = authority
    _apply_destinations(action, origin, rule.destinations)
    if rule.absent_status == 500:
        action.cluster_not_found_response_code = route_components_pb2.RouteAction.INTERNAL_SERVER_ERROR
    for mirror in rule.mirrors:
        policy = action.request_mirror_policies.add(cluster=cluster_of(origin, mirror.destination))
        policy.runtime_fraction.CopyFrom(route_actions.runtime_fraction(mirror.percentage))
        policy.trace_sampled.value = False
    return action


def _apply_rewrite(action: Any, rule: HttpRoute, match: HttpMatch | None) -> None:
    rewrite = rule.rewrite
    if rewrite is None:
        return
    if rewrite.authority:
        action.host_rewrite_literal = rewrite.authority
    if rewrite.regex:
        action.regex_rewrite.pattern.regex = rewrite.regex
        action.regex_rewrite.substitution = rewrite.substitution
    elif rewrite.uri and match is not None and match.uri is not None and match.uri.kind.value == "regex":
        action.regex_rewrite.pattern.regex = match.uri.value
        action.regex_rewrite.substitution = rewrite.uri
    elif rewrite.uri:
        action.prefix_rewrite = rewrite.uri


def _apply_destinations(action: Any, origin: Origin, destinations: tuple[WeightedDestination, ...]) -> None:
    """Shares of no weight at all are dropped, except that a single destination takes everything."""
    weighted = [choice for choice in destinations if choice.weight > 0] or list(destinations[:1])
    if len(weighted) == 1 and weighted[0].headers == NO_HEADERS:
        action.cluster = cluster_of(origin, weighted[0].destination)
    for choice in weighted:
        if not action.cluster:
            part = action.weighted_clusters.clusters.add(name=cluster_of(origin, choice.destination))
            part.weight.value = max(1, choice.weight)
            route_actions.apply_headers(part, choice.headers)
            part.host_rewrite_literal = route_actions.authority_of(choice.headers.request)
        for policy in _hash_policies(origin, choice.destination):
            if policy not in action.hash_policy:
                action.hash_policy.append(policy)


def virtual_host(name: str, domains: tuple[str, ...], rules: list[Any], inside: bool) -> Any:
    """The message; requests into the mesh (`inside`) say who sends them."""
    return route_components_pb2.VirtualHost(
        name=name,
        domains=domains,
        routes=rules,
        include_request_attempt_count=True,
        request_headers_to_add=peers.SEND if inside else (),
    )
