"""HTTP filters that are the same everywhere, built once: routing, faults, CORS, and the kept peer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import wrappers_pb2

from varka.envoy import messages

FAULT = "envoy.filters.http.fault"
CORS = "envoy.filters.http.cors"


def _filter(name: str, config: Any, disabled: bool = False) -> Any:
    return http_connection_manager_pb2.HttpFilter(name=name, typed_config=messages.packed(config), disabled=disabled)


ROUTER = _filter("envoy.filters.http.router", router_pb2.Router())
FAULTS = _filter(FAULT, fault_pb2.HTTPFault())
CORS_FILTER = _filter(CORS, cors_pb2.Cors())

GRPC_STATS = _filter(
    "envoy.filters.http.grpc_stats", config_pb2.FilterConfig(emit_filter_state=True, stats_for_all_methods=wrappers_pb2.BoolValue(value=False))
)
"""Counts the messages of gRPC calls, for metrics."""

GATEWAY = (FAULTS, CORS_FILTER, GRPC_STATS, ROUTER)
OUTBOUND = (_filter(FAULT, fault_pb2.HTTPFault(), disabled=True), _filter(CORS, cors_pb2.Cors(), disabled=True), GRPC_STATS, ROUTER)
"""Faults and CORS are there for requests whose route says something of them: a filter costs time even where it does nothing."""


def awake(filters: Iterable[Any]) -> None:
    """Let all filters work, whatever the route says, since what is put beside them may change the route of a request, or them."""
    for item in filters:
        if item.name in (FAULT, CORS):
            item.disabled = False
