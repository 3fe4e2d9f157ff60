"""HTTP filters that are the same everywhere, built once: routing, faults, CORS, and the kept peer."""

from __future__ import annotations

from typing import Any

from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from varka.envoy import messages

FAULT = "envoy.filters.http.fault"
CORS = "envoy.filters.http.cors"


def _filter(name: str, config: Any) -> Any:
    return http_connection_manager_pb2.HttpFilter(name=name, typed_config=messages.packed(config))


ROUTER = _filter("envoy.filters.http.router", router_pb2.Router())
FAULTS = _filter(FAULT, fault_pb2.HTTPFault())
CORS_FILTER = _filter(CORS, cors_pb2.Cors())

OUTBOUND = (FAULTS, CORS_FILTER, ROUTER)
