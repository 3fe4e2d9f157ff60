"""Istio's standard metrics, counted by Envoy's own stats access logger: `istio_requests_total` and its kin.

Every label is a log format string. What a proxy knows of itself comes from its environment (see `peers`), what it
knows of the other side from the endpoint's or cluster's metadata (sending) or from the kept peer headers and the
certificate (receiving). Envoy shows the metrics with the prefix `envoy_` and missing values as `-`; `exposition` mends
both.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as data_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from google.protobuf import wrappers_pb2

from varka.envoy import messages
from varka.envoy.observing import peer_facts
from varka.envoy.security import peers

NAME = "envoy.access_loggers.stats"
SCOPE = b"\x32\x0e" + b"\x2a\x05istio" + b"\x32\x05istio"
"""Field 6 of Config, `stats_scope` {prefix: istio, sharing_name: istio}: Envoy 1.40 requires it where the deprecated
`stat_prefix` is not given, but the published messages do not have it yet. All loggers of a proxy share one scope."""

LogType = data_pb2.AccessLogType


def _packed(config: Any) -> Any:
    result = messages.packed(config)
    result.value += SCOPE
    return result


def _own(fact: str) -> str:
    return f"%ENVIRONMENT({peer_facts.FACTS[fact]})%"


def _peer(fact: str) -> str:
    return f"%FILTER_STATE({peers.STATE[fact]}:PLAIN)%"


def _endpoint(key: str) -> str:
    return f"%UPSTREAM_METADATA(istio:{key})%"


def _cluster(key: str) -> str:
    return f"%CLUSTER_METADATA(istio:{key})%"


SENDING = {
    "reporter": "source",
    "source_workload": _own("workload"),
    "source_canonical_service": _own("service"),
    "source_canonical_revision": _own("revision"),
    "source_workload_namespace": _own("namespace"),
    "source_principal": "%UPSTREAM_LOCAL_URI_SAN%",
    "source_app": _own("service"),
    "source_version": _own("revision"),
    "source_cluster": "Kubernetes",
    "destination_workload": _endpoint("workload_name"),
    "destination_workload_namespace": _endpoint("workload_namespace"),
    "destination_principal": "%UPSTREAM_PEER_URI_SAN%",
    "destination_app": _endpoint("canonical_service"),
    "destination_version": _endpoint("canonical_revision"),
    "destination_service": _cluster("service_host"),
    "destination_canonical_service": _endpoint("canonical_service"),
    "destination_canonical_revision": _endpoint("canonical_revision"),
    "destination_service_name": _cluster("service_name"),
    "destination_service_namespace": _cluster("service_namespace"),
    "destination_cluster": "Kubernetes",
    "connection_security_policy": "unknown",
}
REQUEST = {
    "response_code": "%RESPONSE_CODE%",
    "grpc_response_status": "%GRPC_STATUS_NUMBER%",
    "response_flags": "%RESPONSE_FLAGS%",
}


def _receiving(mutual_tls: bool, host: str, name: str, namespace: str) -> dict[str, str]:
    return {
        "reporter": "destination",
        "source_workload": _peer("workload"),
        "source_canonical_service": _peer("service"),
        "source_canonical_revision": _peer("revision"),
        "source_workload_namespace": _peer("namespace"),
        "source_principal": "%DOWNSTREAM_PEER_URI_SAN%",
        "source_app": _peer("service"),
        "source_version": _peer("revision"),
        "source_cluster": "Kubernetes" if mutual_tls else "unknown",
        "destination_workload": _own("workload"),
        "destination_workload_namespace": _own("namespace"),
        "destination_principal": "%DOWNSTREAM_LOCAL_URI_SAN%",
        "destination_app": _own("service"),
        "destination_version": _own("revision"),
        "destination_service": host or "unknown",
        "destination_canonical_service": _own("service"),
        "destination_canonical_revision": _own("revision"),
        "destination_service_name": name or "unknown",
        "destination_service_namespace": namespace or "unknown",
        "destination_cluster": "Kubernetes",
        "connection_security_policy": "mutual_tls" if mutual_tls else "none",
    }


def _stat(name: str, tags: Mapping[str, str]) -> Any:
    return stats_pb2.Config.Stat(name=name, tags=[stats_pb2.Config.Tag(name=key, value_format=value) for key, value in tags.items()])


def _http(tags: Mapping[str, str], protocol: str) -> Any:
    tags = {**tags, "request_protocol": protocol, **REQUEST}
    histogram = stats_pb2.Config.Histogram
    config = stats_pb2.Config(
        counters=[stats_pb2.Config.Counter(stat=_stat("requests_total", tags), value_fixed=wrappers_pb2.UInt64Value(value=1))],
        histograms=[
            histogram(stat=_stat("request_duration_milliseconds", tags), unit=histogram.Milliseconds, value_format="%DURATION%"),
        ],
    )
    return accesslog_pb2.AccessLog(name=NAME, typed_config=_packed(config))


@lru_cache(maxsize=2)
def of_requests_sent() -> Any:
    """The logger of requests that this proxy sends on."""
    return _http(SENDING, _cluster("request_protocol"))


@lru_cache(maxsize=1024)
def of_requests_received(mutual_tls: bool, host: str, name: str, namespace: str, grpc: bool) -> Any:
    """The logger of requests for the application; empty names where no service points at the port."""
    return _http(_receiving(mutual_tls, host, name, namespace), "grpc" if grpc else "http")


def _tcp(tags: Mapping[str, str]) -> list[Any]:
    """Connections opened when the other side is reached, closed and bytes when they end."""
    tags = {**tags, "request_protocol": "tcp", "response_flags": "%RESPONSE_FLAGS%"}
    one = wrappers_pb2.UInt64Value(value=1)
    counter = stats_pb2.Config.Counter
    opened = stats_pb2.Config(counters=[counter(stat=_stat("tcp_connections_opened_total", tags), value_fixed=one)])
    closed = stats_pb2.Config(
        counters=[
            counter(stat=_stat("tcp_connections_closed_total", tags), value_fixed=one),
            counter(stat=_stat("tcp_received_bytes_total", tags), value_format="%BYTES_RECEIVED%"),
            counter(stat=_stat("tcp_sent_bytes_total", tags), value_format="%BYTES_SENT%"),
        ],
    )
    return [_at(LogType.TcpUpstreamConnected, opened), _at(LogType.TcpConnectionEnd, closed)]


def _at(kind: int, config: Any) -> Any:
    when = accesslog_pb2.AccessLogFilter(log_type_filter=accesslog_pb2.LogTypeFilter(types=[kind]))
    return accesslog_pb2.AccessLog(name=NAME, filter=when, typed_config=_packed(config))


@lru_cache(maxsize=2)
def of_connections_sent() -> list[Any]:
    """The loggers of TCP connections that this proxy sends on."""
    return _tcp(SENDING)


@lru_cache(maxsize=1024)
def of_connections_received(mutual_tls: bool, host: str, name: str, namespace: str) -> list[Any]:
    """The loggers of TCP connections to the application."""
    return _tcp(_receiving(mutual_tls, host, name, namespace))
