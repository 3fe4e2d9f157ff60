"""The form in which policies see a path, by the mesh's setting `pathNormalization`; the application gets it in this form too."""

from __future__ import annotations

import re
from urllib.parse import unquote

_SLASHES = re.compile("/{2,}")
_ESCAPED_SLASH = re.compile("%2f|%5c", re.IGNORECASE)
_PLAIN = re.compile("%(?:2[de]|3[0-9]|4[1-9a-f]|5[0-9af]|6[1-9a-f]|7[0-9ae])", re.IGNORECASE)
"""Characters that need no escape: letters, digits and `-._~`."""


def normalized(path: str, mode: str) -> str:
    """The path without query, as a policy is shown it."""
    bare = path.partition("?")[0].partition("#")[0]
    if mode == "NONE":
        return bare
    if mode == "DECODE_AND_MERGE_SLASHES":
        bare = _ESCAPED_SLASH.sub(_decoded, bare)
    bare = _without_dots(_PLAIN.sub(_decoded, bare.replace("\\", "/")))
    return _SLASHES.sub("/", bare) if mode in {"MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"} else bare


def _decoded(found: re.Match[str]) -> str:
    return unquote(found.group())


def _without_dots(path: str) -> str:
    """RFC 3986, section 5.2.4; empty segments count as segments."""
    kept: list[str] = []
    parts = path.split("/")[1:]
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "..":
            if kept:
                kept.pop()
            if last:
                kept.append("")
        elif part == ".":
            if last:
                kept.append("")
        else:
            kept.append(part)
    return "/" + "/".join(kept)
