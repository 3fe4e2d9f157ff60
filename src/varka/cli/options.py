"""Options that several verbs share: which cluster, and the form of the output."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

from varka.cluster import state

_Function = TypeVar("_Function", bound=Callable[..., Any])
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def _checked_name(_ctx: click.Context, _option: click.Parameter, value: str) -> str:
    if not _NAME.fullmatch(value):
        raise click.BadParameter("a cluster's name is lower case letters, digits and '-', at most 40 of them")
    return value


def cluster(function: _Function) -> _Function:
    """`--name`: the cluster that a verb is about; VARKA_CLUSTER sets the default."""
    return click.option(
        "--name",
        default=lambda: os.environ.get("VARKA_CLUSTER", state.DEFAULT_NAME),
        callback=_checked_name,
        help="The cluster, if there are several.  [default: varka]",
    )(function)


def _name_if_given(ctx: click.Context, option: click.Parameter, value: str | None) -> str | None:
    return None if value is None else _checked_name(ctx, option, value)


def mesh(function: _Function) -> _Function:
    """`--name` of a verb about the mesh, which may run on any cluster; None leaves the choice to `targets.load`."""
    return click.option("--name", default=None, callback=_name_if_given, help="The cluster on this machine.  [default: KUBECONFIG, else varka]")(function)


def output(function: _Function) -> _Function:
    """`-o json`."""
    return click.option("-o", "--output", "output", type=click.Choice(["text", "json"]), default="text", help="Form of the output.")(function)


def show_json(value: Any) -> None:
    """Print for programs."""
    click.echo(json.dumps(value, indent=2))
