"""Images are names of recipes: which command on this machine an image name stands for.

A catalog file has `images`, a map of image name → recipe. A name without tag stands for every tag; `docker.io/` and
`library/` are understood as the registry's own defaults and left away. Later files win over earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from varka.base.errors import VarkaError

BASE = Path(__file__).parent / "catalog.yaml"
_KEYS = {"entrypoint", "cmd", "env", "workdir", "mounts", "programs", "capabilities"}


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMount:
    """A folder or socket of this machine that an image's containers see; `source` may hold placeholders."""

    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What an image would bring: entrypoint and default arguments as in Docker, variables, folders.

    `programs` is a folder on this machine that comes first in PATH. `{python}`, `{package}` (the installed `varka`
    package), `{samples}` and `{state}` stand for their paths in every text.
    """

    image: str
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    mounts: tuple[HostMount, ...] = ()
    programs: str = ""
    capabilities: tuple[str, ...] = ()
    """What the image's programs cannot do without, whatever the pod's security context drops."""


class Catalog:
    """All recipes of a cluster; files are read again when they change."""

    def __init__(self, files: list[Path], placeholders: Mapping[str, str]) -> None:
        self._files = files
        self._placeholders = placeholders
        self._stamps: list[tuple[int, int]] = []
        self._recipes: dict[str, Recipe] = {}

    def find(self, image: str) -> Recipe | None:
        """The recipe of an image; None when no catalog knows it. VarkaError when a catalog file is damaged."""
        self._refresh()
        name = canonical(image)
        return self._recipes.get(name) or self._recipes.get(untagged(name))

    def _refresh(self) -> None:
        stamps = [_stamp(file) for file in self._files]
        if stamps == self._stamps:
            return
        self._recipes = {recipe.image: recipe for file in self._files if file.exists() for recipe in _read(file, self._placeholders)}
        self._stamps = stamps


def _stamp(file: Path) -> tuple[int, int]:
    try:
        found = file.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def canonical(image: str) -> str:
    """An image name without digest and without the parts that Docker adds by default."""
    name = image.partition("@")[0]
    for prefix in ("docker.io/", "index.docker.io/", "library/"):
        name = name.removeprefix(prefix)
    return name


def untagged(name: str) -> str:
    """An image name without its tag."""
    head, _, tail = name.rpartition("/")
    base = tail.partition(":")[0]
    return f"{head}/{base}" if head else base


def _read(file: Path, placeholders: Mapping[str, str]) -> list[Recipe]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
        entries: dict[str, dict[str, Any]] = document["images"] or {}
        return [_recipe(str(name), entry or {}, placeholders) for name, entry in entries.items()]
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise VarkaError(
            f"the image catalog {file} cannot be used: {error}", "it needs a map `images` of name → recipe; varka image list shows yours"
        ) from error


def _recipe(name: str, entry: Mapping[str, Any], placeholders: Mapping[str, str]) -> Recipe:
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise ValueError(f"image {name} has the unknown key {unknown[0]!r}")

    def filled(text: Any) -> str:
        result = str(text)
        for key, value in placeholders.items():
            result = result.replace("{" + key + "}", value)
        return result

    return Recipe(
        image=canonical(name),
        entrypoint=tuple(filled(part) for part in entry.get("entrypoint") or ()),
        cmd=tuple(filled(part) for part in entry.get("cmd") or ()),
        env={str(key): filled(value) for key, value in (entry.get("env") or {}).items()},
        workdir=filled(entry.get("workdir") or ""),
        mounts=tuple(
            HostMount(source=filled(each["source"]), target=str(each["target"]), read_only=bool(each.get("readOnly"))) for each in entry.get("mounts") or ()
        ),
        programs=filled(entry.get("programs") or ""),
        capabilities=tuple(str(name) for name in entry.get("capabilities") or ()),
    )


def command_line(recipe: Recipe, command: list[str], args: list[str]) -> list[str]:
    """What a container runs: `command` replaces entrypoint and default arguments, `args` the default arguments only."""
    if command:
        return [*command, *args]
    return [*recipe.entrypoint, *(args or recipe.cmd)]
