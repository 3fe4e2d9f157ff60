"""`varka down`: stop a cluster and remove its state folder, so that nothing of it is left."""

from __future__ import annotations

import shutil
import time

import click

from varka.base.errors import VarkaError
from varka.cli import options
from varka.cluster import state

_GRACE = 15.0
_KEPT = ("store.db", "addresses.json", "pki", "kubeconfig", "settings.json", "images.yaml", "logs")


def stop(folder: state.StateFolder) -> bool:
    """End every process of the cluster; whether any was running."""
    supervisor = state.read_json(folder.supervisor_file)
    records = [supervisor, *(supervisor or {}).get("children", {}).values()]
    was_running = any(state.is_alive(record) for record in records)
    state.end(supervisor, grace=_GRACE)
    for record in records[1:]:
        state.end(record, grace=1.0)
    left = [record["pid"] for record in records if state.is_alive(record)]
    if left:
        raise VarkaError(f"processes {left} do not end", "end them with kill -9, then run varka down again")
    return was_running


def remove(folder: state.StateFolder, keep: bool) -> None:
    """Remove the state folder, or all of it but what the next start continues with."""
    for _ in range(50):
        if not folder.root.exists():
            return
        if keep:
            for path in folder.root.iterdir():
                if not path.name.startswith(_KEPT):
                    shutil.rmtree(path, ignore_errors=True) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
            return
        shutil.rmtree(folder.root, ignore_errors=True)
        time.sleep(0.02)
    if folder.root.exists():
        raise VarkaError(f"the state folder {folder.root} cannot be removed", "remove it by hand")


@click.command("down", epilog="Example: varka down --keep")
@options.cluster
@click.option("--keep", is_flag=True, help="Keep the stored objects, so that the next varka up continues with them.")
def command(name: str, keep: bool) -> None:
    """Stop a cluster and remove all of it."""
    folder = state.folder(name)
    begin = time.monotonic()
    if not folder.root.exists():
        click.echo(f"cluster {name} is not running")
        return
    was_running = stop(folder)
    remove(folder, keep)
    click.echo(f"cluster {name} {'is stopped' if was_running else 'was not running; what it had left is removed'} ({time.monotonic() - begin:.2f} s)")
