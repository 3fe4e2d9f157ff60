"""Who a token says the caller is: `issuer/subject`, matched against the two claims that it is made of.

Envoy keeps the claims apart. A pattern is parted at its last slash, as in Istio: an issuer is often a URL.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.rbac.v3 import rbac_pb2
from envoy.type.matcher.v3 import metadata_pb2, string_pb2, value_pb2

from varka.envoy import messages

Principal = rbac_pb2.Principal
ANY = string_pb2.StringMatcher(safe_regex=messages.regex(".+"))


def matcher(patterns: Iterable[str]) -> Any:
    """A principal for any of several `issuer/subject`, with Istio's `*` forms."""
    choices = [_pair(issuer, subject) for issuer, subject in map(_claims, patterns)]
    return choices[0] if len(choices) == 1 else Principal(or_ids=Principal.Set(ids=choices))


def _claims(pattern: str) -> tuple[Any, Any]:
    issuer, slash, subject = pattern.rpartition("/")
    if not slash:
        issuer, subject = pattern, ""
    if pattern == "*":
        return ANY, ANY
    if pattern.startswith("*"):
        if not slash:
            return ANY, string_pb2.StringMatcher(suffix=pattern[1:])
        return ANY if issuer == "*" else string_pb2.StringMatcher(suffix=issuer[1:]), _exact(subject)
    if pattern.endswith("*"):
        if not slash:
            return string_pb2.StringMatcher(prefix=pattern[:-1]), ANY
        return _exact(issuer), ANY if subject == "*" else string_pb2.StringMatcher(prefix=subject[:-1])
    return _exact(issuer), _exact(subject)


def _exact(value: str) -> Any:
    return string_pb2.StringMatcher(exact=value)


def _pair(issuer: Any, subject: Any) -> Any:
    return Principal(and_ids=Principal.Set(ids=[_claim("iss", issuer), _claim("sub", subject)]))


def _claim(name: str, value: Any) -> Any:
    segments = [metadata_pb2.MetadataMatcher.PathSegment(key=key) for key in ("payload", name)]
    return Principal(
        metadata=metadata_pb2.MetadataMatcher(filter="envoy.filters.http.jwt_authn", path=segments, value=value_pb2.ValueMatcher(string_match=value))
    )
