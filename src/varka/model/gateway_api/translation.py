"""Everything of the Gateway API at once: gateways and virtual services for the stages, statuses for the objects.

Rules of several routes for one host name of one listener make one virtual service, sorted as the Gateway API ranks them:
the mesh's own merging of virtual services knows no such order.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from varka.model.discovery import hosts, protocols
from varka.model.gateway_api import attaching, http_rules, ingresses, l4_rules, listeners, statuses
from varka.model.gateway_api.attaching import Attachment, Joining
from varka.model.gateway_api.backends import Directory
from varka.model.gateway_api.grants import Grants
from varka.model.gateway_api.http_rules import Ranked, Rules
from varka.model.gateway_api.listeners import Listener
from varka.model.gateway_api.statuses import Condition, ListenerStatus, ParentStatus, Ref
from varka.model.inputs import Inputs
from varka.model.memo import Kept
from varka.model.routing.gateways import Gateway
from varka.model.services import Hostname, Protocol, Service
from varka.model.traffic import GatewayServer, L4Match, L4Route, ServerTls, ServerTlsMode, VirtualService
from varka.resources import Parsed
from varka.resources.gateway_api import gateways as written
from varka.resources.gateway_api import routes as written_routes
from varka.resources.gateway_api.kinds import CLASS, CONTROLLER, GROUP
from varka.resources.gateway_api.routes import ParentReference

CREDENTIAL = "kubernetes-gateway://"
"""Before `namespace/name` of a Secret that a Gateway refers to: it may be of another namespace, where a grant says so."""

Route = Parsed[written_routes.HttpRoute] | Parsed[written_routes.GrpcRoute] | Parsed[written_routes.TlsRoute] | Parsed[written_routes.TcpRoute]


class Workload(Struct, frozen=True, kw_only=True):
    """What the control plane makes for a Gateway that names no address of its own: a Deployment and a Service."""

    gateway: str
    namespace: str
    name: str
    class_name: str
    ports: tuple[tuple[str, int], ...]
    """Name and number, in the order of the listeners."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    uid: str


class GatewayStatus(Struct, frozen=True, kw_only=True):
    """What became of a Gateway; its addresses are the control plane's to find, from its services."""

    conditions: tuple[Condition, ...]
    listeners: tuple[ListenerStatus, ...]
    services: tuple[str, ...]


class Translation(Struct, frozen=True, kw_only=True, eq=False):
    """The result. `credentials` are the Secrets, as `namespace/name`, that each of the gateways (by its key) may have."""

    gateways: tuple[Gateway, ...] = ()
    virtual_services: tuple[VirtualService, ...] = ()
    classes: Mapping[str, tuple[Condition, ...]] = field(default_factory=dict)
    gateway_statuses: Mapping[Ref, GatewayStatus] = field(default_factory=dict)
    route_statuses: Mapping[Ref, tuple[ParentStatus, ...]] = field(default_factory=dict)
    workloads: tuple[Workload, ...] = ()
    credentials: Mapping[str, frozenset[str]] = field(default_factory=dict)
    ingresses: tuple[Ref, ...] = ()
    """The Ingresses that are ours."""


NOTHING = Translation()


def inputs_of(inputs: Inputs) -> tuple[object, ...]:
    """All that a translation depends on beside the services."""
    return (
        inputs.gateway_classes,
        inputs.gateway_api_gateways,
        inputs.reference_grants,
        inputs.http_routes,
        inputs.grpc_routes,
        inputs.tls_routes,
        inputs.tcp_routes,
        inputs.ingresses,
        inputs.ingress_classes,
        inputs.namespaces,
        inputs.mesh,
    )


def translate(inputs: Inputs, services: Sequence[Service], kept: Kept) -> Translation:
    """The Gateway API's objects and Ingresses of `inputs`; `services` are those of the mesh, by host name."""
    if not any(
        (inputs.gateway_classes, inputs.gateway_api_gateways, inputs.http_routes, inputs.grpc_routes, inputs.tls_routes, inputs.tcp_routes, inputs.ingresses)
    ):
        return NOTHING
    directory = Directory(
        services={one.hostname: frozenset(port.number for port in one.ports) for one in services},
        port_names={(one.hostname, port.name): port.number for one in services for port in one.ports},
        grants=Grants(inputs.reference_grants),
        domain=inputs.mesh.cluster_domain,
    )
    return _settled(_translate(inputs, directory), kept)


def _settled(made: Translation, kept: Kept) -> Translation:
    """With the objects of last time where they are equal, so that their identity says that nothing changed."""
    return replace(
        made,
        gateways=kept.tuple("gateways", tuple(kept.equal(("gateway", one.key), one) for one in made.gateways)),
        virtual_services=kept.tuple("routes", tuple(kept.equal(("route", one.namespace, one.name), one) for one in made.virtual_services)),
    )


