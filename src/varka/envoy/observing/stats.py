"""Istio's standard metrics, counted by Envoy's own stats access logger: `istio_requests_total` and its kin.

Calls of gRPC and other requests have a logger each, told apart by a look at one header, so that nothing is computed for
the kind that a request is not of. Envoy shows the metrics with the prefix `envoy_`; `exposition` mends that.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as data_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2

from varka.envoy import messages
from varka.envoy.observing import labels
from varka.envoy.observing.labels import Where
from varka.model.telemetry import Metrics

NAME = "envoy.access_loggers.stats"
SCOPE = b"\x32\x0e" + b"\x2a\x05istio" + b"\x32\x05istio"
"""Field 6 of Config, `stats_scope` {prefix: istio, sharing_name: istio}: Envoy 1.40 requires it where the deprecated
`stat_prefix` is not given, but the published messages do not have it yet. All loggers of a proxy share one scope."""

LogType = data_pb2.AccessLogType
Filter = accesslog_pb2.AccessLogFilter
Config = stats_pb2.Config
Labels = Mapping[str, str]
ONE = wrappers_pb2.UInt64Value(value=1)
OF_REQUESTS: Labels = {"response_code": "%RESPONSE_CODE%", "grpc_response_status": "", "response_flags": "%RESPONSE_FLAGS%"}
OF_CALLS: Labels = {**OF_REQUESTS, "grpc_response_status": "%GRPC_STATUS_NUMBER%"}
MESSAGES = "%FILTER_STATE(envoy.filters.http.grpc_stats:PLAIN)%"
"""`requests,responses` of one call. No format gives one of the numbers, so it is a label here, which `exposition` adds up."""
NEVER_CONNECTED = ("UF", "UH", "UO", "NC", "NR", "URX", "DF", "UAEX")
"""Response flags of connections that did not reach the other side."""

HTTP_COUNTERS = {"REQUEST_COUNT": "requests_total"}
HISTOGRAMS = {
    "REQUEST_DURATION": ("request_duration_milliseconds", Config.Histogram.Milliseconds, "%DURATION%"),
    "REQUEST_SIZE": ("request_bytes", Config.Histogram.Bytes, "%DOWNSTREAM_WIRE_BYTES_RECEIVED%"),
    "RESPONSE_SIZE": ("response_bytes", Config.Histogram.Bytes, "%DOWNSTREAM_WIRE_BYTES_SENT%"),
}
GRPC_COUNTERS = {"GRPC_REQUEST_MESSAGES": "request_messages_total", "GRPC_RESPONSE_MESSAGES": "response_messages_total"}


def _grpc(yes: bool) -> Any:
    prefix = string_pb2.StringMatcher(prefix="application/grpc")
    header = route_components_pb2.HeaderMatcher(name="content-type", string_match=prefix, invert_match=not yes, treat_missing_header_as_empty=True)
    return Filter(header_filter=accesslog_pb2.HeaderFilter(header=header))


IS_GRPC, IS_NOT_GRPC = _grpc(True), _grpc(False)


def _stat(name: str, tags: Labels) -> Any:
    return Config.Stat(name=name, tags=[Config.Tag(name=key, value_format=value) for key, value in labels.packed(tags).items()])


def _logger(config: Any, when: Any) -> Any:
    packed = messages.packed(config)
    packed.value += SCOPE
    return accesslog_pb2.AccessLog(name=NAME, filter=when, typed_config=packed)


def _http(tags: Labels, metrics: Metrics, protocol: str, grpc: bool) -> Any:
    tags = {**tags, "request_protocol": protocol, **(OF_CALLS if grpc else OF_REQUESTS)}
    config = Config()
    for metric, name in HTTP_COUNTERS.items():
        if metric not in metrics.disabled:
            config.counters.append(Config.Counter(stat=_stat(name, labels.changed(tags, metrics, metric)), value_fixed=ONE))
    for metric, (name, unit, value) in HISTOGRAMS.items():
        if metric not in metrics.disabled:
            config.histograms.append(Config.Histogram(stat=_stat(name, labels.changed(tags, metrics, metric)), unit=unit, value_format=value))
    for metric, name in GRPC_COUNTERS.items() if grpc else ():
        if metric not in metrics.disabled:
            stat = _stat(name, labels.changed(tags, metrics, metric))
            stat.tags.add(name="messages", value_format=MESSAGES)
            config.counters.append(Config.Counter(stat=stat, value_fixed=ONE))
    return _logger(config, IS_GRPC if grpc else IS_NOT_GRPC)


def _of_requests(tags: Labels, metrics: Metrics) -> list[Any]:
    found = [_http(tags, metrics, "http", grpc=False), _http(tags, metrics, "grpc", grpc=True)]
    return [logger for logger in found if len(logger.typed_config.value) > len(SCOPE)]


@lru_cache(maxsize=128)
def of_requests_sent(metrics: Metrics | None) -> list[Any]:
    """The loggers of requests that this proxy sends on."""
    return _of_requests(labels.SENDING, metrics) if metrics is not None else []


@lru_cache(maxsize=1024)
def of_requests_received(where: Where, metrics: Metrics | None) -> list[Any]:
    """The loggers of requests for the application."""
    return _of_requests(labels.receiving(where, of_requests=True), metrics) if metrics is not None else []


def _of_connections(tags: Labels, metrics: Metrics) -> list[Any]:
    """Connections opened when the other side is reached, closed and bytes when they end.

    One that never reached the other side counts as opened when it ends, so that the difference is what is open.
    """
    tags = {**tags, "request_protocol": "tcp", "response_flags": "%RESPONSE_FLAGS%"}

    def counter(metric: str, name: str, value: str = "") -> list[Any]:
        if metric in metrics.disabled:
            return []
        stat = _stat(name, labels.changed(tags, metrics, metric))
        return [Config.Counter(stat=stat, value_format=value) if value else Config.Counter(stat=stat, value_fixed=ONE)]

    opened = Config(counters=counter("TCP_OPENED_CONNECTIONS", "tcp_connections_opened_total"))
    ended = Config(
        counters=[
            *counter("TCP_CLOSED_CONNECTIONS", "tcp_connections_closed_total"),
            *counter("TCP_RECEIVED_BYTES", "tcp_received_bytes_total", "%BYTES_RECEIVED%"),
            *counter("TCP_SENT_BYTES", "tcp_sent_bytes_total", "%BYTES_SENT%"),
        ],
    )
    failed = Filter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=list(NEVER_CONNECTED)))
    never = Filter(and_filter=accesslog_pb2.AndFilter(filters=[at(LogType.TcpConnectionEnd), failed]))
    found = [(opened, at(LogType.TcpUpstreamConnected)), (opened, never), (ended, at(LogType.TcpConnectionEnd))]
    return [_logger(config, when) for config, when in found if config.counters]


def at(kind: int) -> Any:
    """A filter for one moment of a connection."""
    return Filter(log_type_filter=accesslog_pb2.LogTypeFilter(types=[kind]))


@lru_cache(maxsize=128)
def of_connections_sent(metrics: Metrics | None) -> list[Any]:
    """The loggers of TCP connections that this proxy sends on."""
    return _of_connections(labels.SENDING_BYTES, metrics) if metrics is not None else []


@lru_cache(maxsize=1024)
def of_connections_received(where: Where, metrics: Metrics | None) -> list[Any]:
    """The loggers of TCP connections to the application."""
    return _of_connections(labels.receiving(where, of_requests=False), metrics) if metrics is not None else []
