"""All services of the mesh with their endpoints, wherever they were written down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from varka.model.discovery import aliases, kubernetes_services, service_entries
from varka.model.discovery.kubernetes_services import SLICE_OF, Endpoints, SliceView
from varka.model.discovery.pods import PodInfo, Pods
from varka.model.inputs import Inputs
from varka.model.memo import Kept
from varka.model.policies.peer_authentication import Peers
from varka.model.services import Endpoint, Hostname, Service
from varka.model.view import MeshSettings
from varka.resources import Parsed, kubernetes
from varka.resources.traffic.service_entries import ServiceEntry


class Entry(Struct, frozen=True, kw_only=True, eq=False):
    """A service and its endpoints by port."""

    service: Service
    endpoints: Endpoints


class Registry(Struct, frozen=True, kw_only=True, eq=False):
    """Entries in order of host name; several for one host in order of precedence: Kubernetes first, then the oldest."""

    entries: tuple[Entry, ...] = ()
    services: tuple[Service, ...] = ()
    """Those of the entries; the same tuple for as long as only endpoints change."""
    by_host: Mapping[Hostname, tuple[Entry, ...]] = field(default_factory=dict)
    by_namespace: Mapping[str, tuple[Entry, ...]] = field(default_factory=dict)
    all_public: bool = True
    """Every service is exported to all namespaces, and no host is claimed twice."""
    endpoints: Mapping[tuple[Hostname, int], tuple[Endpoint, ...]] = field(default_factory=dict)
    """Of the first entry of each host."""
    selectors: Mapping[tuple[str, str, str], tuple[Service, ...]] = field(default_factory=dict)
    """Services with a selector, by namespace and the first of the labels that they ask for."""
    addresses: Mapping[tuple[str, str], tuple[Entry, ...]] = field(default_factory=dict)
    """Entries without a selector, by namespace and the address of an endpoint."""

    def find(self, host: str) -> Service | None:
        """The service of a host, in any spelling."""
        found = self.by_host.get(Hostname(host.lower()))
        return found[0].service if found else None

    def entry(self, service: Service) -> Entry | None:
        """The entry of a service of this registry."""
        return next((entry for entry in self.by_host.get(service.hostname, ()) if entry.service is service), None)

    def serving(self, namespace: str, labels: Mapping[str, str], address: str) -> tuple[Entry, ...]:
        """The entries that a workload is an endpoint of, by host: those that select it, and those that list its address."""
        items = labels.items()
        candidates = (service for key, value in items for service in self.selectors.get((namespace, key, value), ()))
        chosen = (self.entry(service) for service in candidates if set(service.selector.items()) <= set(items))
        found = [entry for entry in chosen if entry is not None and not entry.service.external_name]
        found.extend(self.addresses.get((namespace, address), ()))
        return tuple(sorted(found, key=_precedence))


def build(inputs: Inputs, pods: Pods, peers: Peers, kept: Kept) -> Registry:
    """The registry; services and endpoint lists that did not change stay the same objects."""
    made = [*_kubernetes(inputs, pods, peers, kept), *_external(inputs, pods, peers, kept)]
    made.sort(key=_precedence)
    standing_for = aliases.find(entry.service for entry in made)
    entries = tuple(_named(made, standing_for, kept)) if standing_for else tuple(made)
    by_host: dict[Hostname, tuple[Entry, ...]] = {}
    by_namespace: dict[str, list[Entry]] = {}
    endpoints: dict[tuple[Hostname, int], tuple[Endpoint, ...]] = {}
    public = True
    for entry in entries:
        service = entry.service
        host = service.hostname
        public = public and "*" in service.export_to
        by_namespace.setdefault(service.namespace, []).append(entry)
        if host in by_host:
            by_host[host] = (*by_host[host], entry)
            continue
        by_host[host] = (entry,)
        for number, found in entry.endpoints.items():
            endpoints[host, number] = found
    unique = public and len(by_host) == len(entries)
    by_host.update((alias, by_host[host]) for alias, host in sorted(standing_for.items()))
    services = kept.tuple("services", tuple(entry.service for entry in entries))
    return Registry(
        entries=entries,
        services=services,
        by_host=by_host,
        by_namespace={name: kept.tuple(("namespace", name), tuple(items)) for name, items in by_namespace.items()},
        all_public=unique,
        endpoints=endpoints,
        selectors=kept.get("selectors", (services,), partial(_selectors, services)),
        addresses=_addresses(entries),
    )


def _named(made: list[Entry], standing_for: Mapping[Hostname, Hostname], kept: Kept) -> Iterable[Entry]:
    """Without the aliases, whose names go to the services that they stand for."""
    names: dict[Hostname, list[Hostname]] = {}
    for alias, host in sorted(standing_for.items()):
        names.setdefault(host, []).append(alias)
    for entry in made:
        host = entry.service.hostname
        if host in names and not entry.service.external_name:
            others = kept.tuple(("aliases", host), tuple(names[host]))
            make = partial(replace, entry.service, aliases=others)
            service = kept.get(("aliased", entry.service.namespace, entry.service.registry, host), (entry.service, *others), make)
            yield Entry(service=service, endpoints=entry.endpoints)
        elif host not in standing_for:
            yield entry


def _selectors(services: tuple[Service, ...]) -> Mapping[tuple[str, str, str], tuple[Service, ...]]:
    found: dict[tuple[str, str, str], list[Service]] = {}
    for service in services:
        if service.selector:
            found.setdefault((service.namespace, *min(service.selector.items())), []).append(service)
    return {key: tuple(items) for key, items in found.items()}


def _addresses(entries: tuple[Entry, ...]) -> Mapping[tuple[str, str], tuple[Entry, ...]]:
    found: dict[tuple[str, str], dict[int, Entry]] = {}
    for entry in entries:
        if not entry.service.selector and not entry.service.external_name:
            for endpoints in entry.endpoints.values():
                for endpoint in endpoints:
                    found.setdefault((entry.service.namespace, endpoint.address), {})[id(entry)] = entry
    return {key: tuple(items.values()) for key, items in found.items()}


def _precedence(entry: Entry) -> tuple[str, bool, float, str, str]:
    service = entry.service
    return (service.hostname, service.registry != "Kubernetes", service.created, service.namespace, service.name)


def _kubernetes(inputs: Inputs, pods: Pods, peers: Peers, kept: Kept) -> list[Entry]:
    slices: dict[tuple[str, str], list[SliceView]] = {}
    for item in inputs.endpoint_slices:
        owner = item.meta.labels.get(SLICE_OF)
        if owner and item.spec is not None:
            view = kept.get(("slice", item.meta.namespace, item.meta.name), (item,), partial(kubernetes_services.slice_view, item))
            slices.setdefault((item.meta.namespace, owner), []).append(view)
    localities = kept.equal("localities", pods.localities)
    mesh = inputs.mesh
    result: list[Entry] = []
    for parsed in inputs.services:
        if parsed.spec is None:
            continue
        name = (parsed.meta.namespace, parsed.meta.name)
        views = tuple(slices.get(name, ()))
        behind = kubernetes_services.backing_pods(views, pods)
        needs = (parsed, mesh, localities, *peers.inputs(name[0]), *views, *behind)
        make = partial(_entry, parsed, mesh, views, behind, localities, peers)
        result.append(kept.revise(("entry", name), needs, make))
    return result


def _entry(
    parsed: Parsed[kubernetes.Service],
    mesh: MeshSettings,
    views: tuple[SliceView, ...],
    behind: tuple[PodInfo | None, ...],
    localities: Mapping[str, str],
    peers: Peers,
    last: Entry | None,
) -> Entry:
    base = kubernetes_services.service(parsed, mesh)
    return _complete(base, kubernetes_services.endpoints(base, views, behind, localities, peers), last)


def _complete(base: Service, endpoints: Endpoints, last: Entry | None) -> Entry:
    """Add the identities of the endpoints, and take over from the last entry whatever is equal."""
    accounts = {endpoint.service_account for found in endpoints.values() for endpoint in found if endpoint.service_account}
    service = replace(base, service_accounts=tuple(sorted(accounts | set(base.service_accounts)))) if accounts else base
    if last is None:
        return Entry(service=service, endpoints=endpoints)
    kept = {port: last.endpoints[port] if last.endpoints.get(port) == found else found for port, found in endpoints.items()}
    return Entry(service=last.service if last.service == service else service, endpoints=kept)


def _external(inputs: Inputs, pods: Pods, peers: Peers, kept: Kept) -> Iterable[Entry]:
    if not inputs.service_entries:
        return
    workloads: dict[str, list[service_entries.Workload]] = {}
    for item in inputs.workload_entries:
        if item.spec is not None:
            make = partial(service_entries.Workload, name=item.meta.name, namespace=item.meta.namespace, entry=item.spec)
            workloads.setdefault(item.meta.namespace, []).append(kept.get(("workload", item.meta.key), (item,), make))
    nearby: dict[str, list[PodInfo]] = {}
    for pod in pods.by_name.values():
        nearby.setdefault(pod.namespace, []).append(pod)
    for parsed in inputs.service_entries:
        if parsed.spec is None:
            continue
        namespace = parsed.meta.namespace
        chosen = service_entries.selected(parsed, tuple(workloads.get(namespace, ())), tuple(nearby.get(namespace, ())))
        allocated = inputs.allocated.get(parsed.meta.key, NO_ADDRESSES)
        needs = (parsed, inputs.mesh, allocated, *peers.inputs(namespace), *chosen)
        yield from kept.revise(("external", parsed.meta.key), needs, partial(_hosts, parsed, inputs, chosen, peers))


NO_ADDRESSES: Mapping[str, str] = {}


def _hosts(parsed: Parsed[ServiceEntry], inputs: Inputs, chosen: tuple[object, ...], peers: Peers, last: tuple[Entry, ...] | None) -> tuple[Entry, ...]:
    mesh = inputs.mesh
    before = {entry.service.hostname: entry for entry in last or ()}
    bases = service_entries.services(parsed, mesh, inputs.allocated.get(parsed.meta.key, NO_ADDRESSES))
    return tuple(_complete(base, service_entries.endpoints(base, parsed, chosen, mesh, peers), before.get(base.hostname)) for base in bases)
