"""`varka traffic`: requests for labs and demos, with a live view, from this machine or as a workload of the mesh."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import click

from varka.base import durations
from varka.base.errors import VarkaError
from varka.cli import options

if TYPE_CHECKING:
    from rich.console import RenderableType

    from varka.telemetry.traffic.plan import Plan
    from varka.telemetry.traffic.statistics import Interval

_PERCENTILES = (50, 90, 99)


def _seconds(_ctx: click.Context, _option: click.Parameter, value: str) -> float:
    try:
        return durations.seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command("traffic", epilog="Example: varka traffic --rate 50 --for 2m --path /productpage --errors 5% --delays 0s=90,1s=10")
@options.mesh
@click.argument("url", required=False)
@click.option("--from", "workload", default="", metavar="POD", help="Send as this pod (or deployment/NAME, NAME.NAMESPACE), through its sidecar.")
@click.option("-n", "--namespace", default="", help="Namespace of --from.")
@click.option("-r", "--rate", type=click.FloatRange(0.01, 5000), default=10.0, show_default=True, help="Requests a second.")
@click.option("--for", "seconds", default="1m", show_default=True, callback=_seconds, metavar="DURATION", help="How long; it stops by itself.")
@click.option("-p", "--path", "paths", multiple=True, metavar="PATH[=WEIGHT]", help="Path; may be repeated.  [default: the URL's, else /productpage]")
@click.option("-X", "--method", default="GET", show_default=True, help="HTTP method.")
@click.option(
    "-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE[=SHARE]'", help="Header of all requests, or of so many in 100; may be repeated."
)
@click.option("--errors", default="0%", show_default=True, help="Share of requests that go to --error-path.")
@click.option("--error-path", default="/non-existent-page", show_default=True, help="Where nothing is.")
@click.option("--delays", default="", metavar="MIX", help="Delays to ask for, such as 0s=90,1s=10: `{delay}` in a path, else the parameter `delay`.")
@click.option("-c", "--connections", type=click.IntRange(1, 1000), default=64, show_default=True, help="Most connections at a time.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed picks the same requests.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Form of the summary.")
def command(name: str | None, url: str | None, workload: str, namespace: str, output: str, **given: object) -> int:
    """Send requests to URL, or through the ingress gateway, and show what comes back.

    Exit code 1 when nothing was answered.
    """
    plan = _plan(url or _gateway(name), with_path=url is not None, **given)  # type: ignore[arg-type]
    view = _View(plan, as_json=output == "json")
    asyncio.run(_run(plan, name, workload, namespace, view))
    view.end()
    return 0 if view.total.answered else 1


def _plan(url: str, *, with_path: bool, paths: tuple[str, ...], headers: tuple[str, ...], errors: str, delays: str, **plain: object) -> Plan:
    from urllib.parse import urlsplit

    from varka.telemetry.traffic import plan

    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise VarkaError(f"{url!r} is no URL", "write one such as http://reviews:9080/reviews/0")
    own = f"{parts.path}{'?' + parts.query if parts.query else ''}"
    chosen = paths or ((own or "/") if with_path else "/productpage",)
    return plan.Plan(
        url=f"{parts.scheme}://{parts.netloc}",
        paths=plan.paths(chosen) if paths else (plan.Weighted(chosen[0]),),
        headers=plan.headers(headers),
        error_share=plan.share(errors),
        delays=plan.delays(delays),
        **plain,  # type: ignore[arg-type]
    )


def _gateway(name: str | None) -> str:
    """The ingress gateway's address on this machine: that of the cluster here, or what GATEWAY_URL says."""
    import os

    from varka.cli import env
    from varka.cluster import state

    folder = state.folder(name or os.environ.get("VARKA_CLUSTER") or state.DEFAULT_NAME)
    found = os.environ.get("GATEWAY_URL", "") if name is None else ""
    found = found or (env.variables(folder).get("GATEWAY_URL", "") if folder.kubeconfig.exists() else "")
    if not found:
        raise VarkaError("there is no ingress gateway on this machine", "give a URL, or deploy a gateway and set GATEWAY_URL")
    return found


async def _run(plan: Plan, name: str | None, workload: str, namespace: str, view: _View) -> None:
    """Send from here or from the pod until the plan ends or Ctrl-C comes; what came back until then is shown."""
    async with AsyncExitStack() as stack:
        if workload:
            intervals, stop = await _remote(plan, name, workload, namespace, stack)
        else:
            from varka.telemetry.traffic.engine import Engine

            engine = Engine(plan)
            intervals, stop = engine.run(), engine.stop
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop)
        with view:
            async for interval in intervals:
                view.add(interval)


