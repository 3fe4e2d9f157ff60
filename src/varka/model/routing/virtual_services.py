"""VirtualServices with names resolved, defaults applied and delegates put in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from msgspec import Struct, field
from msgspec.structs import replace

from varka.model.discovery import hosts
from varka.model.memo import Kept
from varka.model.routing import route_conversion, visibility
from varka.model.services import Hostname
from varka.model.traffic import Headers, HttpMatch, HttpRoute, VirtualService
from varka.model.view import MeshSettings
from varka.resources import Parsed
from varka.resources.traffic import virtual_services as written

Source = Parsed[written.VirtualService]


class VirtualServices(Struct, frozen=True, kw_only=True, eq=False):
    """All that have hosts, the oldest first; `mesh` are those for sidecars, `by_gateway` those for each gateway."""

    all: tuple[VirtualService, ...] = ()
    mesh: tuple[VirtualService, ...] = ()
    by_gateway: Mapping[str, tuple[VirtualService, ...]] = field(default_factory=dict)


def index(sources: Iterable[Source], mesh: MeshSettings, further: Iterable[VirtualService], kept: Kept) -> VirtualServices:
    """Resolve every VirtualService; those that did not change, delegates included, stay the same objects. `further` are resolved already."""
    ordered = sorted((source for source in sources if source.spec is not None), key=lambda source: source.meta.age_order)
    delegates = {source.meta.key: source for source in ordered if source.spec is not None and not source.spec.hosts}
    made: list[VirtualService] = []
    for source in ordered:
        if source.spec is None or not source.spec.hosts:
            continue
        used = tuple(delegates[key] for key in delegate_keys(source) if key in delegates)
        made.append(kept.get(source.meta.key, (source, mesh, *used), partial(resolve, source, mesh, {item.meta.key: item for item in used})))
    made.extend(further)
    by_gateway: dict[str, list[VirtualService]] = {}
    for item in made:
        for gateway in item.gateways:
            by_gateway.setdefault(gateway, []).append(item)
    return VirtualServices(
        all=tuple(made),
        mesh=kept.tuple("mesh", tuple(sorted(by_gateway.pop(hosts.MESH, []), key=precedence))),
        by_gateway={name: kept.tuple(("gateway", name), tuple(items)) for name, items in by_gateway.items()},
    )


def precedence(item: VirtualService) -> tuple[tuple[int, int], float, str, str]:
    """Sorts the most specific host first, then the oldest."""
    return (min(map(hosts.specificity, item.hosts)), item.created, item.name, item.namespace)


def delegate_keys(source: Source) -> tuple[str, ...]:
    """`namespace/name` of the delegates that a VirtualService names."""
    routes = source.spec.http if source.spec is not None else ()
    return tuple(_delegate_key(route.delegate, source.meta.namespace) for route in routes if route.delegate is not None)


def _delegate_key(delegate: written.Delegate, namespace: str) -> str:
    return f"{delegate.namespace or namespace}/{delegate.name}"


def resolve(source: Source, mesh: MeshSettings, delegates: Mapping[str, Source]) -> VirtualService:
    """One VirtualService as it is meant."""
    spec, meta = source.spec, source.meta
    assert spec is not None
    names = route_conversion.Names(namespace=meta.namespace, domain=mesh.cluster_domain)
    return VirtualService(
        name=meta.name,
        namespace=meta.namespace,
        hosts=tuple(dict.fromkeys(hosts.qualified(host, meta.namespace, mesh.cluster_domain) for host in spec.hosts)),
        gateways=tuple(dict.fromkeys(hosts.gateway(name, meta.namespace) for name in spec.gateways or (hosts.MESH,))),
        http=tuple(route for item in spec.http for route in _routes(item, names, source, mesh, delegates)),
        tls=tuple(route_conversion.tls(route, names) for route in spec.tls),
        tcp=tuple(route_conversion.tcp(route, names) for route in spec.tcp),
        export_to=visibility.export_to(spec.export_to, meta.namespace, mesh.default_export_to_virtual_service),
        created=meta.created,
    )


def _routes(item: written.HttpRoute, names: route_conversion.Names, root: Source, mesh: MeshSettings, delegates: Mapping[str, Source]) -> Iterable[HttpRoute]:
    route = route_conversion.http(item, names)
    if route is None:
        return ()
    if item.delegate is None:
        return (route,)
    chosen = delegates.get(_delegate_key(item.delegate, root.meta.namespace))
    if chosen is None or chosen.spec is None:
        return ()
    exported = visibility.export_to(chosen.spec.export_to, chosen.meta.namespace, mesh.default_export_to_virtual_service)
    if not visibility.visible(exported, root.meta.namespace):
        return ()
    inner = route_conversion.Names(namespace=chosen.meta.namespace, domain=mesh.cluster_domain)
    parts = (route_conversion.http(part, inner) for part in chosen.spec.http if part.delegate is None)
    merged = (_merge(route, part) for part in parts if part is not None)
    return tuple(part for part in merged if part is not None)


def _merge(root: HttpRoute, delegate: HttpRoute) -> HttpRoute | None:
    """A delegate's rule under a root's rule: conditions of both, settings of the delegate first. None: they contradict."""
    matches = _merge_matches(root.matches, delegate.matches)
    if matches is None:
        return None
    return replace(
        delegate,
        name="-".join(part for part in (root.name, delegate.name) if part),
        matches=matches,
        redirect=delegate.redirect or root.redirect,
        direct_response=delegate.direct_response or root.direct_response,
        rewrite=delegate.rewrite or root.rewrite,
        timeout=delegate.timeout if delegate.timeout is not None else root.timeout,
        retries=delegate.retries or root.retries,
        delay=delegate.delay or root.delay,
        abort=delegate.abort or root.abort,
        mirrors=delegate.mirrors or root.mirrors,
        cors=delegate.cors or root.cors,
        headers=_merge_headers(root.headers, delegate.headers),
    )


def _merge_headers(root: Headers, delegate: Headers) -> Headers:
    def merged(name: str) -> object:
        outer, inner = getattr(root, name), getattr(delegate, name)
        removed = tuple(dict.fromkeys((*outer.remove, *inner.remove)))
        return replace(inner, set={**outer.set, **inner.set}, add={**outer.add, **inner.add}, remove=removed)

    return Headers(request=merged("request"), response=merged("response"))  # type: ignore[arg-type]


def _merge_matches(root: tuple[HttpMatch, ...], delegate: tuple[HttpMatch, ...]) -> tuple[HttpMatch, ...] | None:
    if not root or not delegate:
        return root or delegate
    found = tuple(merged for outer in root for inner in delegate if (merged := _merge_match(outer, inner)) is not None)
    return found or None


_ONE_SIDED = ("uri", "scheme", "method", "authority", "port")


def _merge_match(root: HttpMatch, delegate: HttpMatch) -> HttpMatch | None:
    """Both conditions in one; None where they ask for different things."""
    changes: dict[str, object] = {}
    for name in _ONE_SIDED:
        outer, inner = getattr(root, name), getattr(delegate, name)
        if outer is not None and inner is not None and not _within(outer, inner):
            return None
        changes[name] = inner if inner is not None else outer
    for name in ("headers", "without_headers", "query_params", "source_labels"):
        outer, inner = getattr(root, name), getattr(delegate, name)
        if any(inner[key] != value for key, value in outer.items() if key in inner):
            return None
        changes[name] = {**outer, **inner}
    if root.source_namespace and delegate.source_namespace and root.source_namespace != delegate.source_namespace:
        return None
    changes["source_namespace"] = delegate.source_namespace or root.source_namespace
    changes["gateways"] = root.gateways
    changes["ignore_uri_case"] = root.ignore_uri_case or delegate.ignore_uri_case
    changes["name"] = "-".join(part for part in (root.name, delegate.name) if part)
    return replace(delegate, **changes)


def _within(outer: object, inner: object) -> bool:
    """Whether an inner condition only narrows an outer one."""
    kind = getattr(outer, "kind", None)
    if outer == inner or kind == "present":
        return True
    value = getattr(inner, "value", None)
    return kind == "prefix" and isinstance(value, str) and inner.kind in {"exact", "prefix"} and value.startswith(getattr(outer, "value", ""))  # type: ignore[attr-defined]


def for_hosts(items: Iterable[VirtualService], wanted: Iterable[Hostname]) -> tuple[VirtualService, ...]:
    """Those with at least one host that overlaps with a wanted one."""
    names = tuple(wanted)
    return tuple(item for item in items if any(hosts.overlap(host, name) for host in item.hosts for name in names))
