"""Messages of analyzers as a person wants them: without those that are suppressed, with places in files, as text, JSON or YAML."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from varka.base.errors import VarkaError
from varka.client.api import Object

if TYPE_CHECKING:
    from varka.analysis.messages import Message

SUPPRESSED = "galley.istio.io/analyze-suppress"
"""Annotation on a resource: codes to leave out, separated by commas, or `*`."""
REFERENCE = "https://istio.io/v1.28/docs/reference/config/analysis"
Key = tuple[str, str, str]
"""Kind, namespace and name."""
Rule = tuple[str, str]
"""A code, and a pattern for resources."""
Places = Mapping[Key, Callable[[str], str]]
"""For resources out of files: from the path of a field to `file:line`."""
_COLORS = {"Warning": "\033[33m", "Error": "\033[1;31m"}
_PLAIN = "\033[0m"


def key(obj: Object) -> Key:
    """What a message calls an object."""
    meta = obj.get("metadata") or {}
    return str(obj["kind"]), str(meta.get("namespace") or ""), str(meta.get("name") or "")


def rule(text: str) -> Rule:
    """A `--suppress` as code and pattern; VarkaError for one of another form."""
    code, separator, resource = text.partition("=")
    if not separator or not code or not resource:
        raise VarkaError(f"--suppress {text} is not of the form CODE=RESOURCE", 'for example: -S "IST0102=Namespace default"')
    return code, resource


def annotated(objects: Iterable[Object]) -> dict[Key, frozenset[str]]:
    """Resource → the codes that its annotation leaves out."""
    found: dict[Key, frozenset[str]] = {}
    for obj in objects:
        annotations = (obj.get("metadata") or {}).get("annotations")
        codes = annotations.get(SUPPRESSED) if isinstance(annotations, dict) else None
        if codes:
            found[key(obj)] = frozenset(code.strip() for code in str(codes).split(","))
    return found


def chosen(found: Iterable[Message], namespace: str, rules: Sequence[Rule], quiet: Mapping[Key, frozenset[str]]) -> list[Message]:
    """The findings about a namespace and about what belongs to none (about all of them with an empty name) that nobody suppressed."""
    kept = []
    for one in found:
        where = one.name if one.kind == "Namespace" else one.namespace
        if namespace and where not in {"", namespace}:
            continue
        names = (one.resource, f"{one.kind} {one.name}.{one.namespace}" if one.namespace else one.resource)
        if any(one.code == code and fnmatch.fnmatchcase(name, pattern) for code, pattern in rules for name in names):
            continue
        if not quiet.get((one.kind, one.namespace, one.name), frozenset()) & {one.code, "*"}:
            kept.append(one)
    return kept


def shown(found: Sequence[Message], output: str, places: Places, *, color: bool = False) -> str:
    """The findings as `log`, `json` or `yaml`."""
    if output == "log":
        return "".join(f"{_line(one, places, color)}\n" for one in found)
    listed = [_fields(one, places) for one in found]
    if output == "json":
        return json.dumps(listed, indent="\t") + "\n"
    import yaml

    return str(yaml.safe_dump(listed, sort_keys=True, width=1 << 20))


def _place(one: Message, places: Places) -> str:
    found = places.get((one.kind, one.namespace, one.name))
    return found(one.path) if found is not None else ""


def _line(one: Message, places: Places, color: bool) -> str:
    place = _place(one, places)
    level = one.level.title
    painted = f"{_COLORS[level]}{level}{_PLAIN}" if color and level in _COLORS else level
    return f"{painted} [{one.code}] ({one.resource}{' ' + place if place else ''}) {one.text}"


def _fields(one: Message, places: Places) -> dict[str, Any]:
    fields = {
        "code": one.code,
        "documentationUrl": f"{REFERENCE}/{one.code.lower()}/",
        "level": one.level.title,
        "message": one.text,
        "origin": one.resource,
    }
    place = _place(one, places)
    return {**fields, "reference": place} if place else fields
