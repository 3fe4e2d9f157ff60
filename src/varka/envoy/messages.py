"""Short ways to build the small messages that every Envoy resource is made of, and to turn a resource into bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, extension_pb2, socket_option_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2
from google.protobuf import any_pb2, duration_pb2, struct_pb2, wrappers_pb2

from varka.base import wire
from varka.envoy import names
from varka.model.traffic import MatchKind, StringMatch

TYPE_PREFIX = "type.googleapis.com/"
CLUSTER = TYPE_PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT = TYPE_PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = TYPE_PREFIX + "envoy.config.listener.v3.Listener"
ROUTE = TYPE_PREFIX + "envoy.config.route.v3.RouteConfiguration"
SECRET = TYPE_PREFIX + "envoy.extensions.transport_sockets.tls.v3.Secret"

TRUE = wrappers_pb2.BoolValue(value=True)
FALSE = wrappers_pb2.BoolValue(value=False)
NO_TIME = duration_pb2.Duration()
MAX_UINT32 = 4294967295


def resource(name: str, message: Any) -> wire.WireResource:
    """The message as a resource of its type."""
    return wire.WireResource(name=name, type_url=TYPE_PREFIX + message.DESCRIPTOR.full_name, body=message.SerializeToString(deterministic=True))


def packed(message: Any) -> Any:
    """The message in a `google.protobuf.Any`, serialised repeatably."""
    return any_pb2.Any(type_url=TYPE_PREFIX + message.DESCRIPTOR.full_name, value=message.SerializeToString(deterministic=True))


def extension(name: str, message: Any) -> Any:
    """The message under a name, as extension points that are no filters take it."""
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(message))


def duration(seconds: float) -> Any:
    """Seconds, fractions included."""
    whole = int(seconds)
    return duration_pb2.Duration(seconds=whole, nanos=round((seconds - whole) * 1e9))


def uint32(value: int) -> Any:
    """A number where Envoy tells zero from absent."""
    return wrappers_pb2.UInt32Value(value=value)


def boolean(value: bool) -> Any:
    """A truth value where Envoy tells false from absent."""
    return TRUE if value else FALSE


def address(host: str, port: int) -> Any:
    """An IP or DNS name with a port, or `unix://` and a path."""
    if host.startswith("unix://"):
        return address_pb2.Address(pipe=address_pb2.Pipe(path=host.removeprefix("unix://")))
    return address_pb2.Address(socket_address=address_pb2.SocketAddress(address=host, port_value=port))


def cidr(block: str) -> Any:
    """`10.0.0.0/8`, or an address by itself."""
    prefix, slash, length = block.partition("/")
    full = 128 if ":" in prefix else 32
    return address_pb2.CidrRange(address_prefix=prefix, prefix_len=uint32(int(length) if slash else full))


def struct(fields: Mapping[str, object]) -> Any:
    """Nested values as a protobuf Struct, keys in order."""
    return struct_pb2.Struct(fields={key: _value(fields[key]) for key in sorted(fields)})


def _value(value: object) -> Any:
    if isinstance(value, str):
        return struct_pb2.Value(string_value=value)
    if isinstance(value, bool):
        return struct_pb2.Value(bool_value=value)
    if isinstance(value, int | float):
        return struct_pb2.Value(number_value=value)
    if isinstance(value, Mapping):
        return struct_pb2.Value(struct_value=struct(value))
    if isinstance(value, list | tuple):
        return struct_pb2.Value(list_value=struct_pb2.ListValue(values=[_value(item) for item in value]))
    raise TypeError(f"no metadata value: {value!r}")


def metadata(**filters: Mapping[str, object]) -> Any:
    """Metadata of a cluster, route or endpoint, by the name of who reads it."""
    return base_pb2.Metadata(filter_metadata={name: struct(fields) for name, fields in sorted(filters.items())})


def regex(pattern: str) -> Any:
    """A pattern that must match the whole value."""
    return regex_pb2.RegexMatcher(regex=pattern)


def string_matcher(match: StringMatch, ignore_case: bool = False) -> Any:
    """Regular expressions must match the whole value, as Envoy and Istio have it."""
    if match.kind is MatchKind.EXACT:
        return string_pb2.StringMatcher(exact=match.value, ignore_case=ignore_case)
    if match.kind is MatchKind.PREFIX:
        return string_pb2.StringMatcher(prefix=match.value, ignore_case=ignore_case)
    return string_pb2.StringMatcher(safe_regex=regex(match.value))


ADS = config_source_pb2.ConfigSource(
    ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.ApiVersion.V3, initial_fetch_timeout=NO_TIME
)
"""Configuration from the stream that is there already; waits for it without an end, since a guess would be insecure."""

MARK_OPTION = socket_option_pb2.SocketOption(
    level=names.SOL_SOCKET, name=names.SO_MARK, int_value=names.MARK, state=socket_option_pb2.SocketOption.STATE_PREBIND
)
INBOUND_BIND = address_pb2.BindConfig(source_address=address_pb2.SocketAddress(address=names.INBOUND_SOURCE, port_value=0), socket_options=[MARK_OPTION])
"""A bind configuration on a cluster replaces the one of the bootstrap, so the mark must be on it too."""
