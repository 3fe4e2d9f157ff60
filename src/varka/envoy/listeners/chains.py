"""Filter chains: what a listener does with a connection, once it knows what kind it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2, listener_pb2

from varka.envoy import messages

PLAIN_HTTP = ("http/1.0", "http/1.1", "h2c")
TLS = "tls"
RAW = "raw_buffer"


def chain(name: str, filters: Iterable[Any], match: Any = None, socket: Any = None, handshake_timeout: float | None = None) -> Any:
    """A filter chain; without a match it takes every connection, without a socket it reads plain bytes."""
    result = listener_components_pb2.FilterChain(name=name, filters=filters, filter_chain_match=match, transport_socket=socket)
    if handshake_timeout:
        result.transport_socket_connect_timeout.CopyFrom(messages.duration(handshake_timeout))
    return result


def match(
    port: int | None = None,
    transport: str = "",
    protocols: Iterable[str] = (),
    server_names: Iterable[str] = (),
    blocks: Iterable[str] = (),
) -> Any:
    """The condition of a filter chain."""
    result = listener_components_pb2.FilterChainMatch(
        transport_protocol=transport,
        application_protocols=protocols,
        server_names=server_names,
        prefix_ranges=[messages.cidr(block) for block in blocks],
    )
    if port is not None:
        result.destination_port.value = port
    return result


def other_family(families: tuple[int, ...], port: int) -> list[Any]:
    """What a listener on all IPv4 addresses of a proxy with both families needs beside them."""
    if 4 not in families or 6 not in families:
        return []
    return [listener_pb2.AdditionalAddress(address=messages.address("::", port))]
