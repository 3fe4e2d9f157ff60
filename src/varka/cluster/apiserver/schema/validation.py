"""Checking a custom resource against its CRD's OpenAPI schema, with the messages of Kubernetes' validator."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from varka.base import clock
from varka.cluster.apiserver import errors
from varka.cluster.apiserver.errors import Cause
from varka.cluster.apiserver.schema import cel
from varka.cluster.apiserver.schema.nodes import Node

_TYPES: dict[str, Any] = {"string": str, "boolean": bool, "list": list, "object": dict, "map": dict}
_JSON_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object", type(None): "null"}


def validate(root: Node, obj: Any, old: Any = None) -> list[Cause]:
    """Everything that is wrong with an object; CEL rules run only when the types are right."""
    causes: list[Cause] = []
    for key, node in root.properties.items():
        if key in obj and key not in ("metadata", "apiVersion", "kind"):
            _check(node, obj[key], key, causes)
    causes += [errors.required(key) for key in root.required if key not in obj]
    if root.raw:
        _combine(root.raw, obj, "", causes)
    return causes or cel.check(root, obj, old)


@lru_cache(maxsize=2048)
def _pattern(text: str) -> re.Pattern[str] | None:
    try:
        return re.compile(re.sub(r"\\z", r"\\Z", text))
    except re.error:
        return None


def _type_matches(node: Node, value: Any) -> bool:
    kind = node.type
    if kind == "any":
        return True
    if kind == "int-or-string":
        return isinstance(value, str | int) and not isinstance(value, bool)
    if kind == "integer":
        return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, _TYPES[kind])


def _check(node: Node, value: Any, path: str, causes: list[Cause]) -> None:
    if value is None and (node.nullable or node.type == "any"):
        return
    if not _type_matches(node, value):
        wanted = {"list": "array", "map": "object", "int-or-string": "integer,string"}.get(node.type, node.type)
        given = _JSON_NAMES[type(value)]
        causes.append(errors.type_invalid(path, given, f'{path} in body must be of type {wanted}: "{given}"'))
        return
    raw = node.raw
    if raw:
        _limits(raw, value, path, causes)
        _combine(raw, value, path, causes)
    if isinstance(value, dict):
        _members(node, value, path, causes)
    elif isinstance(value, list):
        inner = node.element()
        if inner.type != "any" or inner.raw:
            for position, item in enumerate(value):
                _check(inner, item, f"{path}[{position}]", causes)
        _list_keys(node, value, path, causes)


def _members(node: Node, value: dict[str, Any], path: str, causes: list[Cause]) -> None:
    causes.extend(errors.required(f"{path}.{key}") for key in node.required if key not in value)
    for key, item in value.items():
        inner = node.properties.get(key) or node.values
        if inner is not None:
            _check(inner, item, f"{path}.{key}", causes)


def _list_keys(node: Node, value: list[Any], path: str, causes: list[Cause]) -> None:
    if node.list_type not in ("set", "map"):
        return
    seen: set[str] = set()
    for position, item in enumerate(value):
        shown = item if node.list_type == "set" else {key: item.get(key, node.key_defaults.get(key)) for key in node.list_keys if isinstance(item, dict)}
        text = errors.show(shown)
        if text in seen:
            causes.append(errors.duplicate(f"{path}[{position}]", shown))
        seen.add(text)


def _limits(raw: dict[str, Any], value: Any, path: str, causes: list[Cause]) -> None:
    if "enum" in raw and value not in raw["enum"]:
        causes.append(errors.not_supported(path, value, raw["enum"]))
    if isinstance(value, str):
        _string_limits(raw, value, path, causes)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        _number_limits(raw, value, path, causes)
    elif isinstance(value, list):
        if "maxItems" in raw and len(value) > raw["maxItems"]:
            causes.append(Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {raw['maxItems']} items"))
        if "minItems" in raw and len(value) < raw["minItems"]:
            causes.append(errors.invalid(path, len(value), f"{path} in body should have at least {raw['minItems']} items"))
        if raw.get("uniqueItems") and len({errors.show(item) for item in value}) != len(value):
            causes.append(errors.invalid(path, value, f"{path} in body shouldn't contain duplicates"))
    elif isinstance(value, dict):
        if "maxProperties" in raw and len(value) > raw["maxProperties"]:
            causes.append(Cause(path, "FieldValueTooMany", f"Too many: {len(value)}: must have at most {raw['maxProperties']} items"))
        if "minProperties" in raw and len(value) < raw["minProperties"]:
            causes.append(errors.invalid(path, len(value), f"{path} in body should have at least {raw['minProperties']} properties"))


def _string_limits(raw: dict[str, Any], value: str, path: str, causes: list[Cause]) -> None:
    if "maxLength" in raw and len(value) > raw["maxLength"]:
        causes.append(Cause(path, "FieldValueTooLong", f"Too long: may not be more than {raw['maxLength']} bytes"))
    if "minLength" in raw and len(value) < raw["minLength"]:
        causes.append(errors.invalid(path, value, f"{path} in body should be at least {raw['minLength']} chars long"))
    if "pattern" in raw and (pattern := _pattern(raw["pattern"])) is not None and not pattern.search(value):
        causes.append(errors.invalid(path, value, f"{path} in body should match '{raw['pattern']}'"))
    name = raw.get("format", "")
    if name and not _format_ok(name, value):
        causes.append(errors.invalid(path, value, f"{path} in body must be of type {name}: {errors.show(value)}"))


def _number_limits(raw: dict[str, Any], value: float, path: str, causes: list[Cause]) -> None:
    if "minimum" in raw and (value < raw["minimum"] or (raw.get("exclusiveMinimum") and value == raw["minimum"])):
        word = "greater than" if raw.get("exclusiveMinimum") else "greater than or equal to"
        causes.append(errors.invalid(path, value, f"{path} in body should be {word} {_number(raw['minimum'])}"))
    if "maximum" in raw and (value > raw["maximum"] or (raw.get("exclusiveMaximum") and value == raw["maximum"])):
        word = "less than" if raw.get("exclusiveMaximum") else "less than or equal to"
        causes.append(errors.invalid(path, value, f"{path} in body should be {word} {_number(raw['maximum'])}"))
    if raw.get("multipleOf") and value % raw["multipleOf"]:
        causes.append(errors.invalid(path, value, f"{path} in body should be a multiple of {_number(raw['multipleOf'])}"))
    if raw.get("format") == "int32" and not -(2**31) <= value < 2**31:
        causes.append(errors.invalid(path, value, f"{path} in body must be of type int32: {errors.show(str(value))}"))


def _number(value: float) -> str:
    return str(int(value)) if float(value).is_integer() else str(value)


def _format_ok(name: str, value: str) -> bool:
    try:
        if name == "date-time":
            clock.parse_rfc3339(value)
        elif name == "ipv4":
            ipaddress.IPv4Address(value)
        elif name == "ipv6":
            ipaddress.IPv6Address(value)
        elif name == "cidr":
            ipaddress.ip_network(value, strict=False)
        elif name == "uri":
            return bool(urlsplit(value).scheme)
        elif name == "duration":
            return bool(re.fullmatch(r"([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+", value))
    except ValueError:
        return False
    return True


def _matches(schema: dict[str, Any], value: Any) -> bool:
    """Whether a value satisfies one of the value validations inside oneOf, anyOf, allOf or not."""
    causes: list[Cause] = []
    _limits(schema, value, "", causes)
    if causes:
        return False
    if isinstance(value, dict):
        if any(key not in value for key in schema.get("required", ())):
            return False
        if any(key in value and not _matches(inner, value[key]) for key, inner in schema.get("properties", {}).items()):
            return False
    if isinstance(value, list) and isinstance(schema.get("items"), dict) and not all(_matches(schema["items"], item) for item in value):
        return False
    kind = schema.get("type")
    if kind and not _type_matches(Node({"array": "list"}.get(kind, kind)), value):
        return False
    _combine(schema, value, "", causes)
    return not causes


def _combine(raw: dict[str, Any], value: Any, path: str, causes: list[Cause]) -> None:
    if "oneOf" in raw:
        hits = sum(_matches(schema, value) for schema in raw["oneOf"])
        if hits != 1:
            found = "Found none valid" if not hits else f"Found {hits} valid alternatives"
            causes.append(errors.invalid(path or "<nil>", _shown(value), f'"{path}" must validate one and only one schema (oneOf). {found}'))
    if "anyOf" in raw and not any(_matches(schema, value) for schema in raw["anyOf"]):
        causes.append(errors.invalid(path or "<nil>", _shown(value), f'"{path}" must validate at least one schema (anyOf)'))
    if "allOf" in raw and not all(_matches(schema, value) for schema in raw["allOf"]):
        causes.append(errors.invalid(path or "<nil>", _shown(value), f'"{path}" must validate all the schemas (allOf)'))
    if "not" in raw and _matches(raw["not"], value):
        causes.append(errors.invalid(path or "<nil>", _shown(value), f'"{path}" must not validate the schema (not)'))


def _shown(value: Any) -> Any:
    return "" if isinstance(value, dict | list) else value
