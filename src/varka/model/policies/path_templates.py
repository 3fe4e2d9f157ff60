"""Path templates of AuthorizationPolicies: `{*}` stands for one segment of a path, `{**}` for any number of them.

A template may hold `{**}` once, and nothing but plain segments after it.
"""

from __future__ import annotations

import re

ONE, ANY = "{*}", "{**}"
LONGEST = 256
"""What Envoy takes."""
_LETTERS = r"A-Za-z0-9\-._~%!$&'()+,;:@="
"""What is allowed in a segment, without the asterisk; a sign stands for these only."""
_LITERAL = re.compile(f"[{_LETTERS}]*")


def is_template(path: str) -> bool:
    """Whether the path is written with one of the two signs."""
    return ONE in path or ANY in path


def to_envoy(path: str) -> str:
    """The template as Envoy's `uri_template` matcher has it; ValueError when it is malformed."""
    return "/".join({ONE: "*", ANY: "**"}.get(segment, segment) for segment in segments(path))


def segments(path: str) -> list[str]:
    """The template's segments, the first of which is empty; ValueError when it is malformed."""
    found = path.split("/")
    if len(path) > LONGEST:
        raise ValueError(f"the path template is longer than {LONGEST} characters")
    if found[0] or len(found) < 2:
        raise ValueError(f"the path template {path!r} does not begin with /")
    for segment in found:
        if segment not in {ONE, ANY} and not _LITERAL.fullmatch(segment):
            raise ValueError(f"the segment {segment!r} of the path template is neither plain nor {ONE} nor {ANY}")
    if ANY in found and any(segment in {ONE, ANY} for segment in found[found.index(ANY) + 1 :]):
        raise ValueError(f"{ANY} must be the last sign of the path template {path!r}")
    return found


def matches(template: str, path: str) -> bool:
    """Whether a path (without query) is one that the template describes; ValueError when the template is malformed."""
    parts = [f"[{_LETTERS}]+" if segment == ONE else f"[{_LETTERS}/]*" if segment == ANY else re.escape(segment) for segment in segments(template)]
    return re.fullmatch("/".join(parts), path) is not None
