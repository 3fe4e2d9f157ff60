"""Who a token says the caller is: `issuer/subject`, matched against the two claims that it is made of.

Envoy keeps the claims apart, and both may contain a slash, so a pattern is tried at every slash it has.
"""

from __future__ import annotations

from typing import Any

from envoy.config.rbac.v3 import rbac_pb2
from envoy.type.matcher.v3 import metadata_pb2, string_pb2, value_pb2

from varka.envoy import messages

Principal = rbac_pb2.Principal
ANY = string_pb2.StringMatcher(safe_regex=messages.regex(".+"))


def matcher(pattern: str) -> Any:
    """A principal for `issuer/subject`, with Istio's `*` forms."""
    if pattern == "*":
        return _pair(ANY, ANY)
    if pattern.endswith("*"):
        stem = pattern[:-1]
        choices = [_pair(string_pb2.StringMatcher(prefix=stem), ANY)] if stem else []
        choices += [_pair(_exact(left), string_pb2.StringMatcher(prefix=right) if right else ANY) for left, right in _splits(stem)]
    elif pattern.startswith("*"):
        stem = pattern[1:]
        choices = [_pair(ANY, string_pb2.StringMatcher(suffix=stem))]
        choices += [_pair(string_pb2.StringMatcher(suffix=left) if left else ANY, _exact(right)) for left, right in _splits(stem)]
    else:
        choices = [_pair(_exact(left), _exact(right)) for left, right in _splits(pattern)]
    if not choices:
        return Principal(not_id=Principal(any=True))
    return choices[0] if len(choices) == 1 else Principal(or_ids=Principal.Set(ids=choices))


def _splits(value: str) -> list[tuple[str, str]]:
    return [(value[:index], value[index + 1 :]) for index, letter in enumerate(value) if letter == "/"]


def _exact(value: str) -> Any:
    return string_pb2.StringMatcher(exact=value)


def _pair(issuer: Any, subject: Any) -> Any:
    return Principal(and_ids=Principal.Set(ids=[_claim("iss", issuer), _claim("sub", subject)]))


def _claim(name: str, value: Any) -> Any:
    segments = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in ("payload", name)]
    return Principal(
        metadata=metadata_pb2.MetadataMatcher(filter="envoy.filters.http.jwt_authn", path=segments, value=value_pb2.ValueMatcher(string_match=value))
    )
