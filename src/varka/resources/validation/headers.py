"""Names and values of HTTP headers: what may be matched, set, appended and removed, and the placeholders in a value.

A value is text with placeholders of Envoy's formatter, `%REQ(x-id)%`; a percent sign that is meant literally is doubled.
"""

from __future__ import annotations

import re

from varka.resources.traffic import virtual_services as written
from varka.resources.validation.findings import Findings

NAME = re.compile(r"[-_A-Za-z0-9]+")
"""What may be matched, and named to browsers."""
_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_CLAIM = re.compile(r"@request\.auth\.claims(\..+|\[.+\])")
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_PLACEHOLDER = re.compile(r'%%|%[^%(]+(\( *(\[ *"([^"\\]|\\.)*" *(, *"([^"\\]|\\.)*" *)*\] *|([^)\\\[ ]([^)\\]|\\.)*)?)\) *)?%')
_AUTHORITY = {":authority", "host"}


def is_claim(name: str) -> bool:
    """Whether a match on a header is one on a claim of the request's token."""
    return _CLAIM.fullmatch(name) is not None


def check_matched(name: str, path: str, found: Findings) -> None:
    """Check the name of a header that a rule matches on."""
    if not NAME.fullmatch(name) and not is_claim(name):
        found.error(path, f"header name {name!r} is not a valid header name; write letters, digits, '-' and '_', or a claim as @request.auth.claims.name")


def check_operations(given: written.Headers | None, path: str, found: Findings) -> None:
    """Check what is set, appended and removed, in requests and in responses."""
    if given is None:
        return
    for side, operations in (("request", given.request), ("response", given.response)):
        if operations is None:
            continue
        for kind, values in (("set", operations.set), ("add", operations.add)):
            for name, value in values.items():
                where = f"{path}.{side}.{kind}[{name}]"
                _check_changed(name, where, side == "request", found)
                _check_value(value, where, found)
        for name in operations.remove:
            _check_changed(name, f"{path}.{side}.remove[{name}]", False, found)


def check_authority(rewrite: written.HttpRewrite | None, given: written.Headers | None, path: str, found: Findings) -> None:
    """Check that the authority of a request gets one new value at the most."""
    request = given.request if given is not None else None
    names = (*request.set, *request.add) if request is not None else ()
    places = sum(name.lower() in _AUTHORITY for name in names) + bool(rewrite is not None and rewrite.authority)
    if places > 1:
        found.error(path, "the authority is set more than once; keep one of rewrite.authority and the header operations on Host or :authority")


def _check_changed(name: str, path: str, authority: bool, found: Findings) -> None:
    if name.lower() in _AUTHORITY:
        if not authority:
            found.error(path, f"header {name!r} can be set in requests only, and not removed")
    elif name.startswith(":"):
        found.error(path, f"header {name!r} cannot be changed: it has a ':' in front")
    elif not _TOKEN.fullmatch(name):
        found.error(path, f"header name {name!r} is not a valid header name")


def _check_value(value: str, path: str, found: Findings) -> None:
    if _CONTROL.search(value):
        found.error(path, "a header's value cannot have control characters")
    if "%" in _PLACEHOLDER.sub("", value):
        found.error(path, f"{value!r} has a '%' that neither begins nor ends a placeholder; write '%%' for a percent sign")
