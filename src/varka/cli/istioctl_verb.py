"""`varka istioctl …`: istioctl with the cluster's kubeconfig."""

from __future__ import annotations

import os

import click

from varka.cli import env, options
from varka.cluster import state


@click.command(
    "istioctl",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": ["--varka-help"]},
    epilog="Example: varka istioctl install -y",
)
@options.cluster
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(name: str, arguments: tuple[str, ...]) -> None:
    """Run istioctl against the cluster; all arguments are istioctl's."""
    folder = state.folder(name)
    env.require_cluster(folder)
    program = env.find_program("istioctl")
    os.execve(program, ["istioctl", *arguments], {**os.environ, "KUBECONFIG": str(folder.kubeconfig)})