def _translate(inputs: Inputs, directory: Directory) -> Translation:
    mine = _classes(inputs)
    domain = directory.domain
    labels = {one.meta.name: one.meta.labels for one in inputs.namespaces}
    taken = {name for name, conditions in mine.items() if all(one.holds for one in conditions)}
    ours = [one for one in inputs.gateway_api_gateways if one.spec is not None and one.spec.gateway_class_name in taken]
    offered = {one.meta.key: () if _parameters(one) else listeners.of_gateway(one, directory.grants) for one in ours}
    collected = _Collected(directory=directory, labels=labels, offered=offered, foreign=frozenset(one.meta.key for one in inputs.gateway_api_gateways))
    for route in _all_routes(inputs):
        collected.take(route)
    from_ingresses = ingresses.translate(inputs, directory)
    return Translation(
        gateways=(*(_gateway(one, domain) for of in offered.values() for one in of if one.usable), *from_ingresses.gateways),
        virtual_services=(*collected.virtual_services(), *from_ingresses.virtual_services),
        classes=mine,
        gateway_statuses={("Gateway", one.meta.namespace, one.meta.name): _status(one, offered[one.meta.key], collected.attached, domain) for one in ours},
        route_statuses=collected.statuses,
        workloads=tuple(_workload(one, offered[one.meta.key]) for one in ours if not _addressed(one) and not _parameters(one)),
        credentials={
            f"{one.gateway.meta.namespace}/{one.internal}": frozenset(filter(None, (*one.credentials, one.authorities)))
            for of in offered.values()
            for one in of
        },
        ingresses=from_ingresses.ours,
    )


def _classes(inputs: Inputs) -> dict[str, tuple[Condition, ...]]:
    """Our classes by name. The one that we create ourselves counts also before it is there."""
    found: dict[str, tuple[Condition, ...]] = {
        one.meta.name: (
            statuses.accepted("handled by Istio controller")
            if one.spec.parameters_ref is None
            else statuses.refused("InvalidParameters", "parametersRef is not supported: make a class without it"),
        )
        for one in inputs.gateway_classes
        if one.spec and one.spec.controller_name == CONTROLLER
    }
    known = {one.meta.name for one in inputs.gateway_classes}
    return found if CLASS in known else {**found, CLASS: (statuses.accepted(),)}


def _all_routes(inputs: Inputs) -> list[Route]:
    found: list[Route] = [*inputs.http_routes, *inputs.grpc_routes, *inputs.tls_routes, *inputs.tcp_routes]
    return sorted((one for one in found if one.spec is not None), key=lambda one: (one.meta.created, one.meta.key, one.kind))


def _addressed(gateway: Parsed[written.Gateway]) -> bool:
    """Whether a Gateway names the Service of a gateway that runs already."""
    assert gateway.spec is not None
    return any(one.type == "Hostname" and one.value for one in gateway.spec.addresses)


def _parameters(gateway: Parsed[written.Gateway]) -> bool:
    """Whether a Gateway asks for a workload that is not the usual one."""
    assert gateway.spec is not None
    return gateway.spec.infrastructure is not None and gateway.spec.infrastructure.parameters_ref is not None


def services_of(gateway: Parsed[written.Gateway], domain: str) -> tuple[str, ...]:
    """Host names of the services whose pods serve a Gateway."""
    assert gateway.spec is not None
    named = [one.value.lower() for one in gateway.spec.addresses if one.type == "Hostname" and one.value]
    if named:
        return tuple(hosts.qualified(one, gateway.meta.namespace, domain) for one in named)
    return (hosts.of_service(workload_name(gateway), gateway.meta.namespace, domain),)


def workload_name(gateway: Parsed[written.Gateway]) -> str:
    """The name of the Deployment and the Service that are made for a Gateway."""
    assert gateway.spec is not None
    return gateway.meta.annotations.get("gateway.istio.io/name-override") or f"{gateway.meta.name}-{gateway.spec.gateway_class_name}"


def _gateway(one: Listener, domain: str) -> Gateway:
    meta, protocol = one.gateway.meta, one.written.protocol
    tls = _tls(one)
    opened = Protocol.HTTPS if protocol == "HTTPS" else protocols.named(protocol)
    server = GatewayServer(
        gateway=f"{meta.namespace}/{one.internal}",
        port=one.written.port,
        target_port=one.written.port,
        port_name=one.name,
        protocol=Protocol.TCP if opened is Protocol.AUTO else opened,
        name=one.name,
        hosts=(f"*/{one.hostname}",),
        tls=tls,
    )
    return Gateway(name=one.internal, namespace=meta.namespace, services=services_of(one.gateway, domain), servers=(server,), created=meta.created)


