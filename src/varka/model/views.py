"""What one proxy may see of a snapshot.

The outbound half depends on the proxy's namespace, on the Sidecar that applies and on DestinationRules that select the
workload, and on nothing else: proxies that agree in these share the very same object.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from functools import partial

from msgspec import Struct
from msgspec.structs import replace

from varka.model import patches
from varka.model.discovery import hosts
from varka.model.discovery.registry import Entry
from varka.model.extending.wasm_plugins import Plugin
from varka.model.memo import Kept
from varka.model.patches import Extensions, Module
from varka.model.policies import authorization, telemetry
from varka.model.routing import gateways, visibility
from varka.model.routing.sidecar_scope import Egress, Scope
from varka.model.security import Action, AuthorizationPolicy, Authorizer, JwtRule
from varka.model.services import Endpoint, Hostname, Protocol, Service, ServicePort
from varka.model.snapshot import Snapshot
from varka.model.telemetry import Collector, Provider, Telemetry
from varka.model.traffic import ConnectionPool, VirtualService
from varka.model.view import EgressListener, GatewayBinding, InboundPort, MeshSettings, OutboundView, Proxy, ProxyType, ProxyView


def view(snapshot: Snapshot, proxy: Proxy) -> ProxyView:
    """Everything that decides one proxy's configuration."""
    if not proxy.network and snapshot.network:
        proxy = snapshot.views.get(("on network", proxy.id), (proxy, snapshot.network), partial(replace, proxy, network=snapshot.network))
    kept, labels = snapshot.views, proxy.labels
    scope = snapshot.sidecars.of(proxy.namespace, labels) if proxy.type is ProxyType.SIDECAR else None
    who = (proxy.namespace, tuple(sorted(labels.items())))
    router = proxy.type is ProxyType.ROUTER
    seen = outbound(snapshot, proxy, scope)
    return ProxyView(
        proxy=proxy,
        mesh=_mesh(snapshot, scope),
        outbound=seen,
        inbound=() if router else kept.tuple(("inbound", who, proxy.ip, proxy.name), _inbound(snapshot, proxy, scope)),
        mutual_tls=kept.equal(("mutual tls", who), snapshot.peers.of(proxy.namespace, labels)),
        authorization=kept.tuple(("authorization", who), _authorization(snapshot, proxy, seen)),
        jwt_rules=kept.equal(("jwt", who), _jwt_rules(snapshot, proxy, seen)),
        gateways=_gateways(snapshot, proxy, who) if router else (),
        extensions=_extensions(snapshot, proxy),
        telemetry=_telemetry(snapshot, proxy, seen),
        dns_capture=captures_dns(proxy),
        network_gateways=snapshot.network_gateways,
    )


def _telemetry(snapshot: Snapshot, proxy: Proxy, seen: OutboundView) -> Telemetry:
    """The same object for all proxies that the same resources are for and that reach the same collectors."""
    kept, known, domain = snapshot.views, snapshot.telemetry, snapshot.mesh.cluster_domain
    levels = known.of(proxy.namespace, proxy.labels)
    specs = [spec for level in levels for spec in level]
    reached = kept.get(("collectors", id(seen)), (seen, known), partial(_reached, known.collectors, seen, domain))
    find = dict(reached).get
    key = ("telemetry", tuple(map(id, specs)), tuple(map(len, levels)), reached)
    return kept.get(key, (snapshot.mesh.telemetry, *specs), partial(telemetry.resolve, levels, snapshot.mesh.telemetry, find))


def _reached(providers: tuple[Provider, ...], seen: OutboundView, domain: str) -> tuple[tuple[Provider, Collector], ...]:
    """The collectors of which the proxy sees the service and its port."""
    found: list[tuple[Provider, Collector]] = []
    for provider in providers:
        wanted = _hosts(provider, domain)
        for service in seen.services if wanted else ():
            if service.hostname in wanted and service.port(provider.port) is not None:
                found.append((provider, Collector(host=service.hostname, port=provider.port)))
                break
    return tuple(found)


def _hosts(provider: Provider, domain: str) -> frozenset[Hostname]:
    """The names that a provider's service may mean."""
    host = provider.service.rpartition("/")[2]
    readings = {host, f"{host}.{domain}", f"{host}.svc.{domain}"} if host else set()
    return frozenset(Hostname(one) for one in readings)


