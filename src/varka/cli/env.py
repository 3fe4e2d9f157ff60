"""`varka env`: settings for a shell, to be read with `eval "$(varka env)"`."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import click

from varka.base.errors import VarkaError
from varka.cli import options
from varka.cluster import forwards, state

_GATEWAY = "istio-system/istio-ingressgateway"
_HTTP, _HTTPS = 80, 443


def find_program(name: str) -> str:
    """A program that came with this installation, or the one in PATH; VarkaError when there is none."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if not found:
        raise VarkaError(f"{name} is not installed", "varka doctor says how to get it")
    return found


def link_programs(folder: state.StateFolder) -> Path:
    """A folder with kubectl and istioctl and nothing else, for PATH."""
    programs = folder.root / "bin"
    programs.mkdir(mode=0o700, exist_ok=True)
    for name in ("kubectl", "istioctl"):
        link, target = programs / name, find_program(name)
        if not link.is_symlink() or str(link.readlink()) != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    return programs


def variables(folder: state.StateFolder) -> dict[str, str]:
    """What the shell should know; the gateway's address only once there is a gateway."""
    found = {"KUBECONFIG": str(folder.kubeconfig)}
    _, placed = forwards.read(folder.forwards_file)
    gateway = next((place for place in placed if place.id == _GATEWAY), None)
    if gateway and (url := gateway.url(_HTTP)):
        found |= {"INGRESS_HOST": gateway.address, "INGRESS_PORT": str(gateway.ports[_HTTP]), "GATEWAY_URL": url}
        if gateway.ports.get(_HTTPS):
            found["SECURE_INGRESS_PORT"] = str(gateway.ports[_HTTPS])
    return found


def require_cluster(folder: state.StateFolder) -> None:
    """VarkaError unless the cluster was started."""
    if not folder.kubeconfig.exists():
        suffix = "" if folder.name == state.DEFAULT_NAME else f" --name {folder.name}"
        raise VarkaError(f"there is no cluster {folder.name}", f"start it with varka up{suffix}")


@click.command("env", epilog='Example: eval "$(varka env)"')
@options.cluster
def command(name: str) -> None:
    """Print shell settings: KUBECONFIG, PATH, and the gateway's address once there is one."""
    folder = state.folder(name)
    require_cluster(folder)
    for key, value in variables(folder).items():
        click.echo(f"export {key}={shlex.quote(value)}")
    programs = shlex.quote(str(link_programs(folder)))
    click.echo(f'case ":$PATH:" in *:{programs}:*) ;; *) export PATH={programs}:"$PATH" ;; esac')
