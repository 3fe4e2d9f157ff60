"""`varka graph`: who calls whom, from Prometheus: in the terminal, as JSON, or in Kiali's JSON."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import click

from varka.base import durations
from varka.base.errors import VarkaError
from varka.cli import options

if TYPE_CHECKING:
    from rich.table import Table

    from varka.cli.istioctl.session import Session
    from varka.telemetry.graph.building import Sample, Wish
    from varka.telemetry.graph.topology import Edge, Graph, Node

_PORT = 9090
_WIDE = 120
"""Columns of a terminal that has room for everything; a narrower one gets names on several lines and fewer numbers."""


def _seconds(_ctx: click.Context, _option: click.Parameter, value: str) -> int:
    try:
        return max(1, int(durations.seconds(value)))
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command("graph", epilog="Example: varka graph -n default --last 5m")
@options.mesh
@click.option("-n", "--namespace", "namespaces", multiple=True, help="A namespace; may be repeated.  [default: all]")
@click.option("-t", "--type", "kind", type=click.Choice(["versionedApp", "workload", "app", "service"]), default="versionedApp", show_default=True)
@click.option("--last", "seconds", default="1m", show_default=True, callback=_seconds, metavar="DURATION", help="Over which time.")
@click.option("--services", is_flag=True, help="Show the service that was called between caller and callee.")
@click.option("--prometheus", "url", default="", metavar="URL", help="Where Prometheus is.  [default: the service prometheus in istio-system]")
@click.option("-o", "--output", type=click.Choice(["text", "json", "kiali"]), default="text", help="Form of the output.")
def command(name: str | None, namespaces: tuple[str, ...], kind: str, seconds: int, services: bool, url: str, output: str) -> int:
    """Show who calls whom: rates, errors, latencies and mutual TLS. When there is nothing to see, it says why; exit code 1."""
    from varka.telemetry.graph import kiali_json
    from varka.telemetry.graph.building import Wish
    from varka.telemetry.graph.topology import GraphType

    wish = Wish(type=GraphType(kind), namespaces=tuple(sorted(namespaces)), seconds=seconds, time=time.time(), inject_services=services)
    made = asyncio.run(_collect(name, url, wish))
    if output == "kiali":
        click.echo(json.dumps(kiali_json.graph(made), indent=2))
    elif output == "json":
        options.show_json(_plain(made))
    else:
        _print(made)
    return 0 if made.edges else 1


async def _collect(name: str | None, url: str, wish: Wish) -> Graph:
    from varka.telemetry.graph import collecting

    if url:
        import aiohttp

        from varka.telemetry.graph.prometheus import Prometheus

        async with aiohttp.ClientSession() as session:
            return await collecting.collect(Prometheus(session, url), wish, where=url)
    from varka.cli import targets
    from varka.cli.istioctl.main import Globals
    from varka.cli.istioctl.session import Session
    from varka.client.http import HttpApi

    async with HttpApi(targets.load(name).connection) as api:
        flags = Globals(kubeconfig="", context="", namespace="istio-system", istio_namespace="istio-system")
        return await collecting.collect(_Forwarded(Session(api, flags, "istio-system")), wish, where="svc/prometheus in istio-system")


class _Forwarded:
    """Prometheus in the cluster, asked over a port-forward as kubectl would."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pod: tuple[str, str] | None = None
        self._finding = asyncio.Lock()

    async def query(self, promql: str, moment: float) -> tuple[Sample, ...]:
        from urllib.parse import urlencode

        from varka.cli.istioctl import session
        from varka.telemetry.graph import prometheus

        try:
            async with self._finding:
                self._pod = self._pod or await session.pod_of(self._session, "service/prometheus")
            body = await self._session.pod_get(*self._pod, _PORT, "/api/v1/query?" + urlencode({"query": promql, "time": f"{moment:.3f}"}))
        except VarkaError as error:
            raise prometheus.PrometheusError(error.message) from error
        return prometheus.samples(body)


def _print(made: Graph) -> None:
    from rich.console import Console

    for reason in made.reasons:
        click.echo(f"nothing to see: {reason}")
    if made.edges:
        console = Console(width=None if Console().is_terminal else 160)
        console.print(_table(made, wide=console.width >= _WIDE))
    if made.idle:
        click.echo("idle: " + ", ".join(_label(made, node) for node in sorted(made.idle)))


def _table(made: Graph, *, wide: bool) -> Table:
    from rich import box
    from rich.table import Table

    numbers = {"rate": True, "errors": True, "p50 ms": wide, "p95 ms": True, "p99 ms": wide, "share": wide, "mTLS": True}
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1) if wide else (0, 1, 0, 0))
    for title in ("from", "to"):
        table.add_column(title, no_wrap=wide, overflow="fold")
    table.add_column("", no_wrap=True)
    for title in (title for title, shown in numbers.items() if shown):
        table.add_column(title, justify="right", no_wrap=True)
    for edge in made.edges:
        row = _row(made, edge)
        table.add_row(*row[:3], *(cell for cell, shown in zip(row[3:], numbers.values(), strict=True) if shown))
    return table


def _row(made: Graph, edge: Edge) -> tuple[str, ...]:
    rate = f"{edge.rate / 1024:.1f} KiB/s" if edge.protocol == "tcp" else f"{edge.rate:.2f}/s"
    failures = edge.errors / edge.rate if edge.rate and edge.protocol != "tcp" else 0.0
    errors = "-" if edge.protocol == "tcp" else f"[red]{failures:.1%}[/]" if failures else "0%"
    times = (edge.latency.p50, edge.latency.p95, edge.latency.p99)
    secured = "-" if edge.mutual_tls is None else f"{edge.mutual_tls:.0%}"
    return (
        _label(made, edge.source),
        _label(made, edge.target),
        edge.protocol,
        rate,
        errors,
        *("-" if one is None else f"{one:.1f}" for one in times),
        f"{made.share(edge):.0%}",
        secured,
    )


def _label(made: Graph, node: Node) -> str:
    """Name and, where several namespaces are shown, namespace."""
    several = len({one.namespace for one in made.nodes}) > 1
    kind = " (service)" if node.type == "service" and made.type != "service" else ""
    return f"{node.name}{kind}{'.' + node.namespace if several and node.namespace not in ('', 'unknown') else ''}"


def _plain(made: Graph) -> dict[str, Any]:
    from dataclasses import asdict

    def node(one: Node) -> dict[str, Any]:
        return {key: value for key, value in asdict(one).items() if value} | {"idle": one in made.idle, "root": one in made.roots()}

    def edge(one: Edge) -> dict[str, Any]:
        shown = asdict(one)
        responses = [{"code": code, "flags": flags, "host": host, "rate": rate} for (code, flags, host), rate in one.responses.items()]
        ends = {"source": made.nodes.index(one.source), "target": made.nodes.index(one.target)}
        return shown | ends | {"responses": responses, "errors": one.errors, "share": made.share(one)}

    return {
        "type": str(made.type),
        "time": made.time,
        "seconds": made.seconds,
        "nodes": [node(one) for one in made.nodes],
        "edges": [edge(one) for one in made.edges],
        "reasons": list(made.reasons),
    }
