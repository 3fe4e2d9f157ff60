"""Resources as people and tests read them: JSON with the field names of Envoy's own config dump, or YAML."""

from __future__ import annotations

import importlib
import json
from functools import cache
from typing import Any

import yaml
from google.protobuf import descriptor_pool, json_format, message_factory

from varka.base.wire import WireResource

MODULES = {
    "envoy.config.cluster.v3.Cluster": "envoy.config.cluster.v3.cluster_pb2",
    "envoy.config.endpoint.v3.ClusterLoadAssignment": "envoy.config.endpoint.v3.endpoint_pb2",
    "envoy.config.core.v3.TypedExtensionConfig": "envoy.config.core.v3.extension_pb2",
    "envoy.config.listener.v3.Listener": "envoy.config.listener.v3.listener_pb2",
    "envoy.config.route.v3.RouteConfiguration": "envoy.config.route.v3.route_pb2",
    "envoy.extensions.transport_sockets.tls.v3.Secret": "envoy.extensions.transport_sockets.tls.v3.secret_pb2",
}
EXTENSIONS = (
    "envoy.extensions.access_loggers.file.v3.file_pb2",
    "envoy.extensions.access_loggers.stats.v3.stats_pb2",
    "envoy.extensions.filters.http.cors.v3.cors_pb2",
    "envoy.extensions.filters.http.fault.v3.fault_pb2",
    "envoy.extensions.filters.http.jwt_authn.v3.config_pb2",
    "envoy.extensions.filters.http.rbac.v3.rbac_pb2",
    "envoy.extensions.filters.http.router.v3.router_pb2",
    "envoy.extensions.filters.http.set_filter_state.v3.set_filter_state_pb2",
    "envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2",
    "envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2",
    "envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2",
    "envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2",
    "envoy.extensions.filters.network.rbac.v3.rbac_pb2",
    "envoy.extensions.filters.network.set_filter_state.v3.set_filter_state_pb2",
    "envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2",
    "envoy.extensions.path.match.uri_template.v3.uri_template_match_pb2",
    "envoy.extensions.retry.host.previous_hosts.v3.previous_hosts_pb2",
    "envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2",
    "envoy.extensions.transport_sockets.tls.v3.tls_pb2",
    "envoy.extensions.upstreams.http.v3.http_protocol_options_pb2",
)


@cache
def _load_extensions() -> None:
    """An Any is printed by its contents only when the message's module has been imported."""
    for module in EXTENSIONS:
        importlib.import_module(module)


def message(resource: WireResource) -> Any:
    """The resource as a protobuf message."""
    name = resource.type_url.rpartition("/")[2]
    importlib.import_module(MODULES[name])
    kind = descriptor_pool.Default().FindMessageTypeByName(name)
    result = message_factory.GetMessageClass(kind)()
    result.ParseFromString(resource.body)
    return result


def to_dict(resource: WireResource, proto_names: bool = False) -> dict[str, Any]:
    """The resource as plain values; lowerCamelCase names as in istioctl's JSON, or Envoy's own with `proto_names`."""
    _load_extensions()
    text = json_format.MessageToJson(message(resource), preserving_proto_field_name=proto_names)
    result: dict[str, Any] = json.loads(text)
    return result


def to_yaml(resource: WireResource) -> str:
    """The resource as YAML, keys in order."""
    return yaml.safe_dump(to_dict(resource), sort_keys=True, width=160)
