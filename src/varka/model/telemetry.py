"""What a workload's proxy is to tell of its traffic: metrics, traces and access logs, for the requests that it sends and for those it takes.

The two sides are apart because the Telemetry API lets them be (`match.mode`); a gateway only sends.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from varka.model.services import Hostname


class ProviderKind(StrEnum):
    """Where telemetry goes; the names are the fields of MeshConfig's `extensionProviders`."""

    PROMETHEUS = "prometheus"
    FILE = "envoyFileAccessLog"
    OTEL_LOG = "envoyOtelAls"
    OPENTELEMETRY = "opentelemetry"
    ZIPKIN = "zipkin"


class LogFormat(Struct, frozen=True, kw_only=True):
    """The form of a line: text, or JSON when `json` is not empty; both empty is Istio's default text."""

    text: str = ""
    json: str = ""
    """A JSON object of fields, as text; `{}` is Istio's default fields."""
    omit_empty: bool = False


class HttpExport(Struct, frozen=True, kw_only=True):
    """OTLP over HTTP instead of gRPC; times in seconds."""

    path: str = "/"
    timeout: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()


class Provider(Struct, frozen=True, kw_only=True):
    """One of `extensionProviders` that takes telemetry."""

    name: str
    kind: ProviderKind
    service: str = ""
    """Host of the collector, with its namespace and a slash in front where the user wrote one."""
    port: int = 0
    path: str = ""
    """Of a log file, or of the collector's Zipkin endpoint."""
    form: LogFormat = LogFormat()
    mesh_form: bool = False
    """The form is the one that the mesh settings give, as for the provider `envoy` that every mesh has."""
    log_name: str = ""
    http: HttpExport | None = None
    max_tag_length: int = 0
    short_trace_ids: bool = False
    """Zipkin: 64 bits instead of 128."""
    w3c_too: bool = False
    """Zipkin: propagate W3C trace context beside B3."""
    environment_resources: bool = False
    """OpenTelemetry: add the attributes of `OTEL_RESOURCE_ATTRIBUTES`."""


class Collector(Struct, frozen=True, kw_only=True):
    """The service that a proxy sends telemetry to."""

    host: Hostname
    port: int


class TagSource(StrEnum):
    """Where the value of a span's tag comes from."""

    LITERAL = "literal"
    ENVIRONMENT = "environment"
    HEADER = "header"


class CustomTag(Struct, frozen=True, kw_only=True):
    """A tag of spans: a fixed value, or the name of a variable or header."""

    name: str
    source: TagSource
    value: str
    default: str = ""


class Tracing(Struct, frozen=True, kw_only=True):
    """Which requests of one side are traced, and where spans go."""

    provider: Provider
    collector: Collector
    sampling: float = 1.0
    """Per cent."""
    custom_tags: tuple[CustomTag, ...] = ()
    istio_tags: bool = True
    use_request_id: bool = True
    max_tag_length: int = 0


class AccessLog(Struct, frozen=True, kw_only=True):
    """One place that a side's requests are written to; `filter` is a CEL expression that they must meet."""

    provider: Provider
    collector: Collector | None = None
    filter: str = ""


class Metrics(Struct, frozen=True, kw_only=True):
    """Istio's standard metrics of one side, by their names in the Telemetry API (`REQUEST_COUNT`)."""

    disabled: frozenset[str] = frozenset()
    tags: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()
    """Metric → label → CEL expression; an empty expression takes the label away."""
    reporting_interval: float = 0.0
    """Seconds between reports of the bytes of TCP connections that stay open; 0 is Istio's default."""


class Side(Struct, frozen=True, kw_only=True):
    """What is told of requests that are sent, or of those that are taken."""

    metrics: Metrics | None = Metrics()
    tracing: Tracing | None = None
    logs: tuple[AccessLog, ...] | None = None
    """None: the file that the mesh settings name, if they name one."""


class Telemetry(Struct, frozen=True, kw_only=True):
    """Both sides of a workload; a gateway has the first only."""

    client: Side = Side()
    server: Side = Side()


DEFAULT = Telemetry()
ENVOY = Provider(name="envoy", kind=ProviderKind.FILE, path="/dev/stdout", mesh_form=True)
BUILT_IN = (Provider(name="prometheus", kind=ProviderKind.PROMETHEUS), ENVOY)
"""Providers that every mesh has, whatever its settings say."""


class MeshTelemetry(Struct, frozen=True, kw_only=True):
    """The part of MeshConfig that is about telemetry."""

    providers: tuple[Provider, ...] = ()
    metrics: tuple[str, ...] = ("prometheus",)
    """Names of default providers, as the two that follow."""
    tracing: tuple[str, ...] = ()
    access_logging: tuple[str, ...] = ()
    enable_tracing: bool = True
    proxy_tracer: Provider | None = None
    """The tracer of `defaultConfig.tracing`, for meshes that use no Telemetry."""
    sampling: float | None = None
    """Per cent, of `defaultConfig.tracing`."""
    custom_tags: tuple[CustomTag, ...] = ()
    max_tag_length: int = 0

    def provider(self, name: str) -> Provider | None:
        """The provider of a name; the mesh's own win over the built-in ones."""
        return next((one for one in (*self.providers, *BUILT_IN) if one.name == name), None)
