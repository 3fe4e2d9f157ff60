"""Telemetry resources merged: the mesh's, then the namespace's, then the workload's, as Istio adds them up.

On each level the oldest resource counts, for each of the three kinds of telemetry by itself: metrics, traces and logs may
so be written in three resources. Later levels change what earlier ones said, entry by entry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from varka.model.memo import Kept
from varka.model.policies.authorization import Scoped
from varka.model.routing.route_conversion import seconds
from varka.model.telemetry import AccessLog, Collector, CustomTag, MeshTelemetry, Metrics, Provider, ProviderKind, Side, TagSource, Telemetry, Tracing
from varka.resources import Parsed, cel_expressions
from varka.resources import telemetry as written

ALL_METRICS = "ALL_METRICS"
METRICS = (
    "REQUEST_COUNT",
    "REQUEST_DURATION",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
    "TCP_OPENED_CONNECTIONS",
    "TCP_CLOSED_CONNECTIONS",
    "TCP_SENT_BYTES",
    "TCP_RECEIVED_BYTES",
    "GRPC_REQUEST_MESSAGES",
    "GRPC_RESPONSE_MESSAGES",
)
DEFAULT_SAMPLING = 1.0
"""Per cent, Istio's own default."""
CLIENT, SERVER = "CLIENT", "SERVER"
T = TypeVar("T")
Levels = tuple[tuple[written.Telemetry, ...], ...]
Find = Callable[[Provider], Collector | None]
"""The cluster of a provider's service, None when the mesh does not know the service."""


class Telemetries(Struct, frozen=True, kw_only=True, eq=False):
    """All Telemetry resources by namespace, the oldest first."""

    namespaces: Mapping[str, tuple[Scoped[written.Telemetry], ...]] = field(default_factory=dict)
    root_namespace: str = ""
    collectors: tuple[Provider, ...] = ()
    """The providers that some proxy has to reach."""

    def of(self, namespace: str, labels: Mapping[str, str]) -> Levels:
        """Those for a workload, by level: root namespace, namespace, workload."""
        levels = []
        for name in dict.fromkeys((self.root_namespace, namespace)):
            levels.append(tuple(one.policy for one in self.namespaces.get(name, ()) if one.targets is None and not one.selector))
        own = self.namespaces.get(namespace, ())
        levels.append(tuple(one.policy for one in own if (one.targets is not None or one.selector) and one.applies(namespace, namespace, labels)))
        return tuple(levels)


def index(sources: Iterable[Parsed[written.Telemetry]], mesh: MeshTelemetry, root_namespace: str, kept: Kept) -> Telemetries:
    """File all Telemetry resources."""
    found: dict[str, list[Scoped[written.Telemetry]]] = {}
    for source in sorted(sources, key=lambda source: source.meta.age_order):
        if source.spec is not None:
            found.setdefault(source.meta.namespace, []).append(kept.get(source.meta.key, (source,), partial(_scoped, source.spec)))
    return Telemetries(
        namespaces={name: kept.tuple((name,), tuple(items)) for name, items in found.items()},
        root_namespace=root_namespace,
        collectors=_collectors((scoped.policy for items in found.values() for scoped in items), mesh),
    )


def _scoped(spec: written.Telemetry) -> Scoped[written.Telemetry]:
    references = [*([spec.target_ref] if spec.target_ref is not None else []), *spec.target_refs]
    targets = frozenset(one.name for one in references if (one.group, one.kind) == ("gateway.networking.k8s.io", "Gateway")) if references else None
    return Scoped(policy=spec, selector=dict(spec.selector.match_labels) if spec.selector is not None else {}, targets=targets)


def resolve(levels: Levels, mesh: MeshTelemetry, find: Find) -> Telemetry:
    """What a workload tells, on both sides, by the resources that are for it."""
    metrics = _first(levels, lambda spec: spec.metrics)
    tracing = _first(levels, lambda spec: spec.tracing)
    logging = _first(levels, lambda spec: spec.access_logging)
    sides = {
        mode: Side(metrics=_metrics(metrics, mesh, mode), tracing=_tracing(tracing, mesh, mode, find), logs=_logs(logging, mesh, mode, find))
        for mode in (CLIENT, SERVER)
    }
    return Telemetry(client=sides[CLIENT], server=sides[SERVER])


def _collectors(specs: Iterable[written.Telemetry], mesh: MeshTelemetry) -> tuple[Provider, ...]:
    """In the order of the mesh settings."""
    names = {*mesh.tracing, *mesh.access_logging}
    for spec in specs:
        names.update(provider.name for part in spec.tracing for provider in part.providers)
        names.update(provider.name for part in spec.access_logging for provider in part.providers)
    found = [one for one in mesh.providers if one.service and one.name in names]
    return (*found, mesh.proxy_tracer) if mesh.proxy_tracer is not None else tuple(found)


def _first(levels: Levels, part: Callable[[written.Telemetry], tuple[T, ...]]) -> tuple[T, ...]:
    """The entries of the oldest resource of each level that has some, one level after the other."""
    return tuple(entry for level in levels for entry in next((part(spec) for spec in level if part(spec)), ()))


def _meant(match: written.ModeMatch | None, mode: str) -> bool:
    return match is None or match.mode in {mode, "CLIENT_AND_SERVER"}


class _Changes(Struct):
    """Metrics of one provider while they are added up."""

    off: bool = False
    disabled: set[str] = field(default_factory=set)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)
    interval: float = 0.0


