"""`varka requests`: the requests of the whole mesh, live."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import click

from varka.base import durations
from varka.cli import options

if TYPE_CHECKING:
    from varka.telemetry.requests.filters import Filter
    from varka.telemetry.requests.record import Request

_COLOURS = {2: "green", 3: "cyan", 4: "yellow", 5: "red"}


def _milliseconds(_ctx: click.Context, _option: click.Parameter, value: str) -> int:
    try:
        return int(durations.seconds(value) * 1000) if value else 0
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command("requests", epilog="Example: varka requests -w reviews --code 5xx --code 403 --slower 100ms")
@options.mesh
@click.option("-n", "--namespace", default="", help="Only what proxies of this namespace tell.  [default: all]")
@click.option("-w", "--workload", "workloads", multiple=True, help="Caller or callee, as NAME or NAME.NAMESPACE; may be repeated.")
@click.option("-c", "--code", "codes", multiple=True, help="Response code, such as 403 or 5xx; 0 for connections; may be repeated.")
@click.option("-f", "--flag", "flags", multiple=True, help="Envoy's response flag, such as UH, UF or UAEX; may be repeated.")
@click.option("-p", "--policy", "policies", multiple=True, help="AuthorizationPolicy that refused, as NAME or NAMESPACE/NAME; `none` where none allowed.")
@click.option("-s", "--slower", default="", callback=_milliseconds, metavar="DURATION", help="Only what took at least so long, such as 100ms.")
@click.option("--both", is_flag=True, help="What both proxies of a request tell, not only the callee's.")
@click.option("--tail", type=click.IntRange(0), default=0, help="Begin with the last lines of each proxy's log.")
@click.option("--limit", type=click.IntRange(1), default=None, help="End after so many requests.")
@click.option("--for", "duration", default="", metavar="DURATION", callback=_milliseconds, help="End after this time, such as 30s.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the output; json is one object a line.")
def command(
    name: str | None, namespace: str, tail: int, both: bool, limit: int | None, duration: int, output: str, slower: int, **lists: tuple[str, ...]
) -> None:
    """Show the mesh's requests as they come, from the proxies' access logs. Ctrl-C ends it."""
    from varka.telemetry.requests.filters import Filter

    wanted = Filter(slower=slower, **lists)
    showing = _Showing(wanted=wanted, as_json=output == "json", limit=limit)
    try:
        asyncio.run(_show(name, namespace, both=both, tail=tail, duration=duration / 1000, showing=showing))
    except (KeyboardInterrupt, TimeoutError):
        pass
    if showing.unread:
        raise BrokenPipeError
    if showing.lost:
        click.echo(f"{showing.lost} requests were left out: they came faster than they could be shown", err=True)


class _Showing:
    """Prints the requests that are wanted, and counts them."""

    def __init__(self, *, wanted: Filter, as_json: bool, limit: int | None) -> None:
        self._wanted = wanted
        self._as_json = as_json
        self._left = limit
        self.lost = 0
        self.unread = False
        """Whether the program that read this has gone."""

    def show(self, request: Request) -> bool:
        """Print a request if it is wanted; whether to go on."""
        if not self._wanted.wants(request):
            return True
        try:
            click.echo(_json(request) if self._as_json else _text(request))
            sys.stdout.flush()
        except BrokenPipeError:
            self.unread = True
            return False
        if self._left is not None:
            self._left -= 1
        return self._left is None or self._left > 0


async def _show(name: str | None, namespace: str, *, both: bool, tail: int, duration: float, showing: _Showing) -> None:
    from varka.cli import targets
    from varka.client.http import HttpApi
    from varka.client.informers import Informers
    from varka.telemetry.requests.following import Follower

    async with HttpApi(targets.load(name).connection) as api, asyncio.timeout(duration or None):
        informers = Informers(api)
        follower = Follower(api, informers, namespace=namespace, both=both, tail=tail)
        watching = asyncio.create_task(informers.run())
        try:
            async with follower.running() as requests:
                await informers.synced(30)
                async for request in requests:
                    if not showing.show(request):
                        break
        finally:
            showing.lost = follower.lost
            watching.cancel()


def _text(request: Request) -> str:
    line = request.line
    what = f"{line.method} {line.path}" if line.method else f"{line.protocol or 'TCP'} {line.bytes_received}→{line.bytes_sent} bytes"
    code = str(line.response_code) if line.response_code else "-"
    reason = f"refused by policy {line.policy}" if line.policy not in ("", "none") else "no policy allows it" if line.policy else _reason(request)
    who = f"{request.source.label} → {request.destination.label}"
    coloured = click.style(f"{code:>3}", fg=_COLOURS.get(line.response_code // 100))
    shown = [
        line.start_time[11:23],
        coloured,
        f"{line.response_flags:<5}",
        f"{line.duration:>6} ms",
        who,
        what,
        click.style(reason, dim=True) if reason else "",
    ]
    return "  ".join(shown).rstrip()


def _reason(request: Request) -> str:
    line = request.line
    details = "" if line.response_code_details in ("via_upstream", "") else line.response_code_details
    return " ".join(filter(None, (details, line.connection_termination_details, line.upstream_transport_failure_reason)))


def _json(request: Request) -> str:
    import dataclasses

    shown = dataclasses.asdict(request.line)
    shown |= {"source": request.source.label, "destination": request.destination.label, "reporter": request.reporter.pod, "policy": request.line.policy}
    return json.dumps({**shown, "direction": request.line.direction}, ensure_ascii=False)
