"""The kind of `telemetry.istio.io`: metrics, traces and access logs of workloads."""

from __future__ import annotations

from typing import Annotated, Literal

from varka.resources.schema import BoolValue, Duration, NonEmpty, Percent, Schema, Spec
from varka.resources.selection import ONE_TARGET, References, TargetReference, WorkloadSelector

Mode = Literal["CLIENT_AND_SERVER", "CLIENT", "SERVER"]
Metric = Literal[
    "ALL_METRICS",
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
]
_TAG = (
    ('((has(self.operation) ? self.operation : "") == "REMOVE") ? !has(self.value) : true', "value must not be set when operation is REMOVE"),
    ('((has(self.operation) ? self.operation : "") == "UPSERT") ? (self.value != "") : true', "value must be set when operation is UPSERT"),
)


class ProviderRef(Spec):
    """A provider by its name in the mesh settings."""

    name: Annotated[NonEmpty, Schema(required=True)] = ""


class ModeMatch(Spec):
    """The side of a request that is meant."""

    mode: Mode = "CLIENT_AND_SERVER"


class LiteralTag(Spec):
    """A fixed value."""

    value: Annotated[NonEmpty, Schema(required=True)] = ""


class EnvironmentTag(Spec):
    """The value of an environment variable of the proxy."""

    name: Annotated[NonEmpty, Schema(required=True)] = ""
    default_value: str = ""


class HeaderTag(Spec):
    """The value of a request header."""

    name: Annotated[NonEmpty, Schema(required=True)] = ""
    default_value: str = ""


class CustomTag(Spec):
    """Where the value of a tag comes from."""

    schema_one_of = (("literal", "environment", "header"),)

    literal: LiteralTag | None = None
    environment: EnvironmentTag | None = None
    header: HeaderTag | None = None


class Tracing(Spec):
    """Which requests are traced, and what a span says."""

    match: ModeMatch | None = None
    providers: tuple[ProviderRef, ...] = ()
    random_sampling_percentage: Percent | None = None
    disable_span_reporting: BoolValue | None = None
    custom_tags: dict[str, CustomTag] = {}
    enable_istio_tags: BoolValue | None = None
    use_request_id_for_trace_sampling: BoolValue | None = None


class TagOverride(Spec):
    """A tag that is set or taken away."""

    schema_rules = _TAG

    operation: Literal["UPSERT", "REMOVE"] = "UPSERT"
    value: str = ""


class MetricSelector(Spec):
    """Which metric, on which side."""

    schema_one_of = (("metric", "customMetric"),)

    metric: Metric | None = None
    custom_metric: NonEmpty | None = None
    mode: Mode = "CLIENT_AND_SERVER"


class MetricsOverride(Spec):
    """A change to a metric."""

    match: MetricSelector | None = None
    disabled: BoolValue | None = None
    tag_overrides: dict[str, TagOverride] = {}


class Metrics(Spec):
    """Metrics for some providers."""

    providers: tuple[ProviderRef, ...] = ()
    overrides: tuple[MetricsOverride, ...] = ()
    reporting_interval: Duration | None = None


class LogFilter(Spec):
    """A CEL expression that a request must meet to be logged."""

    expression: str = ""


class AccessLogging(Spec):
    """Which requests are logged, and where to."""

    match: ModeMatch | None = None
    providers: tuple[ProviderRef, ...] = ()
    disabled: BoolValue | None = None
    filter: LogFilter | None = None


class Telemetry(Spec):
    """Metrics, traces and access logs of the mesh, a namespace or a workload."""

    schema_rules = ONE_TARGET

    selector: WorkloadSelector | None = None
    target_ref: TargetReference | None = None
    target_refs: References = ()
    tracing: tuple[Tracing, ...] = ()
    metrics: tuple[Metrics, ...] = ()
    access_logging: tuple[AccessLogging, ...] = ()
