"""What Envoy demands of a message beyond its types: the validation rules that Envoy's own definitions carry.

Envoy refuses a whole resource for one field that breaks a rule, so a patch that would lead to that is not used.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

from validate import validate_pb2

from varka.envoy.patching import values

_NUMBERS = ("float", "double", "int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64")
_WRAPPERS = "google.protobuf."
DEPTH = 60
_Comparison = Callable[[Any, Any], bool]
_COMPARISONS: tuple[tuple[str, str, _Comparison], ...] = (
    ("gt", "more than", operator.gt),
    ("gte", "at least", operator.ge),
    ("lt", "less than", operator.lt),
    ("lte", "at most", operator.le),
    ("const", "exactly", operator.eq),
)


def broken(message: Any) -> str:
    """The first rule that a message or one inside of it breaks, in words; empty when Envoy would take it."""
    return next(_check(message, "", 0), "")


def newly_broken(before: Any, after: Any) -> str:
    """The first rule that `after` breaks and `before` does not: what was there already is not the patch's doing."""
    known: frozenset[str] | None = None
    for reason in _check(after, "", 0):
        known = frozenset(_check(before, "", 0)) if known is None else known
        if reason not in known:
            return reason
    return ""


def _check(message: Any, path: str, depth: int) -> Iterator[str]:
    if depth > DEPTH:
        yield f"{path or 'the value'} is nested too deeply"
        return
    descriptor = message.DESCRIPTOR
    for group in descriptor.oneofs:
        if group.GetOptions().Extensions[validate_pb2.required] and message.WhichOneof(group.name) is None:
            names = ", ".join(field.name for field in group.fields)
            yield f"{path or descriptor.name} needs one of {names}"
    for field in descriptor.fields:
        if field.GetOptions().HasExtension(validate_pb2.rules):
            yield from _field(message, field, field.GetOptions().Extensions[validate_pb2.rules], f"{path}.{field.name}".lstrip("."))
    for name, inner in values.submessages(message):
        real = values.opened(inner)
        if real is not None:
            yield from _check(real, f"{path}.{name}".lstrip("."), depth + 1)


def _field(message: Any, field: Any, rules: Any, path: str) -> Iterator[str]:
    if field.is_repeated:
        yield from _repeated(getattr(message, field.name), field, rules, path)
        return
    present = not field.has_presence or message.HasField(field.name)
    kind = rules.WhichOneof("type")
    if not present and field.containing_oneof is not None:
        return
    if field.message_type is not None:
        required = rules.message.required or (kind in {"any", "duration", "timestamp"} and getattr(rules, kind).required)
        if required and not present:
            yield f"{path} is required"
        if not present:
            return
        value = getattr(message, field.name)
        if kind == "duration":
            yield from _duration(value, rules.duration, path)
        elif kind is not None and field.message_type.full_name.startswith(_WRAPPERS) and "value" in field.message_type.fields_by_name:
            yield from _scalar(value.value, None, rules, kind, path)
        return
    if kind is not None:
        yield from _scalar(getattr(message, field.name), field, rules, kind, path)


def _repeated(items: Any, field: Any, rules: Any, path: str) -> Iterator[str]:
    if rules.WhichOneof("type") == "map":
        given = rules.map
        if given.HasField("min_pairs") and len(items) < given.min_pairs:
            yield f"{path} needs at least {given.min_pairs} entries"
        return
    given = rules.repeated
    if given.HasField("min_items") and len(items) < given.min_items:
        yield f"{path} needs at least {given.min_items} item{'s' if given.min_items != 1 else ''}"
    if given.HasField("max_items") and len(items) > given.max_items:
        yield f"{path} takes at most {given.max_items} items"
    inner = given.items.WhichOneof("type")
    if inner is None or field.message_type is not None:
        return
    for index, item in enumerate(items):
        yield from _scalar(item, field, given.items, inner, f"{path}[{index}]")


def _scalar(value: Any, field: Any, rules: Any, kind: str, path: str) -> Iterator[str]:
    given = getattr(rules, kind)
    if kind in _NUMBERS:
        if not (given.HasField("ignore_empty") and given.ignore_empty and not value):
            yield from _bounds(value, given, path)
    elif kind in {"string", "bytes"}:
        yield from _text(value, given, path)
    elif kind == "enum":
        if given.defined_only and field is not None and field.enum_type is not None and value not in field.enum_type.values_by_number:
            yield f"{path} is no value of {field.enum_type.name}"
        if value in given.not_in:
            yield f"{path} may not be {value}"
    elif kind == "bool" and given.HasField("const") and value != given.const:
        yield f"{path} must be {str(given.const).lower()}"


def _bounds(value: Any, given: Any, path: str) -> Iterator[str]:
    for name, words, holds in _COMPARISONS:
        if given.HasField(name) and not holds(value, getattr(given, name)):
            yield f"{path} must be {words} {getattr(given, name)}, not {value}"


def _text(value: str | bytes, given: Any, path: str) -> Iterator[str]:
    if given.HasField("ignore_empty") and given.ignore_empty and not value:
        return
    size = len(value)
    for bound in ("min_len", "min_bytes"):
        if bound in given.DESCRIPTOR.fields_by_name and given.HasField(bound) and size < getattr(given, bound):
            yield f"{path} may not be empty" if getattr(given, bound) == 1 else f"{path} must have at least {getattr(given, bound)} characters"
    for bound in ("max_len", "max_bytes"):
        if bound in given.DESCRIPTOR.fields_by_name and given.HasField(bound) and size > getattr(given, bound):
            yield f"{path} may have at most {getattr(given, bound)} characters"
    if isinstance(value, str) and given.HasField("prefix") and not value.startswith(given.prefix):
        yield f"{path} must begin with {given.prefix!r}"
    if isinstance(value, str) and getattr(given, "in") and value not in getattr(given, "in"):
        yield f"{path} must be one of {', '.join(getattr(given, 'in'))}"


def _duration(value: Any, given: Any, path: str) -> Iterator[str]:
    total = value.seconds + value.nanos / 1e9
    for name, words, holds in _COMPARISONS[:4]:
        if given.HasField(name):
            bound = getattr(given, name).seconds + getattr(given, name).nanos / 1e9
            if not holds(total, bound):
                yield f"{path} must be {words} {bound:g}s"