def _authorization(snapshot: Snapshot, proxy: Proxy, seen: OutboundView) -> tuple[AuthorizationPolicy, ...]:
    """The policies for a workload; CUSTOM ones with their authorizer, if the proxy can reach it."""
    found = snapshot.authorization.of(proxy.namespace, proxy.labels)
    return tuple(_with_authorizer(snapshot, policy, seen) if policy.action is Action.CUSTOM else policy for policy in found)


def _jwt_rules(snapshot: Snapshot, proxy: Proxy, seen: OutboundView) -> tuple[JwtRule, ...]:
    written = authorization.jwt_rules(snapshot.requests, proxy.namespace, proxy.labels)
    known, domain = snapshot.inputs.signing_keys, snapshot.mesh.cluster_domain
    return tuple(authorization.with_keys(rule, known, seen.services, domain) for rule in written)


def _with_authorizer(snapshot: Snapshot, policy: AuthorizationPolicy, seen: OutboundView) -> AuthorizationPolicy:
    named = next((one for one in snapshot.mesh.authorizers if one.name == policy.provider and not one.problem), None)
    if named is not None and not any(_is_at(named, service) for service in seen.services):
        named = None
    key = ("custom", policy.namespace, policy.name, named is not None)
    return snapshot.views.get(key, (policy, named), partial(replace, policy, authorizer=named))


def _is_at(authorizer: Authorizer, service: Service) -> bool:
    return service.hostname == authorizer.host and authorizer.namespace in {"", service.namespace} and service.port(authorizer.port) is not None


def _extensions(snapshot: Snapshot, proxy: Proxy) -> Extensions:
    """Kept by content, so that proxies with the same patches share the object."""
    changes, plugins = snapshot.envoy_filters.of(proxy), snapshot.wasm_plugins.of(proxy)
    if not changes and not plugins:
        return patches.NONE
    modules = tuple(_module(snapshot, plugin) for plugin in plugins)
    key = ("extensions", tuple((item.origin, item.index) for item in changes), tuple(item.name for item in modules))
    known = frozenset((item.origin, item.index) for item in changes if item.place is not patches.Place.BOOTSTRAP)
    return snapshot.views.get(key, (*changes, *modules), partial(Extensions, patches=changes, modules=modules, identities=known))


def _module(snapshot: Snapshot, plugin: Plugin) -> Module:
    """The module with its code, if that has to be fetched and has been."""
    code = snapshot.inputs.wasm_code.code.get(plugin.source) if plugin.source is not None else None
    if code is None:
        return plugin.module
    return snapshot.views.get(("module", plugin.module.name), (plugin, code), partial(replace, plugin.module, code=code))


def _mesh(snapshot: Snapshot, scope: Scope | None) -> MeshSettings:
    mesh = snapshot.mesh
    if scope is None or scope.registry_only is None:
        return mesh
    make = partial(replace, mesh, outbound_registry_only=scope.registry_only, egress_proxy=scope.egress_proxy)
    return snapshot.views.get(("mesh", scope.namespace, scope.name), (mesh, scope), make)


def outbound(snapshot: Snapshot, proxy: Proxy, scope: Scope | None) -> OutboundView:
    """Where a proxy may send requests; shared by all proxies of equal scope."""
    kept, registry, rules = snapshot.views, snapshot.registry, snapshot.destination_rules
    selecting = rules.selecting(proxy.namespace, proxy.labels)
    captures = captures_dns(proxy)
    key = (proxy.namespace, (scope.namespace, scope.name) if scope is not None else None, tuple(rule.name for rule in selecting), captures)
    mesh = snapshot.virtual_services.mesh
    routes = kept.get(("routes", key), (mesh, scope), partial(_routes, mesh, proxy.namespace, scope))
    if registry.all_public and (scope is None or scope.egress is None):
        services, endpoints = registry.services, registry.endpoints
    else:
        asked = frozenset(Hostname(one.host) for one in snapshot.mesh.authorizers)
        asked = asked.union(*(_hosts(one, snapshot.mesh.cluster_domain) for one in snapshot.telemetry.collectors))
        make = partial(_visible, registry.entries, proxy.namespace, scope, routes, asked)
        chosen = kept.get(("visible", key), (registry, routes, scope, snapshot.mesh.authorizers, snapshot.telemetry), make)
        services, endpoints = kept.tuple(("services", key), chosen.services), chosen.endpoints
    if captures:
        addressed = tuple(_addressed(snapshot.views, service) if service.allocated and not service.addresses else service for service in services)
        services = kept.tuple(("addressed", key), addressed)
    policies = kept.get(("rules", key), (services, rules), partial(rules.for_services, services, proxy.namespace, proxy.labels))
    whole = kept.get(
        ("outbound", key),
        (services, endpoints, routes, policies),
        partial(OutboundView, services=services, endpoints=endpoints, virtual_services=routes, destination_rules=policies),
    )
    if scope is None or scope.egress is None:
        return whole
    return kept.get(("scoped", key), (whole, scope), partial(_scoped, kept, key, whole, scope))


