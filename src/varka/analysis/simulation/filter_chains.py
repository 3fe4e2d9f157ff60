"""Which filter chain of a listener takes a connection.

Envoy asks one question after another: destination port, destination address, server name, transport, application
protocol, source. At each, the chains with the most specific answer remain, and those that ask for nothing stand back.
It never returns to an earlier question: a chain that is left behind is not tried again when the others fail later.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2

from varka.analysis.simulation.listeners import Connection
from varka.analysis.simulation.result import Failure, Stage, Step

Rank = tuple[int, ...]
Question = Callable[[Any, Connection], Rank | None]
_UNASKED: Rank = (0,)
_Match = listener_components_pb2.FilterChainMatch


def choose(listener: Any, connection: Connection) -> tuple[Any, Failure | None, Step]:
    """The chain, or why there is none."""
    remaining = list(listener.filter_chains)
    decided: list[str] = []
    for name, describe, question in _QUESTIONS:
        ranked = [(question(chain.filter_chain_match, connection), chain) for chain in remaining]
        best = max((rank for rank, _ in ranked if rank is not None), default=None)
        if best is None:
            return _otherwise(listener, f"no chain is for {name} {describe(connection)}" if remaining else "the listener has no chains")
        if best != _UNASKED:
            decided.append(f"{name} {describe(connection)}")
        remaining = [chain for rank, chain in ranked if rank == best]
    if not remaining:
        return _otherwise(listener, "the listener has no chains")
    if len(remaining) > 1:
        reason = f"{len(remaining)} chains have the same condition"
        return None, Failure.MULTIPLE_FILTER_CHAIN, Step(stage=Stage.FILTER_CHAIN, chosen="", reason=reason)
    reason = f"most specific for {', '.join(decided)}" if decided else "takes every connection"
    return remaining[0], None, Step(stage=Stage.FILTER_CHAIN, chosen=remaining[0].name, reason=reason)


def _otherwise(listener: Any, reason: str) -> tuple[Any, Failure | None, Step]:
    if listener.HasField("default_filter_chain"):
        rest = listener.default_filter_chain
        return rest, None, Step(stage=Stage.FILTER_CHAIN, chosen=rest.name, reason=f"{reason}; this one is for all the rest")
    return None, Failure.NO_FILTER_CHAIN, Step(stage=Stage.FILTER_CHAIN, chosen="", reason=f"{reason}; the connection is closed")


def _port(match: Any, connection: Connection) -> Rank | None:
    if not match.HasField("destination_port"):
        return _UNASKED
    return (1,) if match.destination_port.value == connection.port else None


def _address(match: Any, connection: Connection) -> Rank | None:
    return _block(match.prefix_ranges, connection.address)


def _block(blocks: Iterable[Any], address: str) -> Rank | None:
    """The length of the longest block that holds the address, plus one."""
    given = list(blocks)
    if not given:
        return _UNASKED
    if not address:
        return None
    place = ipaddress.ip_address(address)
    networks = (ipaddress.ip_network(f"{block.address_prefix}/{block.prefix_len.value}", strict=False) for block in given)
    lengths: list[int] = [network.prefixlen for network in networks if network.version == place.version and place in network]
    if not lengths:
        return None
    return (max(lengths),)


def _server_name(match: Any, connection: Connection) -> Rank | None:
    if not match.server_names:
        return _UNASKED
    best: Rank | None = None
    for name in (item.lower() for item in match.server_names):
        if name == connection.server_name:
            best = max(best or _UNASKED, (2, len(name)))
        elif name.startswith("*.") and connection.server_name.endswith(name[1:]) and len(connection.server_name) > len(name) - 1:
            best = max(best or _UNASKED, (1, len(name)))
    return best


def _transport(match: Any, connection: Connection) -> Rank | None:
    if not match.transport_protocol:
        return _UNASKED
    return (1,) if match.transport_protocol == connection.transport else None


def _protocol(match: Any, connection: Connection) -> Rank | None:
    """What the client names first counts most."""
    if not match.application_protocols:
        return _UNASKED
    places = [index for index, name in enumerate(connection.protocols) if name in match.application_protocols]
    return (len(connection.protocols) - min(places),) if places else None


def _source_type(match: Any, connection: Connection) -> Rank | None:
    if match.source_type == _Match.ANY:
        return _UNASKED
    local = not connection.source_ip or connection.source_ip == connection.address or ipaddress.ip_address(connection.source_ip).is_loopback
    return (1,) if local == (match.source_type == _Match.SAME_IP_OR_LOOPBACK) else None


def _source_port(match: Any, _connection: Connection) -> Rank | None:
    """The port of a client is not foreseeable."""
    return None if match.source_ports else _UNASKED


_QUESTIONS: tuple[tuple[str, Callable[[Connection], str], Question], ...] = (
    ("destination port", lambda connection: str(connection.port), _port),
    ("destination address", lambda connection: connection.address or "(any)", _address),
    ("server name", lambda connection: connection.server_name or "(none)", _server_name),
    ("transport", lambda connection: connection.transport, _transport),
    ("application protocol", lambda connection: ", ".join(connection.protocols) or "(none)", _protocol),
    (
        "direct source address",
        lambda connection: connection.source_ip or "(any)",
        lambda match, connection: _block(match.direct_source_prefix_ranges, connection.source_ip),
    ),
    ("kind of source", lambda connection: connection.source_ip or "(any)", _source_type),
    ("source address", lambda connection: connection.source_ip or "(any)", lambda match, connection: _block(match.source_prefix_ranges, connection.source_ip)),
    ("source port", lambda _connection: "(any)", _source_port),
)