def _tls(one: Listener) -> ServerTls | None:
    given = one.written.tls
    if given is None or one.written.protocol not in ("HTTPS", "TLS"):
        return None
    if one.passes_tls:
        return ServerTls(mode=ServerTlsMode.PASSTHROUGH)
    if not one.credentials:
        return ServerTls(mode=ServerTlsMode.ISTIO_MUTUAL)
    mode = ServerTlsMode.MUTUAL if one.authorities else ServerTlsMode.SIMPLE
    names = tuple(CREDENTIAL + name for name in one.credentials)
    return ServerTls(mode=mode, credential_names=names, ca_credential_name=CREDENTIAL + one.authorities if one.authorities else "")


def _workload(gateway: Parsed[written.Gateway], offered: Iterable[Listener]) -> Workload:
    assert gateway.spec is not None
    infrastructure = gateway.spec.infrastructure or written.Infrastructure()
    numbers: dict[int, str] = {}
    for one in offered:
        numbers.setdefault(one.written.port, one.written.protocol.lower())
    passed = {key: value for key, value in gateway.meta.annotations.items() if key.startswith("networking.istio.io/")}
    return Workload(
        gateway=gateway.meta.name,
        namespace=gateway.meta.namespace,
        name=workload_name(gateway),
        class_name=gateway.spec.gateway_class_name,
        ports=tuple((f"{protocol}-{number}", number) for number, protocol in numbers.items()),
        labels=dict(infrastructure.labels),
        annotations={**passed, **infrastructure.annotations},
        uid=gateway.meta.uid,
    )


def _status(gateway: Parsed[written.Gateway], offered: tuple[Listener, ...], attached: Mapping[tuple[str, str], int], domain: str) -> GatewayStatus:
    if _parameters(gateway):
        message = "infrastructure.parametersRef is not supported: use infrastructure.labels and annotations, or an address of type Hostname"
        return GatewayStatus(conditions=(statuses.refused("InvalidParameters", message),), listeners=(), services=())
    valid = all(one.usable for one in offered)
    broken = ", ".join(one.name for one in offered if not one.usable)
    accepted = (
        statuses.accepted() if valid else Condition(type="Accepted", holds=True, reason="ListenersNotValid", message=f"listeners that cannot be used: {broken}")
    )
    return GatewayStatus(
        conditions=(accepted,),
        listeners=tuple(
            ListenerStatus(name=one.name, kinds=one.kinds, attached=attached.get((gateway.meta.key, one.name), 0), conditions=one.conditions) for one in offered
        ),
        services=services_of(gateway, domain),
    )