def captures_dns(proxy: Proxy) -> bool:
    """Whether the proxy's agent answers the workload's DNS queries."""
    return proxy.metadata.get("DNS_CAPTURE", "").lower() in {"true", "1"}


def _addressed(kept: Kept, service: Service) -> Service:
    """A service at the address that was made up for it."""
    return kept.get(("addressed", service.namespace, service.hostname), (service,), partial(replace, service, addresses=service.allocated))


def _scoped(kept: Kept, key: Hashable, whole: OutboundView, scope: Scope) -> OutboundView:
    """With the listeners of a Sidecar; each reaches the services and rules that it names, and clusters exist for all."""
    return replace(whole, listeners=tuple(_egress(kept, (key, number), whole, listener) for number, listener in enumerate(scope.egress or ())))


def _egress(kept: Kept, key: Hashable, whole: OutboundView, listener: Egress) -> EgressListener:
    services = tuple(service for service in whole.services if listener.includes(service))
    rules = tuple(item for item in whole.virtual_services if listener.includes_route(item))
    reach = replace(whole, services=kept.tuple(("reached", key), services), virtual_services=kept.tuple(("rules of", key), rules))
    return EgressListener(reach=reach, port=listener.port, http_proxy=listener.http_proxy, bind=listener.bind, bound=listener.bound)


def _routes(items: tuple[VirtualService, ...], namespace: str, scope: Scope | None) -> tuple[VirtualService, ...]:
    return tuple(item for item in items if visibility.visible(item.export_to, namespace) and (scope is None or scope.includes_route(item)))


class Visible(Struct, frozen=True, kw_only=True, eq=False):
    """Services and their endpoints, as far as a scope goes."""

    services: tuple[Service, ...]
    endpoints: Mapping[tuple[Hostname, int], tuple[Endpoint, ...]]


def _visible(entries: tuple[Entry, ...], namespace: str, scope: Scope | None, routes: tuple[VirtualService, ...], asked: frozenset[Hostname]) -> Visible:
    """One entry a host: of those that may be seen, the own namespace's goes first, unless Kubernetes has the host.

    `asked` are hosts of authorizers and collectors: a Sidecar need not list them.
    """
    wanted = _destinations(routes, scope) | asked if scope is not None and scope.egress is not None else frozenset()
    chosen: dict[Hostname, Entry] = {}
    for entry in entries:
        service = entry.service
        if not visibility.visible(service.export_to, namespace):
            continue
        if scope is not None and not scope.includes(service) and wanted.isdisjoint((service.hostname, *service.aliases)):
            continue
        other = chosen.get(service.hostname)
        if other is not None and _complements(other.service, service):
            chosen[service.hostname] = _joined(other, entry)
        elif other is None or (other.service.registry != "Kubernetes" and service.namespace == namespace != other.service.namespace):
            chosen[service.hostname] = entry
    return Visible(
        services=tuple(entry.service for entry in chosen.values()),
        endpoints={(host, port): found for host, entry in chosen.items() for port, found in entry.endpoints.items()},
    )


def _complements(first: Service, second: Service) -> bool:
    """Two ServiceEntries of one namespace may each give some ports of one host."""
    return first.registry == second.registry == "External" and first.namespace == second.namespace and first.resolution is second.resolution


def _joined(first: Entry, second: Entry) -> Entry:
    known = {port.number for port in first.service.ports}
    ports = (*first.service.ports, *(port for port in second.service.ports if port.number not in known))
    return Entry(service=replace(first.service, ports=ports), endpoints={**second.endpoints, **first.endpoints})


