"""What a listener looks at before it chooses a filter chain: the first bytes of the connection, and where it was going."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2
from envoy.type.v3 import range_pb2

from varka.envoy import messages

ListenerFilter = listener_components_pb2.ListenerFilter
Predicate = listener_components_pb2.ListenerFilterChainMatchPredicate


def _filter(name: str, config: Any) -> Any:
    return ListenerFilter(name=f"envoy.filters.listener.{name}", typed_config=messages.packed(config))


ORIGINAL_DST = _filter("original_dst", original_dst_pb2.OriginalDst())
TLS_INSPECTOR = _filter("tls_inspector", tls_inspector_pb2.TlsInspector())
PROXY_PROTOCOL = _filter("proxy_protocol", proxy_protocol_pb2.ProxyProtocol())
HTTP_INSPECTOR = _filter("http_inspector", http_inspector_pb2.HttpInspector())


def except_ports(listener_filter: Any, ports: Iterable[int]) -> Any:
    """The filter, switched off for these destination ports: there the server may be the first to speak."""
    rules = [Predicate(destination_port_range=range_pb2.Int32Range(start=port, end=port + 1)) for port in sorted(set(ports))]
    if not rules:
        return listener_filter
    result = ListenerFilter()
    result.CopyFrom(listener_filter)
    if len(rules) == 1:
        result.filter_disabled.CopyFrom(rules[0])
    else:
        result.filter_disabled.or_match.rules.extend(rules)
    return result
