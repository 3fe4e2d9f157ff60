"""Images are names of recipes: which command on this machine an image name stands for.

A catalog file has `images`, a map of image name → recipe. A name without tag stands for every tag; `docker.io/` and
`library/` are understood as the registry's own defaults and left away. Later files win over earlier ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from varka.base.errors import VarkaError

BASE = Path(__file__).parent / "catalog.yaml"
_KEYS = {"entrypoint", "cmd", "env", "workdir", "mounts", "programs", "capabilities", "package"}


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
    package), `{samples}` and `{state}` stand for their paths in every text; `{pod_uid}`, `{pod_name}`, `{namespace}` and
    `{container}` are filled in for each container.
    """

    image: str
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    workdir: str = ""
    mounts: tuple[HostMount, ...] = ()
    programs: str = ""
    package: str = ""
    """A program that this machine must have, and the distribution's package that brings it; `{program}` is its path."""
    capabilities: tuple[str, ...] = ()
    """What the image's programs cannot do without, whatever the pod's security context drops."""

    def fill(self, values: Mapping[str, str]) -> Recipe:
        """The recipe for one container: `values` in place of its placeholders."""
        return replace(
            self,
            entrypoint=tuple(_filled(part, values) for part in self.entrypoint),
            cmd=tuple(_filled(part, values) for part in self.cmd),
            env={key: _filled(value, values) for key, value in self.env.items()},
            workdir=_filled(self.workdir, values),
            mounts=tuple(replace(mount, source=_filled(mount.source, values), target=_filled(mount.target, values)) for mount in self.mounts),
        )


class Catalog:
    """All recipes of a cluster; files are read again when they change, and a damaged one spoils only its own images."""

    def __init__(self, files: list[Path], placeholders: Mapping[str, str]) -> None:
        self._files = files
        self._placeholders = placeholders
        self._stamps: list[tuple[int, int]] = []
        self._recipes: dict[str, Recipe] = {}
        self._damaged: VarkaError | None = None

    def find(self, image: str) -> Recipe | None:
        """The recipe of an image; None when no catalog knows it. VarkaError when that may be because a catalog file is damaged."""
        self._refresh()
        name = canonical(image)
        found = self._recipes.get(name) or self._recipes.get(untagged(name))
        if found is None and self._damaged is not None:
            raise self._damaged
        return found

    def images(self) -> list[str]:
        """The names of all known images, sorted."""
        self._refresh()
        return sorted(self._recipes)

    def _refresh(self) -> None:
        stamps = [_stamp(file) for file in self._files]
        if stamps == self._stamps:
            return
        self._recipes, self._damaged = {}, None
        for file in self._files:
            try:
                if file.exists():
                    self._recipes |= {recipe.image: recipe for recipe in _read(file, self._placeholders)}
            except VarkaError as error:
                self._damaged = error
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


def _filled(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace("{" + key + "}", value)
    return text


def _recipe(name: str, entry: Mapping[str, Any], placeholders: Mapping[str, str]) -> Recipe:
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise ValueError(f"image {name} has the unknown key {unknown[0]!r}")

    def filled(text: Any) -> str:
        return _filled(str(text), placeholders)

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
        package=str(entry.get("package") or ""),
        capabilities=tuple(str(name) for name in entry.get("capabilities") or ()),
    )


def command_line(recipe: Recipe, command: list[str], args: list[str]) -> list[str]:
    """What a container runs: `command` replaces entrypoint and default arguments, `args` the default arguments only."""
    if command:
        return [*command, *args]
    return [*recipe.entrypoint, *(args or recipe.cmd)]
