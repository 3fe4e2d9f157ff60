"""Resources in files, as `kube-inject`, `validate` and `analyze` take them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from varka.base.errors import VarkaError
from varka.client.api import Object

SUFFIXES = (".yaml", ".yml", ".json")
_TIME = "tag:yaml.org,2002:timestamp"
_PARTING = re.compile(r"^---(?=\s|$)", re.MULTILINE)
_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Leaves times as the text that they are, so that what is printed again is what was read."""

    yaml_implicit_resolvers = {first: [pair for pair in pairs if pair[0] != _TIME] for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """An object and where it was read: the file, the line that it begins in (the first is 1), and its nodes."""

    obj: Object
    source: str
    offset: int
    node: yaml.Node

    def line(self, path: str = "") -> int:
        """The line of a field such as `spec.http[0].match[1]`, or of the deepest part of it that is there."""
        node, line = self.node, self.node.start_mark.line
        for match in _STEP.finditer(path):
            found = _child(node, match.group(1) if match.group(1) is not None else match.group(2))
            if found is None:
                break
            line, node = found
        return self.offset + line + 1


def _child(node: yaml.Node, step: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key.start_mark.line, value) for key, value in node.value if key.value == step), None)
    if isinstance(node, yaml.SequenceNode) and step.isdigit() and int(step) < len(node.value):
        item = node.value[int(step)]
        return item.start_mark.line, item
    return None


def paths(names: Iterable[str], *, recursive: bool = False) -> tuple[list[str], list[str]]:
    """The files that names stand for, and those that were left out because of their endings; a folder stands for the files in it."""
    found: list[str] = []
    passed: list[str] = []
    for name in names:
        path = Path(name)
        if name != "-" and path.is_dir():
            inside = sorted(one for one in path.glob("**/*" if recursive else "*") if one.is_file())
            found += [str(one) for one in inside if one.suffix in SUFFIXES]
            passed += [str(one) for one in inside if one.suffix not in SUFFIXES]
        else:
            found.append(name)
    return found, passed


def read(name: str) -> str:
    """The text of a file; `-` is standard input. VarkaError for what cannot be read."""
    if name == "-":
        return sys.stdin.read()
    try:
        return Path(name).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise VarkaError(f"{name} cannot be read: {error}", "name a file with Kubernetes resources, or - for standard input") from error


def texts(names: Iterable[str], *, recursive: bool = False) -> list[tuple[str, str]]:
    """Name and text of each file that names stand for."""
    return [(name, read(name)) for name in paths(names, recursive=recursive)[0]]


def documents(text: str, source: str) -> list[Object]:
    """The objects of a text, Lists left whole; VarkaError for what is no object of Kubernetes."""
    return [one.obj if isinstance(one, Located) else _raise(one) for one in parts(text, source)]


def _raise(problem: VarkaError) -> Object:
    raise problem


def parts(text: str, source: str) -> Iterator[Located | VarkaError]:
    """Each document of a text, or what is wrong with it: one that cannot be read does not spoil the others."""
    start, offset = 0, 0
    for number, end in enumerate([*(match.start() for match in _PARTING.finditer(text)), len(text)]):
        chunk = text[start:end]
        if chunk.strip():
            found = _part(chunk, source, offset, number)
            if found is not None:
                yield found
        offset += chunk.count("\n")
        start = end


def _part(chunk: str, source: str, offset: int, number: int) -> Located | VarkaError | None:
    loader = _Loader(chunk)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        obj: Any = loader.construct_document(node)
    except yaml.YAMLError as error:
        return VarkaError(f"{source} is no YAML: {_told(error, offset)}", "mend the file")
    finally:
        loader.dispose()
    if not obj:
        return None
    if not isinstance(obj, dict) or not isinstance(obj.get("kind"), str) or not obj.get("apiVersion"):
        where = f"line {offset + node.start_mark.line + 1}"
        return VarkaError(f"{source} has a document without apiVersion and kind at {where}", "mend the file")
    return Located(obj=obj, source=source, offset=offset, node=node)


def _told(error: yaml.YAMLError, offset: int) -> str:
    """The reader's words with the line of the file."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return " ".join(str(error).split())
    return f"{getattr(error, 'problem', '') or 'it cannot be read'}, line {offset + mark.line + 1}, column {mark.column + 1}"


def unfolded(objects: Iterable[Object]) -> list[Object]:
    """The same with the items of Lists in place of the Lists."""
    found: list[Object] = []
    for one in objects:
        found += unfolded(one.get("items") or []) if one["kind"].endswith("List") and "items" in one else [one]
    return found


def unfolded_parts(found: Iterable[Located]) -> Iterator[Located]:
    """The same for objects with their places."""
    for one in found:
        items = _child(one.node, "items") if one.obj["kind"].endswith("List") else None
        if items is None or not isinstance(items[1], yaml.SequenceNode):
            yield one
            continue
        for obj, node in zip(one.obj["items"] or (), items[1].value, strict=True):
            if isinstance(obj, dict) and isinstance(obj.get("kind"), str):
                yield Located(obj=obj, source=one.source, offset=one.offset, node=node)