def _metrics(entries: tuple[written.Metrics, ...], mesh: MeshTelemetry, mode: str) -> Metrics | None:
    """The metrics that Prometheus gets; None when it gets none."""
    names = mesh.metrics
    changes: dict[str, _Changes] = {} if entries else {name: _Changes() for name in names}
    for entry in entries:
        if entry.providers:
            names = tuple(provider.name for provider in entry.providers)
        for name in names:
            change = changes.setdefault(name, _Changes())
            change.interval = seconds(entry.reporting_interval) or change.interval
            for override in entry.overrides:
                _override(change, override, mode)
    for name, change in changes.items():
        provider = mesh.provider(name)
        if provider is not None and provider.kind is ProviderKind.PROMETHEUS and not change.off:
            tags = tuple((metric, tuple(sorted(change.tags[metric].items()))) for metric in sorted(change.tags) if change.tags[metric])
            return Metrics(disabled=frozenset(change.disabled), tags=tags, reporting_interval=change.interval)
    return None


def _override(change: _Changes, override: written.MetricsOverride, mode: str) -> None:
    match = override.match
    if match is not None and match.mode not in {mode, "CLIENT_AND_SERVER"}:
        return
    if match is not None and match.custom_metric:
        return
    every = match is None or match.metric in (None, ALL_METRICS)
    if every and override.disabled:
        change.off = True
        return
    change.off = False if every else change.off
    for metric in METRICS if every or match is None or match.metric is None else (match.metric,):
        if override.disabled is not None:
            (change.disabled.add if override.disabled else change.disabled.discard)(metric)
        for label, tag in override.tag_overrides.items():
            if tag.operation == "REMOVE":
                change.tags.setdefault(metric, {})[label] = ""
            elif tag.value and not cel_expressions.problem(tag.value):
                change.tags.setdefault(metric, {})[label] = tag.value


class _Traced(Struct, frozen=True, kw_only=True):
    """Tracing of one side while it is added up."""

    provider: Provider | None = None
    disabled: bool = False
    sampling: float | None = None
    tags: tuple[CustomTag, ...] | None = None
    istio_tags: bool = True
    use_request_id: bool = True


def _tracing(entries: tuple[written.Tracing, ...], mesh: MeshTelemetry, mode: str, find: Find) -> Tracing | None:
    spec = _Traced(provider=mesh.provider(mesh.tracing[0]) if mesh.tracing else None)
    if not entries and not mesh.tracing:
        spec = _Traced(provider=mesh.proxy_tracer if mesh.enable_tracing else None)
    for entry in entries:
        if not _meant(entry.match, mode):
            continue
        spec = replace(
            spec,
            provider=mesh.provider(entry.providers[0].name) if entry.providers else spec.provider,
            disabled=spec.disabled if entry.disable_span_reporting is None else entry.disable_span_reporting,
            sampling=spec.sampling if entry.random_sampling_percentage is None else float(entry.random_sampling_percentage),
            tags=tuple(_custom_tags(entry.custom_tags)) if entry.custom_tags else spec.tags,
            istio_tags=spec.istio_tags if entry.enable_istio_tags is None else entry.enable_istio_tags,
            use_request_id=spec.use_request_id if entry.use_request_id_for_trace_sampling is None else entry.use_request_id_for_trace_sampling,
        )
    provider = spec.provider
    if provider is None or spec.disabled or provider.kind not in {ProviderKind.OPENTELEMETRY, ProviderKind.ZIPKIN}:
        return None
    collector = find(provider)
    if collector is None:
        return None
    sampling = spec.sampling if spec.sampling is not None else mesh.sampling
    return Tracing(
        provider=provider,
        collector=collector,
        sampling=DEFAULT_SAMPLING if sampling is None else sampling,
        custom_tags=mesh.custom_tags if spec.tags is None else spec.tags,
        istio_tags=spec.istio_tags,
        use_request_id=spec.use_request_id,
        max_tag_length=provider.max_tag_length or mesh.max_tag_length,
    )


def _custom_tags(tags: Mapping[str, written.CustomTag]) -> Iterable[CustomTag]:
    for name, tag in sorted(tags.items()):
        if tag.literal is not None:
            yield CustomTag(name=name, source=TagSource.LITERAL, value=tag.literal.value)
        elif tag.environment is not None:
            yield CustomTag(name=name, source=TagSource.ENVIRONMENT, value=tag.environment.name, default=tag.environment.default_value)
        elif tag.header is not None:
            yield CustomTag(name=name, source=TagSource.HEADER, value=tag.header.name, default=tag.header.default_value)


def _logs(entries: tuple[written.AccessLogging, ...], mesh: MeshTelemetry, mode: str, find: Find) -> tuple[AccessLog, ...] | None:
    """Where requests are logged; None when neither Telemetry nor default providers say anything."""
    if not entries and not mesh.access_logging:
        return None
    names = tuple(mesh.access_logging)
    filters: dict[str, str | None] = {} if entries else dict.fromkeys(names, "")
    for entry in entries:
        if not _meant(entry.match, mode):
            continue
        if entry.providers:
            names = tuple(sorted({provider.name for provider in entry.providers}))
        for name in names or ("envoy",):
            expression = entry.filter.expression if entry.filter is not None else ""
            usable = "" if cel_expressions.problem(expression) else expression
            filters[name] = None if entry.disabled else usable
    found = []
    for name, condition in sorted(filters.items()):
        provider = mesh.provider(name)
        if provider is None or condition is None or provider.kind not in {ProviderKind.FILE, ProviderKind.OTEL_LOG}:
            continue
        collector = find(provider) if provider.kind is ProviderKind.OTEL_LOG else None
        if collector is not None or provider.kind is ProviderKind.FILE:
            found.append(AccessLog(provider=provider, collector=collector, filter=condition))
    return tuple(found)
