"""Resources in files, as `kube-inject`, `validate` and `analyze` take them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from varka.base.errors import VarkaError
from varka.client.api import Object

SUFFIXES = (".yaml", ".yml", ".json")


class _Loader(yaml.SafeLoader):
    """Leaves times as the text that they are, so that what is printed again is what was read."""


_TIME = "tag:yaml.org,2002:timestamp"
_RESOLVERS = yaml.SafeLoader.yaml_implicit_resolvers
_Loader.yaml_implicit_resolvers = {first: [pair for pair in pairs if pair[0] != _TIME] for first, pairs in _RESOLVERS.items()}


def texts(names: Iterable[str], *, recursive: bool = False) -> list[tuple[str, str]]:
    """Name and text of each file; `-` is standard input, a folder stands for the manifests in it. VarkaError for what cannot be read."""
    found: list[tuple[str, str]] = []
    for name in names:
        if name == "-":
            found.append(("-", sys.stdin.read()))
            continue
        path = Path(name)
        pattern = "**/*" if recursive else "*"
        paths = sorted(one for one in path.glob(pattern) if one.suffix in SUFFIXES and one.is_file()) if path.is_dir() else [path]
        try:
            found += [(str(one), one.read_text()) for one in paths]
        except (OSError, UnicodeDecodeError) as error:
            raise VarkaError(f"{name} cannot be read: {error}", "name a file with Kubernetes resources, or - for standard input") from error
    return found


def documents(text: str, source: str) -> list[Object]:
    """The objects of a text, Lists left whole; VarkaError for what is no object of Kubernetes."""
    try:
        loaded: list[Any] = [one for one in yaml.load_all(text, Loader=_Loader) if one]
    except yaml.YAMLError as error:
        raise VarkaError(f"{source} is no YAML: {error}", "mend the file") from error
    for one in loaded:
        if not isinstance(one, dict) or not one.get("kind") or not one.get("apiVersion"):
            raise VarkaError(f"{source} has a document without apiVersion and kind", "mend the file")
    return loaded


def unfolded(objects: Iterable[Object]) -> list[Object]:
    """The same with the items of Lists in place of the Lists."""
    found: list[Object] = []
    for one in objects:
        found += unfolded(one.get("items") or []) if one["kind"].endswith("List") and "items" in one else [one]
    return found
