"""The simple JSON paths of a CRD's printer columns: `.spec.hosts`, `.status.conditions[?(@.type=="Ready")].status`, `['a.b']`, `[0]`, `[*]`. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

Step = Callable[[Any], Iterable[Any]]
_TOKEN = re.compile(
    r"""\.(?P<name>(?:\\.|[^.\[\]\\])+)"""
    r"""|\[(?P<index>-?\d+)\]"""
    r"""|\[(?P<all>\*)\]"""
    r"""|\[['"](?P<quoted>[^'"]+)['"]\]"""
    r"""|\[\?\(\s*@\.(?P<field>[\w.\-/]+)\s*(?P<operator>==|!=)\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[\w.\-]+))\s*\)\]"""
)


@lru_cache(maxsize=1024)
def compiled(path: str) -> tuple[Step, ...]:
    """The steps of a path; ValueError when it is none that is supported."""
    text = path.strip().removeprefix("{").removesuffix("}").removeprefix("$")
    if text and text[0] not in ".[":
        text = "." + text
    steps: list[Step] = []
    position = 0
    while position < len(text):
        if text[position:] == ".":
            break
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unsupported JSON path {path!r}")
        steps.append(_step(match))
        position = match.end()
    return tuple(steps)


def find(steps: tuple[Step, ...], obj: Any) -> list[Any]:
    """All values that the path leads to."""
    found = [obj]
    for step in steps:
        found = [value for one in found for value in step(one)]
    return found


def _step(match: re.Match[str]) -> Step:
    if match["index"] is not None:
        return _at(int(match["index"]))
    if match["all"] is not None or match["name"] == "*":
        return lambda value: value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else ()
    if match["field"] is not None:
        wanted = next(text for text in (match["double"], match["single"], match["bare"]) if text is not None)
        return _filter(match["field"].split("."), wanted, match["operator"] == "==")
    key = match["quoted"] or re.sub(r"\\(.)", r"\1", match["name"])
    return lambda value: (value[key],) if isinstance(value, dict) and value.get(key) is not None else ()


def _at(index: int) -> Step:
    return lambda value: (value[index],) if isinstance(value, list) and -len(value) <= index < len(value) else ()


def _filter(path: list[str], wanted: str, equal: bool) -> Step:
    def holds(one: Any) -> bool:
        for part in path:
            one = one.get(part) if isinstance(one, dict) else None
        text = str(one).lower() if isinstance(one, bool) else str(one)
        return one is not None and (text == wanted) is equal

    return lambda value: [one for one in value if holds(one)] if isinstance(value, list) else ()