def _destinations(routes: tuple[VirtualService, ...], scope: Scope) -> frozenset[Hostname]:
    """Hosts that visible routes lead to, and the proxy for what is unknown: a Sidecar need not list them."""
    found: set[Hostname] = {scope.egress_proxy.host} if scope.egress_proxy is not None else set()
    for item in routes:
        for http in item.http:
            found.update(part.destination.host for part in http.destinations)
            found.update(mirror.destination.host for mirror in http.mirrors)
        for route in (*item.tls, *item.tcp):
            found.update(part.destination.host for part in route.destinations)
    return frozenset(found)


def _inbound(snapshot: Snapshot, proxy: Proxy, scope: Scope | None) -> tuple[InboundPort, ...]:
    mine = snapshot.registry.serving(proxy.namespace, proxy.labels, proxy.ip)
    if scope is not None and scope.ingress:
        return _ingress(snapshot, proxy, scope, mine)
    pool = scope.inbound_pool if scope is not None else None
    return tuple(port for entry in mine for port in _ports(snapshot, proxy, entry, pool))


def _ports(snapshot: Snapshot, proxy: Proxy, entry: Entry, pool: ConnectionPool | None) -> list[InboundPort]:
    service = entry.service
    found: list[InboundPort] = []
    for port in service.ports:
        target = _target(snapshot, proxy, entry, port)
        if port.protocol is not Protocol.UDP and target is not None:
            found.append(
                snapshot.views.get(
                    ("port", proxy.namespace, proxy.name, service.hostname, port.number, target),
                    (service, port, pool),
                    partial(InboundPort, service=service, service_port=port, target_port=target, pool=pool),
                )
            )
    return found


def _target(snapshot: Snapshot, proxy: Proxy, entry: Entry, port: ServicePort) -> int | None:
    mine = (endpoint.port for endpoint in entry.endpoints.get(port.number, ()) if endpoint.address == proxy.ip)
    target = next(mine, None) or port.target_port
    if target is not None:
        return target
    pod = snapshot.pods.get(proxy.namespace, proxy.name)
    return pod.ports.get(port.target_name) if pod is not None else None


def _ingress(snapshot: Snapshot, proxy: Proxy, scope: Scope, mine: tuple[Entry, ...]) -> tuple[InboundPort, ...]:
    """The listeners of a Sidecar; each belongs to the first service that points at its port, else to the workload itself."""
    found: list[InboundPort] = []
    for listener in scope.ingress:
        port = ServicePort(number=listener.port, name=listener.name, protocol=listener.protocol, target_port=listener.port)
        owner = next((entry.service for entry in mine if any(_target(snapshot, proxy, entry, item) == listener.port for item in entry.service.ports)), None)
        if owner is None:
            name = hosts.of_service(proxy.workload or proxy.name, proxy.namespace, snapshot.mesh.cluster_domain)
            owner = mine[0].service if mine else Service(hostname=name, namespace=proxy.namespace, name=proxy.workload or proxy.name, ports=(port,))
        made = InboundPort(
            service=owner,
            service_port=port,
            target_port=listener.port,
            address=listener.bind or proxy.ip,
            bound=listener.bound,
            endpoint=_endpoint(listener.endpoint, proxy),
            tls=listener.tls,
            pool=listener.pool or scope.inbound_pool,
        )
        found.append(snapshot.views.equal(("ingress", proxy.namespace, proxy.name, listener.port), made))
    return tuple(found)


def _endpoint(given: str, proxy: Proxy) -> str:
    """`0.0.0.0` and `[::]` stand for the workload's own address."""
    address, colon, port = given.rpartition(":")
    return f"{proxy.ip}:{port}" if colon and address in {"0.0.0.0", "[::]"} else given


def _gateways(snapshot: Snapshot, proxy: Proxy, who: tuple[object, ...]) -> tuple[GatewayBinding, ...]:
    entries = snapshot.registry.serving(proxy.namespace, proxy.labels, proxy.ip)
    chosen = gateways.for_proxy(snapshot.gateways, proxy.labels, (entry.service.hostname for entry in entries))
    ports: dict[str, gateways.Ports] = {}
    for entry in entries:
        declared = ((port.number, _target(snapshot, proxy, entry, port)) for port in entry.service.ports)
        found = gateways.target_ports(entry, proxy.ip) or {number: (target,) for number, target in declared if target is not None}
        ports[entry.service.hostname] = found
    stable = snapshot.views.equal(("gateway ports", who), ports)
    return snapshot.views.get(
        ("gateways", who),
        (*chosen, stable, snapshot.virtual_services),
        partial(gateways.bindings, chosen, stable, snapshot.virtual_services, proxy.namespace),
    )