async def _remote(plan: Plan, name: str | None, workload: str, namespace: str, stack: AsyncExitStack) -> tuple[AsyncIterator[Interval], Callable[[], None]]:
    import msgspec

    from varka.cli import targets
    from varka.cli.istioctl import session
    from varka.cli.istioctl.main import Globals
    from varka.client import streams
    from varka.client.http import HttpApi

    target = targets.load(name)
    api = await stack.enter_async_context(HttpApi(target.connection))
    flags = Globals(kubeconfig="", context="", namespace=namespace, istio_namespace="istio-system")
    space, pod = await session.pod_of(session.Session(api, flags, namespace or target.namespace), workload)
    line = [sys.executable, "-P", "-m", "varka.telemetry.traffic", msgspec.json.encode(plan).decode()]
    running = await streams.exec_in(api, space, pod, line, stdin=True)
    stack.push_async_callback(running.close)
    tasks: set[asyncio.Task[None]] = set()

    def stop() -> None:
        tasks.add(asyncio.create_task(running.close_stdin()))

    return _intervals(running, f"pod/{space}/{pod}"), stop


async def _intervals(running: object, where: str) -> AsyncIterator[Interval]:
    import msgspec

    from varka.client import streams
    from varka.telemetry.traffic.statistics import Interval

    assert isinstance(running, streams.ExecStream)
    rest, complaint = b"", b""
    async for channel, data in running.output():
        if channel == streams.STDERR:
            complaint = (complaint + data)[-2000:]
            continue
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            yield msgspec.json.decode(line, type=Interval)
    if running.exit_code:
        raise VarkaError(
            f"{where} cannot send: {complaint.decode(errors='replace').strip() or f'exit code {running.exit_code}'}",
            "its container needs this Python and Varka, as pods of a cluster on this machine have them; elsewhere send without --from",
        )


class _View:
    """What is shown while it runs, and at the end. A terminal gets one picture that changes, anything else a line a second."""

    def __init__(self, plan: Plan, *, as_json: bool) -> None:
        from varka.telemetry.traffic.statistics import Interval

        self._plan = plan
        self._as_json = as_json
        self._last = Interval()
        self._stack = AsyncExitStack()
        self._live: object | None = None
        self.total = Interval()

    def __enter__(self) -> None:
        if sys.stdout.isatty() and not self._as_json:
            from rich.console import Console
            from rich.live import Live

            self._live = Live(self._picture(), console=Console(), auto_refresh=False, transient=True)
            self._live.start()

    def __exit__(self, *_: object) -> None:
        from rich.live import Live

        if isinstance(self._live, Live):
            self._live.stop()

    def add(self, interval: Interval) -> None:
        """A second has passed."""
        from rich.live import Live

        self._last = interval
        self.total.join(interval)
        if isinstance(self._live, Live):
            self._live.update(self._picture(), refresh=True)
        elif not self._as_json and interval.done:
            click.echo(
                f"{self.total.seconds:6.0f} s  {interval.done / max(interval.seconds, 0.001):8.1f}/s  p50 {interval.percentile(0.5):7.1f} ms  "
                f"p99 {interval.percentile(0.99):7.1f} ms  {_codes(interval)}"
            )

    def end(self) -> None:
        """The summary."""
        if self._as_json:
            total = self.total
            shown = {f"p{one}Milliseconds": round(total.percentile(one / 100), 3) for one in _PERCENTILES}
            options.show_json(
                {"url": self._plan.url, "seconds": round(total.seconds, 3), "sent": total.sent, "late": total.late, "codes": total.codes, **shown}
            )
            return
        from rich.console import Console

        Console().print(self._picture(final=True))

    def _picture(self, *, final: bool = False) -> RenderableType:
        from rich.table import Table

        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column(f"{self._plan.method} {self._plan.url}", no_wrap=True)
        names = (["last second"] if not final else []) + ["all"]
        for name in names:
            table.add_column(name, justify="right")
        columns = ([self._last] if not final else []) + [self.total]
        table.add_row("requests/s", *(f"{one.done / max(one.seconds, 0.001):.1f}" for one in columns))
        table.add_row("requests", *(str(one.done) for one in columns))
        for share in _PERCENTILES:
            table.add_row(f"p{share} ms", *(f"{one.percentile(share / 100):.1f}" if one.answered else "-" for one in columns))
        for code in sorted(self.total.codes):
            colour = {"2": "green", "3": "cyan", "4": "yellow"}.get(code[:1], "red") if code.isdigit() else "red"
            table.add_row(f"[{colour}]{code}[/]", *(str(one.codes.get(code, 0)) for one in columns))
        if self.total.late:
            table.add_row("[yellow]late[/]", *(str(one.late) for one in columns))
        if not final:
            table.caption_justify = "left"
            table.caption = f"{self.total.seconds:.0f} of {self._plan.seconds:.0f} s at {self._plan.rate:g}/s, Ctrl-C ends it"
        return table


def _codes(interval: Interval) -> str:
    return "  ".join(f"{code}: {count}" for code, count in sorted(interval.codes.items())) + (f"  late: {interval.late}" if interval.late else "")
