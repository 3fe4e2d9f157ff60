"""Traces: what a connection manager samples, what its spans say, and where they go.

The tags of Istio come from the proxy's environment (see `peer_facts`), so that proxies of equal settings have equal
configurations; the service's name in OpenTelemetry comes from there too, by Envoy's own resource detector.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from envoy.config.core.v3 import base_pb2, grpc_service_pb2, http_service_pb2, http_uri_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2, zipkin_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3 import environment_resource_detector_pb2
from envoy.type.metadata.v3 import metadata_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from envoy.type.v3 import percent_pb2
from google.protobuf import wrappers_pb2

from varka.envoy import messages, names
from varka.envoy.observing import peer_facts
from varka.model.telemetry import Collector, CustomTag, Provider, ProviderKind, TagSource, Tracing

Settings = http_connection_manager_pb2.HttpConnectionManager.Tracing
Tag = custom_tag_pb2.CustomTag
EXPORT_TIMEOUT = 1.0
"""Seconds: a collector that does not answer must not pile up spans."""
ISTIO_TAGS = {
    "istio.canonical_revision": "revision",
    "istio.canonical_service": "service",
    "istio.cluster_id": "cluster",
    "istio.mesh_id": "mesh",
    "istio.namespace": "namespace",
}
"""Tag of every span → what the proxy says of itself."""
RBAC = "envoy.filters.http.rbac"
DRY_RUN_TAGS = {
    f"istio.authorization.dry_run.{action}_policy.{part}": f"istio_dry_run_{action}_{key}"
    for action in ("allow", "deny")
    for part, key in (("name", "shadow_effective_policy_id"), ("result", "shadow_engine_result"))
}
"""Tag of a request that policies in dry run were asked about → the key under which the RBAC filter tells what they would have said."""


def apply(manager: Any, tracing: Tracing | None, gateway: bool) -> None:
    """Have a connection manager trace requests."""
    if tracing is None:
        return
    manager.tracing.CopyFrom(_settings(tracing, gateway))
    request_id = uuid_pb2.UuidRequestIdConfig(use_request_id_for_trace_sampling=wrappers_pb2.BoolValue(value=tracing.use_request_id))
    manager.request_id_extension.typed_config.CopyFrom(messages.packed(request_id))


@lru_cache(maxsize=128)
def _settings(tracing: Tracing, gateway: bool) -> Any:
    result = Settings(
        client_sampling=percent_pb2.Percent(value=100.0),
        random_sampling=percent_pb2.Percent(value=tracing.sampling),
        overall_sampling=percent_pb2.Percent(value=100.0),
        custom_tags=_tags(tracing),
        provider=_tracer(tracing.provider, tracing.collector),
    )
    if gateway:
        result.spawn_upstream_span.value = True
    if tracing.max_tag_length:
        result.max_path_tag_length.value = tracing.max_tag_length
    return result


def _tags(tracing: Tracing) -> list[Any]:
    found = {name: Tag(tag=name, environment=Tag.Environment(name=peer_facts.FACTS[fact])) for name, fact in ISTIO_TAGS.items() if tracing.istio_tags}
    found.update((name, _told(name, key)) for name, key in DRY_RUN_TAGS.items())
    found.update((tag.name, _tag(tag)) for tag in tracing.custom_tags)
    return [found[name] for name in sorted(found)]


def _told(name: str, key: str) -> Any:
    """A tag of what the RBAC filter noted of the request; none where it noted nothing."""
    where = metadata_pb2.MetadataKey(key=RBAC, path=[metadata_pb2.MetadataKey.PathSegment(key=key)])
    return Tag(tag=name, metadata=Tag.Metadata(kind=metadata_pb2.MetadataKind(request=metadata_pb2.MetadataKind.Request()), metadata_key=where))


def _tag(tag: CustomTag) -> Any:
    match tag.source:
        case TagSource.LITERAL:
            return Tag(tag=tag.name, literal=Tag.Literal(value=tag.value))
        case TagSource.ENVIRONMENT:
            return Tag(tag=tag.name, environment=Tag.Environment(name=tag.value, default_value=tag.default))
    return Tag(tag=tag.name, request_header=Tag.Header(name=tag.value, default_value=tag.default))


def _tracer(provider: Provider, collector: Collector) -> Any:
    cluster = names.outbound(collector.port, "", collector.host)
    if provider.kind is ProviderKind.ZIPKIN:
        name, config = "envoy.tracers.zipkin", _zipkin(provider, collector, cluster)
    else:
        name, config = "envoy.tracers.opentelemetry", _opentelemetry(provider, collector, cluster)
    return http_tracer_pb2.Tracing.Http(name=name, typed_config=messages.packed(config))


def _zipkin(provider: Provider, collector: Collector, cluster: str) -> Any:
    config = zipkin_pb2.ZipkinConfig(
        collector_cluster=cluster,
        collector_endpoint=provider.path,
        collector_endpoint_version=zipkin_pb2.ZipkinConfig.HTTP_JSON,
        collector_hostname=collector.host,
        trace_id_128bit=not provider.short_trace_ids,
        shared_span_context=wrappers_pb2.BoolValue(value=False),
    )
    if provider.w3c_too:
        config.trace_context_option = zipkin_pb2.ZipkinConfig.USE_B3_WITH_W3C_PROPAGATION
    return config


def _opentelemetry(provider: Provider, collector: Collector, cluster: str) -> Any:
    config = opentelemetry_pb2.OpenTelemetryConfig()
    if provider.http is not None:
        timeout = messages.duration(provider.http.timeout or EXPORT_TIMEOUT)
        uri = f"http://{collector.host}:{collector.port}{provider.http.path}"
        headers = [base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=key, value=value)) for key, value in provider.http.headers]
        service = http_service_pb2.HttpService(http_uri=http_uri_pb2.HttpUri(uri=uri, cluster=cluster, timeout=timeout), request_headers_to_add=headers)
        config.http_service.CopyFrom(service)
    else:
        target = grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=cluster, authority=collector.host)
        config.grpc_service.CopyFrom(grpc_service_pb2.GrpcService(envoy_grpc=target, timeout=messages.duration(EXPORT_TIMEOUT)))
    detector = environment_resource_detector_pb2.EnvironmentResourceDetectorConfig()
    config.resource_detectors.append(messages.extension("envoy.tracers.opentelemetry.resource_detectors.environment", detector))
    return config
