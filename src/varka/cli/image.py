"""`varka image`: which command an image name stands for. The user's own images are one YAML file in the state folder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from varka.base.errors import VarkaError
from varka.cli import options
from varka.cluster import state

_NAME = re.compile(r"[a-z0-9][a-z0-9._/:@-]*")


def read(path: Path) -> dict[str, Any]:
    """The user's images: name → recipe; VarkaError when the file is damaged."""
    import yaml

    try:
        raw = yaml.safe_load(path.read_text()) or {}
        images = raw.get("images") or {}
    except FileNotFoundError:
        return {}
    except (yaml.YAMLError, AttributeError) as error:
        raise VarkaError(f"{path} is no catalog of images", "mend or remove the file") from error
    return dict(images)


def write(path: Path, images: dict[str, Any]) -> None:
    """Replace the user's images in one step."""
    import yaml

    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_suffix(".new")
    draft.write_text(yaml.safe_dump({"images": images}, sort_keys=True))
    draft.chmod(0o600)
    draft.replace(path)


@click.group("image", epilog="Example: varka image add registry.example/shop:1.0 -- python3 /srv/shop.py")
def command() -> None:
    """Say which command on this machine an image name stands for."""


@command.command("add", epilog="Example: varka image add shop -e PORT=8080 -- python3 /srv/shop.py")
@options.cluster
@click.option("-e", "--env", "environment", multiple=True, metavar="KEY=VALUE", help="A variable of the image; may be repeated.")
@click.option("-w", "--workdir", default="", help="The working directory.")
@click.argument("image")
@click.argument("line", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND…")
def add(name: str, environment: tuple[str, ...], workdir: str, image: str, line: tuple[str, ...]) -> None:
    """Let IMAGE stand for COMMAND; pods that wait for it start."""
    if not _NAME.fullmatch(image):
        raise click.BadParameter(f"{image} is no image name", param_hint="IMAGE")
    if any("=" not in item for item in environment):
        raise click.BadParameter("a variable has the form KEY=VALUE", param_hint="--env")
    folder = state.folder(name)
    images = read(folder.images)
    recipe: dict[str, Any] = {"entrypoint": list(line)}
    if environment:
        recipe["env"] = dict(item.split("=", 1) for item in environment)
    if workdir:
        recipe["workdir"] = workdir
    write(folder.images, {**images, image: recipe})
    click.echo(f"image {image} stands for: {' '.join(line)}")


@command.command("fetch", epilog="Example: varka image fetch prometheus")
@click.option("--if-possible", is_flag=True, help="Say what is wrong, but do not fail.")
@click.argument("package")
def fetch(if_possible: bool, package: str) -> None:
    """Get a program that images stand for, such as prometheus, from this system's PACKAGE, without root.

    The package is unpacked into your cache; nothing is installed. Pods that wait for the program start.
    """
    from varka.cluster import packages

    known = packages.find(package)
    if known is None:
        try:
            packages.fetch(package)
        except VarkaError as error:
            if not if_possible:
                raise
            click.echo(f"note: {error}; {error.hint}", err=True)
            return
        known = packages.find(package)
    click.echo(f"{package} is {known}" if known else f"the package {package} is unpacked in {packages.folder() / package}")


@command.command("list", epilog="Example: varka image list -o json")
@options.cluster
@options.output
def list_images(name: str, output: str) -> None:
    """Show all images that this cluster knows, and where each comes from."""
    from varka.cli import up
    from varka.cluster import settings
    from varka.cluster.runtime import catalog

    folder = state.folder(name)
    given = settings.load(folder.settings).catalogs if folder.settings.exists() else (str(up.MESH_IMAGES), str(up.SAMPLE_IMAGES))
    found: dict[str, dict[str, Any]] = {}
    for file in [catalog.BASE, *map(Path, given), folder.images]:
        source = "added" if file == folder.images else file.name
        found |= {image: {"source": source, **(recipe or {})} for image, recipe in read(file).items()}
    if output == "json":
        options.show_json(found)
        return
    width = max(map(len, found)) + 2
    for image, recipe in sorted(found.items()):
        line = [*recipe.get("entrypoint", []), *recipe.get("cmd", [])]
        click.echo(f"{image:<{width}}{recipe['source']:<18}{' '.join(map(str, line))}")


@command.command("remove", epilog="Example: varka image remove shop")
@options.cluster
@click.argument("image")
def remove(name: str, image: str) -> None:
    """Forget an image that was added; running pods are left alone."""
    folder = state.folder(name)
    images = read(folder.images)
    if image not in images:
        raise VarkaError(f"image {image} was not added", "varka image list shows those that were")
    write(folder.images, {key: recipe for key, recipe in images.items() if key != image})
    click.echo(f"image {image} is forgotten")
