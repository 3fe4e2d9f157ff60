"""`varka status`: which processes run, whether the node is Ready, and what is wrong, with the mend."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import click

from varka.base.errors import VarkaError
from varka.cli import addons, options, problems
from varka.cli.problems import Problem
from varka.cluster import forwards, settings, state

_API_PATIENCE = 10.0
_UNSTEADY = 5.0
_MANY_RESTARTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process of the cluster, as the host counts it; `pid` is 0 when it does not run."""

    name: str
    pid: int
    restarts: int
    uptime: float
    last_exit: str = ""


@dataclass(slots=True, kw_only=True)
class Status:
    """All that `varka status` shows."""

    name: str
    running: bool
    processes: list[Process] = dataclasses.field(default_factory=list)
    node_ready: bool = False
    pods: int = 0
    pods_ready: int = 0
    server: str = ""
    forwards: list[str] = dataclasses.field(default_factory=list)
    problems: list[Problem] = dataclasses.field(default_factory=list)

    @property
    def healthy(self) -> bool:
        return self.running and not self.problems


def processes(folder: state.StateFolder) -> list[Process]:
    """The cluster's processes with their pids on the host."""
    supervisor = state.read_json(folder.supervisor_file) or {}
    found = [_process("supervisor", supervisor if state.is_alive(supervisor) else {}, {})]
    children = supervisor.get("children", {})
    found += [_process(name, record, {}) for name, record in children.items()]
    init_pid = int(children.get("init", {}).get("pid") or 0)
    pids = state.inner_to_host(init_pid) if init_pid else {}
    inner = (state.read_json(folder.init_file) or {}).get("children", {}) if pids else {}
    return found + [_process(name, record, pids) for name, record in inner.items()]


def _process(name: str, record: dict[str, Any], pids: dict[int, int]) -> Process:
    number = int(record.get("pid") or 0)
    pid = pids.get(number, 0) if pids else number
    alive = bool(pid) and state.start_time(pid) is not None
    uptime = (state.age(pid) or 0.0) if alive else 0.0
    return Process(
        name=name, pid=pid if alive else 0, restarts=int(record.get("restarts", 0)), uptime=round(uptime, 1), last_exit=str(record.get("lastExit", ""))
    )


def gather(folder: state.StateFolder) -> Status:
    """Look at everything once."""
    supervisor = state.read_json(folder.supervisor_file)
    status = Status(name=folder.name, running=state.is_alive(supervisor))
    again = "varka up starts it again" if folder.name == state.DEFAULT_NAME else f"varka up --name {folder.name} starts it again"
    if not status.running:
        what = "the supervisor was killed, and with it the cluster" if supervisor else "the cluster is not running"
        status.problems.append(Problem(what=what, mend=again))
        return status
    status.server = f"https://127.0.0.1:{settings.load(folder.settings).api_port}"
    status.processes = processes(folder)
    for process in status.processes:
        if not process.pid or (process.restarts >= _MANY_RESTARTS and process.uptime < _UNSTEADY):
            what = f"{process.name} {'does not run' if not process.pid else 'keeps ending'} ({process.last_exit or 'starting'}, {process.restarts} restarts)"
            status.problems.append(Problem(what=what, mend=f"see {folder.logs / process.name}.log"))
    _, placed = forwards.read(folder.forwards_file)
    for place in placed:
        if not place.id.startswith("nodeport/"):
            status.forwards += [f"{place.id}:{port} → {place.url(port)}" for port in sorted(place.ports)]
    asyncio.run(_ask_api(folder, status))
    return status


async def _ask_api(folder: state.StateFolder, status: Status) -> None:
    from varka.client import http, kubeconfig, resources

    try:
        async with asyncio.timeout(_API_PATIENCE):
            target = kubeconfig.load(path=str(folder.kubeconfig))
            async with http.HttpApi(target.connection, timeout=_API_PATIENCE) as api:
                nodes = (await api.list(resources.NODES)).items
                pods = (await api.list(resources.PODS)).items
                configurations = [one for kind in (resources.MUTATING_WEBHOOKS, resources.VALIDATING_WEBHOOKS) for one in (await api.list(kind)).items]
                slices, services, deployments = [
                    (await api.list(kind)).items for kind in (resources.ENDPOINT_SLICES, resources.SERVICES, resources.DEPLOYMENTS)
                ]
                current = [pod for pod in pods if pod.get("status", {}).get("phase") not in ("Succeeded",)]
                telemetry = await addons.ask(api, services, current)
    except (VarkaError, OSError, TimeoutError) as error:
        status.problems.append(Problem(what=f"the API server does not answer: {error}", mend=f"see {folder.logs / 'node.log'}"))
        return
    status.node_ready = any(_condition(node, "Ready") for node in nodes)
    if not status.node_ready:
        status.problems.append(Problem(what="the node is not Ready", mend="kubectl describe node tells why"))
    status.pods = len(current)
    status.pods_ready = sum(_condition(pod, "Ready") for pod in current)
    status.problems += problems.of_pods(current)
    status.problems += problems.of_webhooks(configurations, slices, services, deployments)
    status.problems += telemetry


def _condition(obj: dict[str, Any], kind: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == "True" for one in obj.get("status", {}).get("conditions", []))


def _duration(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(seconds)) if seconds >= 60 else f"{seconds:.0f} s"


def _print(status: Status) -> None:
    click.echo(f"cluster {status.name}: {'running' if status.running else 'not running'}{' at ' + status.server if status.server else ''}")
    if status.processes:
        click.echo(f"  {'PROCESS':<12} {'PID':>8} {'RESTARTS':>9} {'UPTIME':>9}")
        for process in status.processes:
            click.echo(f"  {process.name:<12} {process.pid or '-':>8} {process.restarts:>9} {_duration(process.uptime):>9}")
        click.echo(f"  node {'Ready' if status.node_ready else 'NOT Ready'}, {status.pods_ready} of {status.pods} pods ready")
    for line in status.forwards:
        click.echo(f"  {line}")
    for problem in status.problems:
        click.echo(f"  problem: {problem.what}\n           → {problem.mend}")


@click.command("status", epilog="Example: varka status -o json")
@options.cluster
@options.output
def command(name: str, output: str) -> int:
    """Show the cluster's processes and what is wrong with it; exit code 1 when something is."""
    status = gather(state.folder(name))
    if output == "json":
        options.show_json({**dataclasses.asdict(status), "healthy": status.healthy})
    else:
        _print(status)
    return 0 if status.healthy else 1
