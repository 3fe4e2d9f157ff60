"""The access log of requests and connections, in Istio's default text form or as the mesh settings say.

Refusals are readable in it: the response code details of a request that an AuthorizationPolicy refused name the policy
(`rbac_access_denied_matched_policy[ns[foo]-policy[bar]-rule[0]]`).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, grpc_service_pb2, substitution_format_string_pb2
from envoy.data.accesslog.v3 import accesslog_pb2 as data_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.access_loggers.open_telemetry.v3 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2

from varka.envoy import messages, names, protowire
from varka.model.telemetry import AccessLog, Collector, LogFormat, Provider, ProviderKind, Side
from varka.model.view import MeshSettings

Filter = accesslog_pb2.AccessLogFilter
NAME = "envoy.access_loggers.file"
OTEL_NAME = "envoy.access_loggers.open_telemetry"
CEL_FILTER = "envoy.access_loggers.extension_filters.cel"
DEFAULT_LOG_NAME = "otel_envoy_accesslog"
OTEL_SERVICE, OTEL_LOG_NAME = 9, 10
"""Fields `grpc_service` and `log_name` of the logger's configuration: Envoy 1.40 warns of what they replace, but the
published messages do not have them yet."""
FIELDS = (
    ("start_time", "[%START_TIME%]"),
    ("request", '"%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"'),
    ("response_code", "%RESPONSE_CODE%"),
    ("response_flags", "%RESPONSE_FLAGS%"),
    ("response_code_details", "%RESPONSE_CODE_DETAILS%"),
    ("connection_termination_details", "%CONNECTION_TERMINATION_DETAILS%"),
    ("upstream_transport_failure_reason", '"%UPSTREAM_TRANSPORT_FAILURE_REASON%"'),
    ("bytes_received", "%BYTES_RECEIVED%"),
    ("bytes_sent", "%BYTES_SENT%"),
    ("duration", "%DURATION%"),
    ("upstream_service_time", "%RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)%"),
    ("x_forwarded_for", '"%REQ(X-FORWARDED-FOR)%"'),
    ("user_agent", '"%REQ(USER-AGENT)%"'),
    ("request_id", '"%REQ(X-REQUEST-ID)%"'),
    ("authority", '"%REQ(:AUTHORITY)%"'),
    ("upstream_host", '"%UPSTREAM_HOST%"'),
    ("upstream_cluster", "%UPSTREAM_CLUSTER_RAW%"),
    ("upstream_local_address", "%UPSTREAM_LOCAL_ADDRESS%"),
    ("downstream_local_address", "%DOWNSTREAM_LOCAL_ADDRESS%"),
    ("downstream_remote_address", "%DOWNSTREAM_REMOTE_ADDRESS%"),
    ("requested_server_name", "%REQUESTED_SERVER_NAME%"),
    ("route_name", "%ROUTE_NAME%"),
)
TEXT = " ".join(form for _, form in FIELDS) + "\n"
IDENTITIES = {
    "downstream_local_subject": "%DOWNSTREAM_LOCAL_SUBJECT%",
    "downstream_local_uri_san": "%DOWNSTREAM_LOCAL_URI_SAN%",
    "downstream_peer_issuer": "%DOWNSTREAM_PEER_ISSUER%",
    "downstream_peer_serial": "%DOWNSTREAM_PEER_SERIAL%",
    "downstream_peer_subject": "%DOWNSTREAM_PEER_SUBJECT%",
    "downstream_peer_uri_san": "%DOWNSTREAM_PEER_URI_SAN%",
    "downstream_tls_cipher": "%DOWNSTREAM_TLS_CIPHER%",
    "downstream_tls_version": "%DOWNSTREAM_TLS_VERSION%",
}
"""Who was on both ends of the connection, by their certificates: only in JSON, where more fields disturb no reader."""


def loggers(mesh: MeshSettings, side: Side) -> list[Any]:
    """The loggers of a request or connection: those that Telemetry asks for, else the file that the mesh settings name."""
    if side.logs is not None:
        return [_logger(log, _mesh_format(mesh)) for log in side.logs]
    return _of_mesh(mesh.access_log_file, _mesh_format(mesh)) if mesh.access_log_file else []


def _mesh_format(mesh: MeshSettings) -> LogFormat:
    return LogFormat(json=mesh.access_log_format or "{}") if mesh.access_log_json else LogFormat(text=mesh.access_log_format)


@lru_cache(maxsize=16)
def _of_mesh(path: str, form: LogFormat) -> list[Any]:
    return [_file(path, form)]


@lru_cache(maxsize=256)
def _logger(log: AccessLog, mesh_form: LogFormat) -> Any:
    provider = log.provider
    if provider.kind is ProviderKind.FILE:
        result = _file(provider.path, mesh_form if provider.mesh_form else provider.form)
    else:
        assert log.collector is not None
        result = _otel(provider, log.collector)
    if log.filter:
        result.filter.CopyFrom(cel_filter(log.filter))
    return result


def cel_filter(expression: str) -> Any:
    """A filter that passes what an expression is true of."""
    config = messages.packed(cel_pb2.ExpressionFilter(expression=expression))
    return Filter(extension_filter=accesslog_pb2.ExtensionFilter(name=CEL_FILTER, typed_config=config))


def _file(path: str, form: LogFormat) -> Any:
    config = file_pb2.FileAccessLog(path=path, log_format=_format(form))
    return accesslog_pb2.AccessLog(name=NAME, typed_config=messages.packed(config))


def of_listener(mesh: MeshSettings, side: Side) -> list[Any]:
    """Loggers of connections that no filter chain takes, such as plain bytes where mTLS is required."""
    if mesh.disable_listener_log:
        return []
    return [_when(logger, Filter(response_flag_filter=accesslog_pb2.ResponseFlagFilter(flags=["NR"]))) for logger in loggers(mesh, side)]


def at_end(logger: Any) -> Any:
    """The logger for connections that tell of other moments too."""
    return _when(logger, Filter(log_type_filter=accesslog_pb2.LogTypeFilter(types=[data_pb2.AccessLogType.TcpConnectionEnd])))


def _when(logger: Any, condition: Any) -> Any:
    copy = accesslog_pb2.AccessLog()
    copy.CopyFrom(logger)
    if logger.HasField("filter"):
        condition = Filter(and_filter=accesslog_pb2.AndFilter(filters=[condition, logger.filter]))
    copy.filter.CopyFrom(condition)
    return copy


def _format(form: LogFormat) -> Any:
    made = substitution_format_string_pb2.SubstitutionFormatString(omit_empty_values=form.omit_empty)
    if form.json:
        made.json_format.CopyFrom(messages.struct(_json_fields(form.json)))
    else:
        text = form.text or TEXT
        made.text_format_source.CopyFrom(base_pb2.DataSource(inline_string=text if text.endswith("\n") else text + "\n"))
    return made


def _json_fields(form: str) -> dict[str, object]:
    """The fields given as JSON; a format that is no JSON object is ignored in favour of the default, as it cannot be used."""
    try:
        given = json.loads(form)
    except ValueError:
        given = None
    if isinstance(given, dict) and given:
        return {str(key): value if isinstance(value, dict | list) else str(value) for key, value in given.items()}
    fields: dict[str, object] = {name: text.strip('"[]') for name, text in FIELDS if name != "request"}
    return fields | {"method": "%REQ(:METHOD)%", "path": "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", "protocol": "%PROTOCOL%"} | IDENTITIES


def _otel(provider: Provider, collector: Collector) -> Any:
    """Log records by OTLP: the text as the body, the labels as attributes."""
    cluster = names.outbound(collector.port, "", collector.host)
    config = logs_service_pb2.OpenTelemetryAccessLogConfig()
    target = grpc_service_pb2.GrpcService(envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=cluster, authority=collector.host))
    config.body.MergeFromString(_any_value(provider.form.text or TEXT.rstrip("\n")).SerializeToString())
    labels = json.loads(provider.form.json) if provider.form.json else {}
    pairs = [common_pb2.KeyValue(key=str(key), value=_any_value(labels[key])) for key in sorted(labels)]
    config.attributes.MergeFromString(common_pb2.KeyValueList(values=pairs).SerializeToString())
    packed = messages.packed(config)
    packed.value += protowire.tagged(OTEL_SERVICE, target.SerializeToString(deterministic=True))
    packed.value += protowire.tagged(OTEL_LOG_NAME, (provider.log_name or DEFAULT_LOG_NAME).encode())
    return accesslog_pb2.AccessLog(name=OTEL_NAME, typed_config=packed)


def _any_value(value: object) -> Any:
    if isinstance(value, dict):
        pairs = [common_pb2.KeyValue(key=str(key), value=_any_value(value[key])) for key in sorted(value)]
        return common_pb2.AnyValue(kvlist_value=common_pb2.KeyValueList(values=pairs))
    return common_pb2.AnyValue(string_value=str(value))
