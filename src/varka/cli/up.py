"""`varka up`: look at the machine, prepare the state folder, start the supervisor, wait until the node is Ready."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import click

from varka.base.errors import VarkaError
from varka.cli import options
from varka.cluster import checks, children, listeners, settings, state

_PATIENCE = 60.0
_POLL = 0.01
_SIGN_IN = 10.0
MESH_IMAGES = Path(__file__).with_name("mesh_images.yaml")
GATEWAY_API = Path(__file__).with_name("gateway_api.json")
"""The definitions of the Gateway API, made by `python -m varka.resources.gateway_api`."""
SAMPLE_IMAGES = Path(__file__).parents[3] / "samples" / "images.yaml"
"""Present in a clone of the project, not in an installed package."""
_NODE_AGENT = ["{python}", "-P", "-m", "varka.agent", "--state", "{state}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What the user asked for."""

    name: str
    egress: bool | None = None
    catalogs: tuple[str, ...] | None = None


def require(found: list[checks.Check]) -> None:
    """VarkaError when something lacks that a cluster cannot do without."""
    lacking = [check for check in found if check.required and not check.ok]
    if lacking:
        what = ", ".join(f"{check.name}: {check.found}" for check in lacking)
        raise VarkaError(f"this machine lacks what a cluster needs ({what})", "; ".join(check.mend for check in lacking))


def open_port(preferred: int) -> socket.socket:
    """A socket that listens on `preferred` of 127.0.0.1, or on any free port where that is taken.

    It is open from here on, so that no other program and no other cluster takes the port before the relay serves it.
    """
    try:
        return listeners.bind("127.0.0.1", preferred)
    except OSError:
        return listeners.bind("127.0.0.1", 0)


def clean(folder: state.StateFolder) -> bool:
    """End what a killed supervisor may have left, and remove what was true only while it ran; whether there was anything."""
    old = state.read_json(folder.supervisor_file)
    for record in (old or {}).get("children", {}).values():
        state.end(record, grace=0.5)
    shutil.rmtree(folder.run, ignore_errors=True)
    folder.run.mkdir(mode=0o700, exist_ok=True)
    return old is not None


def configure(folder: state.StateFolder, wanted: Wanted) -> tuple[settings.ClusterSettings, socket.socket]:
    """The settings of this start, those of the last one with what is new in `wanted`; and the API server's port, open."""
    before = settings.load(folder.settings) if folder.settings.exists() else None
    base = before or settings.ClusterSettings(name=wanted.name)
    listener = open_port(base.api_port)
    port = int(listener.getsockname()[1])
    egress = base.egress if wanted.egress is None else wanted.egress
    own = tuple(str(file) for file in (MESH_IMAGES, SAMPLE_IMAGES) if file.exists())
    given = wanted.catalogs if wanted.catalogs is not None else tuple(file for file in base.catalogs if file not in own)
    chosen = replace(base, api_port=port, egress=egress, catalogs=(*own, *given), definitions=(str(GATEWAY_API),), commands={"agent": _NODE_AGENT})
    settings.save(chosen, folder.settings)
    return chosen, listener


@contextlib.contextmanager
def alone(folder: state.StateFolder) -> Iterator[None]:
    """Let only one `varka up` at a time prepare and start a cluster."""
    with (folder.root / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def launch(folder: state.StateFolder, listener: socket.socket) -> subprocess.Popen[bytes]:
    """Start the supervisor, free of this terminal, hand `listener` to it, and wait until it has signed in."""
    script = Path(children.__file__).with_name("supervisor.py")
    log = folder.logs / "supervisor.log"
    with log.open("ab") as sink:
        os.fchmod(sink.fileno(), 0o600)
        process = subprocess.Popen(
            children.bare_python(script, str(folder.root), str(listener.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
            cwd="/",
            pass_fds=(listener.fileno(),),
        )
    deadline = time.monotonic() + _SIGN_IN
    while not folder.supervisor_file.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(_POLL)
    return process


def start(folder: state.StateFolder, wanted: Wanted) -> subprocess.Popen[bytes]:
    """Prepare the folder and start the supervisor."""
    if clean(folder):
        click.echo("  removed what a killed cluster had left")
    _, listener = configure(folder, wanted)
    click.echo(f"starting cluster {wanted.name}")
    with listener:
        return launch(folder, listener)


def wait_ready(folder: state.StateFolder, process: subprocess.Popen[bytes] | None, say: Callable[[str], None]) -> None:
    """Wait for the Ready node, telling of each step; VarkaError with the end of the log when it does not come."""
    steps = {
        "namespaces": folder.init_file,
        "certificates": folder.kubeconfig,
        "API server": folder.serving_file,
        "node Ready": folder.ready_file,
    }
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for step in [step for step, file in steps.items() if file.exists()]:
            say(step)
            del steps[step]
        if not steps:
            return
        if process is not None and process.poll() is not None:
            raise VarkaError(f"the supervisor ended with code {process.returncode}", f"see {folder.logs / 'supervisor.log'}")
        record = (state.read_json(folder.init_file) or {}).get("children", {}).get("node", {})
        if record.get("restarts", 0) >= 4:
            break
        time.sleep(_POLL)
    raise VarkaError(
        f"the node does not become Ready: {_last_line(folder.logs / 'node.log')}", f"see {folder.logs}; stop it with varka down --name {folder.name}"
    )


def _last_line(log: Path) -> str:
    try:
        lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    except OSError:
        lines = []
    return lines[-1] if lines else "it wrote nothing into its log"


def running(folder: state.StateFolder) -> bool:
    """Whether the cluster's supervisor lives."""
    return state.is_alive(state.read_json(folder.supervisor_file))


@click.command("up", epilog="Example: varka up --name second --no-egress")
@options.cluster
@click.option("--wait/--no-wait", default=True, help="Return when the node is Ready (the default), or at once.")
@click.option("--egress/--no-egress", default=None, help="Let pods reach addresses outside the cluster (the default), or not.")
@click.option("--catalog", multiple=True, type=click.Path(exists=True, dir_okay=False), help="A further image catalog; may be repeated.")
def command(name: str, wait: bool, egress: bool | None, catalog: tuple[str, ...]) -> None:
    """Start a cluster, or continue one that was stopped with --keep."""
    begin = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"  {text:<14} {time.monotonic() - begin:5.2f} s")

    folder = state.folder(name)
    if not running(folder):
        machine = checks.Machine()
        require([checks.python(), checks.namespaces(machine), *checks.tools(machine), *checks.room(folder.root, machine)])
        folder.create()
    catalogs = tuple(os.path.abspath(file) for file in catalog) or None
    with alone(folder):
        process = None if running(folder) else start(folder, Wanted(name=name, egress=egress, catalogs=catalogs))
    if not wait:
        return
    if process is None:
        wait_ready(folder, None, lambda _: None)
        click.echo(f"cluster {name} is already running")
        return
    wait_ready(folder, process, say)
    click.echo(f"cluster {name} is running at https://127.0.0.1:{settings.load(folder.settings).api_port}")
    suffix = "" if name == state.DEFAULT_NAME else f" --name {name}"
    click.echo(f'next: eval "$(varka env{suffix})"')
