"""`istioctl validate`: what admission would say to resources in files, without a cluster."""

from __future__ import annotations

import click

from varka.base.errors import VarkaError
from varka.cli.istioctl.analyzing import files
from varka.client.api import Object


@click.command(epilog="Example: istioctl validate -f gateway.yaml")
@click.option("-f", "--filename", "names", multiple=True, metavar="FILE", help="File or folder with resources, or - for standard input; may be repeated.")
@click.argument("more", nargs=-1)
def validate(names: tuple[str, ...], more: tuple[str, ...]) -> None:
    """Check Istio resources in files. Exit code 1 when one of them is invalid."""
    chosen = [*names, *more]
    if not chosen:
        raise VarkaError("no file was given", "name one with -f")
    found: list[str] = []
    for name, text in files.texts(chosen):
        errors, warnings = examine(files.unfolded(files.documents(text, name)))
        for line in warnings:
            click.echo(f"Warning: {line}", err=True)
        if not errors:
            click.echo(f"{name!r} is valid".replace("'", '"'))
        found += errors
    if found:
        raise VarkaError("\n".join([f"{len(found)} error{'s' if len(found) > 1 else ''} occurred:", *(f"\t* {line}" for line in found)]))


def examine(objects: list[Object]) -> tuple[list[str], list[str]]:
    """Errors and warnings of resources, each with kind, namespace and name."""
    from varka.control import validation

    errors: list[str] = []
    warnings: list[str] = []
    for obj in objects:
        meta = obj.get("metadata") or {}
        label = f"{obj['kind']}/{meta.get('namespace') or ''}/{meta.get('name') or ''}"
        for line in validation.problems(obj):
            warned = line.startswith("warning: ")
            (warnings if warned else errors).append(f"{label}: {line.removeprefix('warning: ')}")
    return errors, warnings
