"""How two proxies tell each other who they are, for telemetry only: workload names that no certificate carries.

The sending side adds a request header whose value comes from its environment, so that its configuration is the same as
that of every other proxy; the receiving side keeps it aside and takes it off before the application sees the request.
Nothing is ever allowed or refused because of it.
"""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.filters.common.set_filter_state.v3 import value_pb2
from envoy.extensions.filters.http.set_filter_state.v3 import set_filter_state_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from varka.envoy import messages
from varka.envoy.observing.peer_facts import SENT_VARIABLE

HEADER = "x-varka-peer"
STATE = "varka.peer"
"""Key of the filter state in which the receiving side keeps it."""

SEND = [
    base_pb2.HeaderValueOption(
        header=base_pb2.HeaderValue(key=HEADER, value=f"%ENVIRONMENT({SENT_VARIABLE})%"),
        append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
    )
]
"""Header operations for requests into the mesh."""

TAKE_OFF = (HEADER,)
"""Names of headers that the application must not see."""


def _value(key: str, factory: str, text: str) -> Any:
    source = base_pb2.DataSource(inline_string=text)
    return value_pb2.FilterStateValue(
        object_key=key,
        factory_key=factory,
        format_string=substitution_format_string_pb2.SubstitutionFormatString(text_format_source=source, omit_empty_values=True),
        skip_if_empty=True,
    )


def _filter(name: str, values: list[Any]) -> Any:
    config = set_filter_state_pb2.Config(on_request_headers=values)
    return http_connection_manager_pb2.HttpFilter(name=name, typed_config=messages.packed(config))


KEEP = _filter("envoy.filters.http.set_filter_state", [_value(STATE, "envoy.string", f"%REQ({HEADER})%")])
"""The filter that keeps what the caller said of itself."""
