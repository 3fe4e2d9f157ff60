"""HTTP filters that are the same everywhere, built once: routing, faults, CORS, and the kept peer."""

from __future__ import annotations

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


def _filter(name: str, config: Any) -> Any:
    return http_connection_manager_pb2.HttpFilter(name=name, typed_config=messages.packed(config))


ROUTER = _filter("envoy.filters.http.router", router_pb2.Router())
FAULTS = _filter(FAULT, fault_pb2.HTTPFault())
CORS_FILTER = _filter(CORS, cors_pb2.Cors())

GRPC_STATS = _filter(
    "envoy.filters.http.grpc_stats", config_pb2.FilterConfig(emit_filter_state=True, stats_for_all_methods=wrappers_pb2.BoolValue(value=False))
)
"""Counts the messages of gRPC calls, for metrics."""

OUTBOUND = (FAULTS, CORS_FILTER, GRPC_STATS, ROUTER)
