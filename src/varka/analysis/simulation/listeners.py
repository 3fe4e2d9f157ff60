"""Which listener takes a connection, and what its listener filters read from the first bytes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.core.v3 import base_pb2
from msgspec import Struct

from varka.analysis.simulation.call import Call, Direction, Protocol, Security
from varka.analysis.simulation.configuration import Configuration
from varka.analysis.simulation.result import Stage, Step
from varka.envoy import names

TLS_INSPECTOR = "envoy.filters.listener.tls_inspector"
HTTP_INSPECTOR = "envoy.filters.listener.http_inspector"
_PLAIN = {Protocol.HTTP: ("http/1.1",), Protocol.HTTP2: ("h2c",), Protocol.TCP: ()}


class Connection(Struct, frozen=True, kw_only=True):
    """What a listener knows of a connection when it chooses a filter chain."""

    address: str
    port: int
    source_ip: str = ""
    server_name: str = ""
    transport: str = "raw_buffer"
    protocols: tuple[str, ...] = ()


def choose(configuration: Configuration, call: Call) -> tuple[Any, Step]:
    """The listener and why; None when the proxy has none."""
    if call.direction is Direction.INBOUND:
        return _inbound(configuration.listeners, call)
    found = [listener for listener in configuration.listeners if listener.traffic_direction != base_pb2.INBOUND]
    place = f"{call.address or 'any address'}:{call.port}"
    exact = next((listener for listener in found if (call.address, call.port) in addresses(listener)), None)
    if exact is not None:
        return exact, _step(exact.name, f"the listener of the address {place}")
    anywhere = "::" if ":" in call.address else "0.0.0.0"
    wild = next((listener for listener in found if (anywhere, call.port) in addresses(listener)), None)
    if wild is not None:
        return wild, _step(wild.name, f"no listener has the address {place}; this one takes port {call.port} of all addresses")
    rest = next((listener for listener in found if listener.name == names.VIRTUAL_OUTBOUND), None)
    if rest is not None:
        return rest, _step(rest.name, f"no listener is for {place}; what is captured and belongs to nobody stays here")
    ports = sorted({port for listener in found for _, port in addresses(listener)})
    return None, _step("", f"nothing listens on {place}; the proxy's ports are {', '.join(map(str, ports)) or '(none)'}")


def _inbound(listeners: Iterable[Any], call: Call) -> tuple[Any, Step]:
    found = [listener for listener in listeners if listener.traffic_direction == base_pb2.INBOUND]
    for listener in found:
        if listener.name != names.VIRTUAL_INBOUND and any(port == call.port for _, port in addresses(listener)):
            return listener, _step(listener.name, f"port {call.port} is bound by the proxy itself")
    for listener in found:
        if listener.name == names.VIRTUAL_INBOUND:
            return listener, _step(listener.name, "connections to the workload are captured here")
    return None, _step("", "the proxy captures no connections to the workload")


def addresses(listener: Any) -> list[tuple[str, int]]:
    """All addresses and ports of a listener."""
    found = [listener.address, *(item.address for item in listener.additional_addresses)]
    return [(item.socket_address.address, item.socket_address.port_value) for item in found]


def _step(chosen: str, reason: str) -> Step:
    return Step(stage=Stage.LISTENER, chosen=chosen, reason=reason)


def inspect(listener: Any, call: Call) -> tuple[Connection, Step]:
    """What the listener filters find out; a filter that is switched off for the port finds nothing."""
    active = {item.name for item in listener.listener_filters if not _disabled(item, call.port)}
    transport, server_name = "raw_buffer", ""
    protocols: tuple[str, ...] = ()
    words = []
    if call.encrypted and TLS_INSPECTOR in active:
        transport, server_name, protocols = "tls", call.sni or "", call.alpn or ()
        words.append(f"TLS with server name {server_name or '(none)'} and ALPN {', '.join(protocols) or '(none)'}")
    elif call.encrypted:
        words.append("TLS, which nobody looks at here")
    if call.security is Security.PLAINTEXT and HTTP_INSPECTOR in active:
        protocols = _PLAIN[call.protocol]
        words.append(f"plain bytes of {protocols[0]}" if protocols else "plain bytes that are not HTTP")
    elif not call.encrypted:
        words.append("plain bytes, which nobody looks at here")
    connection = Connection(address=call.address, port=call.port, source_ip=call.source_ip, server_name=server_name, transport=transport, protocols=protocols)
    inspectors = ", ".join(sorted(name.rpartition(".")[2] for name in active)) or "(none)"
    return connection, Step(stage=Stage.LISTENER_FILTERS, chosen=inspectors, reason=f"the connection is {'; '.join(words)}")


def _disabled(listener_filter: Any, port: int) -> bool:
    return listener_filter.HasField("filter_disabled") and _holds(listener_filter.filter_disabled, port)


def _holds(predicate: Any, port: int) -> bool:
    kind = predicate.WhichOneof("rule")
    if kind == "or_match":
        return any(_holds(rule, port) for rule in predicate.or_match.rules)
    if kind == "and_match":
        return all(_holds(rule, port) for rule in predicate.and_match.rules)
    if kind == "not_match":
        return not _holds(predicate.not_match, port)
    if kind == "destination_port_range":
        return bool(predicate.destination_port_range.start <= port < predicate.destination_port_range.end)
    return bool(predicate.any_match) if kind == "any_match" else False
