"""Envoy's conditions on texts: string matchers, headers and query parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from varka.base import regexes


def text(matcher: Any, value: str) -> bool:
    """Whether a StringMatcher holds."""
    kind = matcher.WhichOneof("match_pattern")
    if kind == "safe_regex":
        return regexes.full_match(matcher.safe_regex.regex, value)
    if kind is None or kind == "custom":
        return False
    wanted = str(getattr(matcher, kind))
    if matcher.ignore_case:
        wanted, value = wanted.lower(), value.lower()
    return {"exact": value == wanted, "prefix": value.startswith(wanted), "suffix": value.endswith(wanted), "contains": wanted in value}[kind]


def header(matcher: Any, headers: Mapping[str, str]) -> bool:
    """Whether a HeaderMatcher holds; names of `headers` are in lower case."""
    value = headers.get(matcher.name.lower())
    kind = matcher.WhichOneof("header_match_specifier")
    if kind is None or kind == "present_match":
        present = value is not None or matcher.treat_missing_header_as_empty
        wanted = matcher.present_match if kind else True
        return bool((present == wanted) != matcher.invert_match)
    if value is None:
        if not matcher.treat_missing_header_as_empty:
            return False
        value = ""
    return _value(matcher, kind, value) != bool(matcher.invert_match)


def _value(matcher: Any, kind: str, value: str) -> bool:
    if kind == "string_match":
        return text(matcher.string_match, value)
    if kind == "range_match":
        digits = value.removeprefix("-")
        return digits.isdecimal() and matcher.range_match.start <= int(value) < matcher.range_match.end
    if kind == "safe_regex_match":
        return regexes.full_match(matcher.safe_regex_match.regex, value)
    wanted = str(getattr(matcher, kind))
    return {
        "exact_match": value == wanted,
        "prefix_match": value.startswith(wanted),
        "suffix_match": value.endswith(wanted),
        "contains_match": wanted in value,
    }[kind]


def query(path: str) -> dict[str, str]:
    """The first value of each query parameter, as it is written."""
    found: dict[str, str] = {}
    for part in path.partition("?")[2].partition("#")[0].split("&"):
        name, _, value = part.partition("=")
        if name:
            found.setdefault(name, value)
    return found


def parameter(matcher: Any, values: Mapping[str, str]) -> bool:
    """Whether a QueryParameterMatcher holds."""
    value = values.get(matcher.name)
    kind = matcher.WhichOneof("query_parameter_match_specifier")
    if kind == "string_match":
        return value is not None and text(matcher.string_match, value)
    wanted = matcher.present_match if kind == "present_match" else True
    return bool((value is not None) == wanted)


def metadata(matcher: Any, values: Mapping[str, Any]) -> bool:
    """Whether a MetadataMatcher holds for the metadata of all filters."""
    value: Any = values.get(matcher.filter)
    for segment in matcher.path:
        value = value.get(segment.key) if isinstance(value, Mapping) else None
    return _metadata_value(matcher.value, value) != bool(matcher.invert)


def _metadata_value(matcher: Any, value: Any) -> bool:
    kind = matcher.WhichOneof("match_pattern")
    if kind == "present_match":
        return bool((value is not None) == matcher.present_match)
    if kind == "string_match":
        return isinstance(value, str) and text(matcher.string_match, value)
    if kind == "bool_match":
        return isinstance(value, bool) and value == matcher.bool_match
    if kind == "list_match":
        return isinstance(value, list | tuple) and any(_metadata_value(matcher.list_match.one_of, item) for item in value)
    if kind == "or_match":
        return any(_metadata_value(item, value) for item in matcher.or_match.value_matchers)
    if kind == "null_match":
        return value is None
    if kind == "double_match" and isinstance(value, int | float) and not isinstance(value, bool):
        wanted = matcher.double_match
        return bool(value == wanted.exact if wanted.HasField("exact") else wanted.range.start <= value < wanted.range.end)
    return False
