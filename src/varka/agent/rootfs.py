"""Paths inside another process's file system.

`/proc/<pid>/root` leads into a container's files, but an absolute link met on the way (`/var/run` → `/run`) would be
followed from our own root. So links are followed by hand, and stay inside.
"""

from __future__ import annotations

import os
from pathlib import Path

MAX_LINKS = 40


def inside(root: Path, path: str) -> Path:
    """Where `path` is for a process whose root folder is `root`; what does not exist yet is taken as written."""
    if str(root) == "/":
        return Path("/", path.lstrip("/"))
    parts = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    found: list[str] = []
    links = 0
    while parts:
        part = parts.pop()
        if part == "..":
            found = found[:-1]
            continue
        here = root.joinpath(*found, part)
        if here.is_symlink() and links < MAX_LINKS:
            links += 1
            target = os.readlink(here)
            if target.startswith("/"):
                found = []
            parts += [piece for piece in reversed(target.split("/")) if piece not in ("", ".")]
        else:
            found.append(part)
    return root.joinpath(*found)
