"""The access log of requests and connections, in Istio's default text form or as the mesh settings say.

Refusals are readable in it: the response code details of a request that an AuthorizationPolicy refused name the policy
(`rbac_access_denied_matched_policy[ns[foo]-policy[bar]-rule[0]]`).
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.file.v3 import file_pb2

from varka.envoy import messages
from varka.model.view import MeshSettings

NAME = "envoy.access_loggers.file"
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


def loggers(mesh: MeshSettings) -> list[Any]:
    """The file loggers of a request or connection; none when the mesh writes no access log."""
    return _loggers(mesh.access_log_file, mesh.access_log_format, mesh.access_log_json) if mesh.access_log_file else []


@lru_cache(maxsize=16)
def _loggers(path: str, form: str, as_json: bool) -> list[Any]:
    config = file_pb2.FileAccessLog(path=path, log_format=_format(form, as_json))
    return [accesslog_pb2.AccessLog(name=NAME, typed_config=messages.packed(config))]


def of_listener(mesh: MeshSettings) -> list[Any]:
    """Loggers of connections that no filter chain takes, such as plain bytes where mTLS is required."""
    if mesh.disable_listener_log:
        return []
    result = []
    for logger in loggers(mesh):
        copy = accesslog_pb2.AccessLog()
        copy.CopyFrom(logger)
        copy.filter.response_flag_filter.flags.append("NR")
        result.append(copy)
    return result


def _format(form: str, as_json: bool) -> Any:
    if as_json:
        fields = _json_fields(form)
        return substitution_format_string_pb2.SubstitutionFormatString(json_format=messages.struct(fields))
    text = form or TEXT
    source = base_pb2.DataSource(inline_string=text if text.endswith("\n") else text + "\n")
    return substitution_format_string_pb2.SubstitutionFormatString(text_format_source=source)


def _json_fields(form: str) -> dict[str, object]:
    """The fields given as JSON; a format that is no JSON object is ignored in favour of the default, as it cannot be used."""
    if form:
        try:
            given = json.loads(form)
        except ValueError:
            given = None
        if isinstance(given, dict):
            return {str(key): str(value) for key, value in given.items()}
    fields: dict[str, object] = {name: text.strip('"[]') for name, text in FIELDS if name != "request"}
    fields.update(method="%REQ(:METHOD)%", path="%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%", protocol="%PROTOCOL%")
    return fields
