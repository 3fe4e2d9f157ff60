"""A patch's value: JSON in, one of Envoy's messages out, or the reason why not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from envoy.config.bootstrap.v3 import bootstrap_pb2
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.listener.v3 import listener_components_pb2, listener_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import any_pb2, json_format
from google.protobuf import message as protobuf_message
from msgspec import Struct

from varka.envoy import memo, messages
from varka.envoy.patching import message_types
from varka.model.patches import Patch, Place

MESSAGES: dict[Place, Any] = {
    Place.LISTENER: listener_pb2.Listener,
    Place.LISTENER_FILTER: listener_components_pb2.ListenerFilter,
    Place.FILTER_CHAIN: listener_components_pb2.FilterChain,
    Place.NETWORK_FILTER: listener_components_pb2.Filter,
    Place.HTTP_FILTER: http_connection_manager_pb2.HttpFilter,
    Place.ROUTE_CONFIGURATION: route_pb2.RouteConfiguration,
    Place.VIRTUAL_HOST: route_components_pb2.VirtualHost,
    Place.HTTP_ROUTE: route_components_pb2.Route,
    Place.CLUSTER: cluster_pb2.Cluster,
    Place.EXTENSION_CONFIG: extension_pb2.TypedExtensionConfig,
    Place.BOOTSTRAP: bootstrap_pb2.Bootstrap,
}
TYPED_STRUCTS = frozenset({"udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"})
DEPTH = 40


class Unusable(ValueError):
    """The value is no message of the wanted type; the text says why."""


class Value(Struct, frozen=True, kw_only=True):
    """The message, and what was left out of it: fields that Envoy does not know."""

    message: Any
    ignored: str = ""


_values: memo.Memo[Value | Unusable] = memo.Memo(2048)


def of(patch: Patch) -> Value:
    """The patch's value as a message that must not be changed; Unusable when there is none."""
    found = _values.get((patch,), None, lambda: _read(patch))
    if isinstance(found, Unusable):
        raise found
    return found


def _read(patch: Patch) -> Value | Unusable:
    try:
        return parse(json.loads(patch.value), MESSAGES[patch.place])
    except Unusable as problem:
        return problem


def parse(value: object, kind: Any) -> Value:
    """Read plain values as a message; fields that the message does not have are left out and named."""
    if not isinstance(value, dict):
        raise Unusable(f"must be an object with the fields of {kind.DESCRIPTOR.full_name}")
    plain = _prepared(value, 0)
    try:
        return Value(message=_message(plain, kind, strict=True))
    except Unusable as strict:
        return Value(message=_message(plain, kind, strict=False), ignored=str(strict))


def _message(value: dict[str, Any], kind: Any, *, strict: bool) -> Any:
    try:
        return json_format.ParseDict(value, kind(), ignore_unknown_fields=not strict)
    except json_format.ParseError as problem:
        raise Unusable(_shortened(str(problem))) from problem
    except (TypeError, ValueError, AttributeError, KeyError, RecursionError, OverflowError) as problem:
        raise Unusable(_shortened(f"cannot be read as {kind.DESCRIPTOR.full_name}: {problem}")) from problem


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 300 else line[:300] + " …"


def _prepared(value: Any, depth: int) -> Any:
    """Import what `@type` names, and put the real message in the place of a TypedStruct, so that mistakes in it are seen."""
    if depth > DEPTH:
        raise Unusable("is nested too deeply")
    if isinstance(value, list):
        return [_prepared(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    url = value.get("@type")
    if url is None:
        return {key: _prepared(item, depth + 1) for key, item in value.items()}
    name = message_types.full_name(str(url))
    if message_types.find(name) is None:
        raise Unusable(f"@type {url!r} is no message that Envoy knows")
    if name in TYPED_STRUCTS:
        return _unwrapped(value, depth)
    return {key: item if key == "@type" else _prepared(item, depth + 1) for key, item in value.items()}


def is_typed_struct(value: dict[str, Any]) -> bool:
    """Whether plain values are those of a TypedStruct."""
    return message_types.full_name(str(value.get("@type", ""))) in TYPED_STRUCTS


def _unwrapped(value: dict[str, Any], depth: int) -> dict[str, Any]:
    inner = value.get("type_url", value.get("typeUrl"))
    fields = value.get("value", {})
    if not isinstance(inner, str) or not inner:
        raise Unusable("a TypedStruct needs type_url")
    if not isinstance(fields, dict):
        raise Unusable("the value of a TypedStruct must be an object")
    if message_types.find(message_types.full_name(inner)) is None:
        raise Unusable(f"type_url {inner!r} is no message that Envoy knows")
    return {"@type": messages.TYPE_PREFIX + message_types.full_name(inner), **{key: _prepared(item, depth + 1) for key, item in fields.items()}}


def unpacked(typed: Any) -> Any:
    """The message in an Any; None when its type is not known or its bytes are not of that type."""
    kind = message_types.find(message_types.full_name(typed.type_url))
    if kind is None:
        return None
    result = kind()
    try:
        result.ParseFromString(typed.value)
    except protobuf_message.DecodeError:
        return None
    return result


def submessages(message: Any) -> Iterator[tuple[str, Any]]:
    """The messages directly inside of one, Anys opened, with the names of their fields."""
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                yield from ((f"{field.name}[{key}]", value[key]) for key in sorted(value, key=str))
        elif field.is_repeated:
            yield from ((f"{field.name}[{index}]", item) for index, item in enumerate(value))
        else:
            yield field.name, value


def opened(message: Any) -> Any:
    """The message itself, or what is in it when it is an Any; None for an Any that nobody can read."""
    return unpacked(message) if isinstance(message, any_pb2.Any) else message


def message_name(typed: Any) -> str:
    """The full name of the message in an Any."""
    return message_types.full_name(typed.type_url)