class _Collected(Struct):
    """Routes as they are taken, one after another."""

    directory: Directory
    labels: attaching.Labels
    offered: Mapping[str, tuple[Listener, ...]]
    foreign: frozenset[str]
    statuses: dict[Ref, tuple[ParentStatus, ...]] = field(default_factory=dict)
    attached: dict[tuple[str, str], int] = field(default_factory=lambda: defaultdict(int))
    _http: dict[tuple[str, str], list[Ranked]] = field(default_factory=lambda: defaultdict(list))
    """By gateway (`namespace/name`) and host name."""
    _mesh: dict[tuple[str, int | None, str], list[Ranked]] = field(default_factory=lambda: defaultdict(list))
    """By service, port and the namespace that sees it (`*` for all)."""
    _others: list[VirtualService] = field(default_factory=list)

    def take(self, route: Route) -> None:
        """Attach one route to all its parents."""
        assert route.spec is not None
        rules = self._rules(route)
        told = []
        for reference in route.spec.parent_refs:
            conditions = self._join(route, reference, rules)
            if conditions is not None:
                told.append(ParentStatus(reference=reference, conditions=conditions))
        if told:
            self.statuses[route.kind, route.meta.namespace, route.meta.name] = tuple(told)

    def _rules(self, route: Route) -> Rules | l4_rules.Rules:
        if isinstance(route.spec, written_routes.HttpRoute):
            return http_rules.of_http(route, self.directory)
        if isinstance(route.spec, written_routes.GrpcRoute):
            return http_rules.of_grpc(route, self.directory)
        return l4_rules.of(route, self.directory)  # type: ignore[arg-type]

    def _join(self, route: Route, reference: ParentReference, rules: Rules | l4_rules.Rules) -> tuple[Condition, ...] | None:
        """The conditions for one parent; None where it belongs to another controller."""
        resolved = rules.unresolved or statuses.RESOLVED
        if (reference.group, reference.kind) in {("", "Service"), ("core", "Service")}:
            return (self._join_service(route, reference, rules), resolved)
        if (reference.group, reference.kind) != (GROUP, "Gateway"):
            return None
        key = f"{reference.namespace or route.meta.namespace}/{reference.name}"
        if key not in self.offered:
            return None if key in self.foreign else (statuses.refused("NoMatchingParent", f"gateway {key} not found"), resolved)
        names = getattr(route.spec, "hostnames", ())
        found, condition = attaching.attach(Joining(kind=route.kind, meta=route.meta, hostnames=names), reference, self.offered[key], self.labels)
        for one in found:
            self.attached[key, one.listener.name] += 1
            if one.listener.usable:
                self._add(route, one, rules)
        return (rules.unsupported or condition if condition.holds else condition, resolved)

    def _add(self, route: Route, attachment: Attachment, rules: Rules | l4_rules.Rules) -> None:
        gateway = f"{attachment.listener.gateway.meta.namespace}/{attachment.listener.internal}"
        if isinstance(rules, Rules):
            for name in attachment.hostnames:
                self._http[gateway, name].extend(rules.ranked)
            return
        if not rules.destinations:
            return
        names = tuple(Hostname(name) for name in attachment.hostnames)
        tls = attachment.listener.passes_tls
        match = L4Match(sni_hosts=attachment.hostnames) if tls else L4Match()
        made = L4Route(matches=(match,), destinations=rules.destinations)
        name = _name(route.meta.name, attachment.listener.internal)
        shown = {"tls": (made,)} if tls else {"tcp": (made,)}
        self._others.append(
            VirtualService(name=name, namespace=route.meta.namespace, hosts=names, gateways=(gateway,), created=route.meta.created, **shown)  # type: ignore[arg-type]
        )

    def _join_service(self, route: Route, reference: ParentReference, rules: Rules | l4_rules.Rules) -> Condition:
        """A route for calls inside the mesh: of all callers where it is in the service's namespace, else of its own namespace's."""
        namespace = reference.namespace or route.meta.namespace
        host = hosts.of_service(reference.name, namespace, self.directory.domain)
        if host not in self.directory.services:
            return statuses.refused("NoMatchingParent", f"service {namespace}/{reference.name} not found")
        if reference.port is not None and reference.port not in self.directory.services[host]:
            return statuses.refused("NoMatchingParent", f"service {namespace}/{reference.name} has no port {reference.port}")
        seen = "*" if namespace == route.meta.namespace else route.meta.namespace
        if isinstance(rules, Rules):
            self._mesh[host, reference.port, seen].extend(rules.ranked)
        elif rules.destinations:
            made = L4Route(matches=(L4Match(port=reference.port),), destinations=rules.destinations)
            self._others.append(
                VirtualService(
                    name=_name(route.meta.name, host),
                    namespace=route.meta.namespace,
                    hosts=(host,),
                    gateways=(hosts.MESH,),
                    tcp=(made,),
                    export_to=frozenset({seen}),
                    created=route.meta.created,
                )
            )
        return rules.unsupported or statuses.accepted()

    def virtual_services(self) -> list[VirtualService]:
        """One for each host name of a gateway and each service of the mesh, rules in their order."""
        made = list(self._others)
        for (gateway, name), ranked in sorted(self._http.items()):
            ordered = sorted(ranked, key=lambda one: one.rank)
            namespace = gateway.partition("/")[0]
            made.append(
                VirtualService(
                    name=_name(gateway.partition("/")[2], name),
                    namespace=namespace,
                    hosts=(Hostname(name),),
                    gateways=(gateway,),
                    http=tuple(one.route for one in ordered),
                    created=min(one.rank[5] for one in ordered),
                )
            )
        for (host, port, seen), ranked in sorted(self._mesh.items(), key=lambda pair: (pair[0][0], pair[0][1] or 0, pair[0][2])):
            ordered = sorted(ranked, key=lambda one: one.rank)
            routes = tuple(http_rules.for_port(one.route, port) for one in ordered)
            namespace = hosts_namespace(host)
            made.append(
                VirtualService(
                    name=_name(host, str(port or ""), seen),
                    namespace=namespace if seen == "*" else seen,
                    hosts=(Hostname(host),),
                    gateways=(hosts.MESH,),
                    http=routes,
                    export_to=frozenset({seen}),
                    # A namespace's own rules come before those that the service's owner wrote for all.
                    created=(0.0 if seen != "*" else 1.0),
                )
            )
        return made


def hosts_namespace(host: str) -> str:
    """The namespace in a service's host name."""
    return host.split(".")[1] if host.count(".") > 1 else ""


def _name(*parts: str) -> str:
    """A name of its own for what comes of several objects, short and the same each time."""
    return f"{parts[0]}-{hashlib.blake2b('/'.join(parts).encode(), digest_size=4).hexdigest()}-istio-autogenerated-k8s-gateway"
