"""The sub-commands of `istioctl proxy-config`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from varka.base.errors import VarkaError
from varka.cli.istioctl import session, tables
from varka.cli.istioctl.main import Globals
from varka.cli.istioctl.proxy_config import clusters, dump, endpoints, listeners, routes, secrets
from varka.cli.istioctl.proxy_config.dump import ConfigDump

Command = Callable[..., Any]
ALIASES = {
    "l": "listener", "listeners": "listener", "c": "cluster", "clusters": "cluster", "r": "route", "routes": "route",
    "ep": "endpoint", "endpoints": "endpoint", "s": "secret", "secrets": "secret", "b": "bootstrap",
}  # fmt: skip


class Kinds(click.Group):
    """Sub-commands with the short and plural names that people type."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))


@click.group(cls=Kinds, epilog="Example: istioctl proxy-config cluster deployment/productpage-v1 --fqdn reviews.default.svc.cluster.local")
def proxy_config() -> None:
    """Show what a proxy's Envoy is configured with. A proxy is a pod, POD.NAMESPACE, or deployment/NAME."""


def common(function: Command) -> Command:
    """The argument and flags that all sub-commands share."""
    function = click.option("-o", "--output", type=click.Choice(["short", "json", "yaml"]), default="short", help="Output format.")(function)
    function = click.option("-f", "--file", "file", default="", metavar="FILE", help="Read this config dump instead of asking a proxy; - is standard input.")(
        function
    )
    return click.argument("proxy", required=False, default="")(function)


def fetch(flags: Globals, proxy: str, file: str, path: str = "/config_dump") -> str:
    """The text of an admin path, or of the file."""
    if bool(proxy) == bool(file):
        raise click.UsageError("config dump requires pod name or --file parameter")
    if file:
        try:
            return sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        except OSError as error:
            raise VarkaError(f"cannot read {file}: {error.strerror}") from error

    async def get(opened: session.Session) -> str:
        namespace, pod = await session.pod_of(opened, proxy)
        return (await opened.envoy_get(namespace, pod, path)).decode()

    return session.run(flags, get)


def show(output: str, value: Any, rows: Iterable[Sequence[str]], padding: int = tables.PADDING) -> None:
    """The value for programs, or the table for people."""
    if output == "json":
        click.echo(json.dumps(dump.camel(value), indent=4))
    elif output == "yaml":
        import yaml

        click.echo(yaml.safe_dump(dump.camel(value), sort_keys=True, default_flow_style=False), nl=False)
    else:
        click.echo(tables.render(rows, padding), nl=False)


@proxy_config.command("listener")
@common
@click.option("--address", default="", help="Only listeners on this address.")
@click.option("--port", default=0, help="Only listeners on this port.")
@click.option("--type", "type_", default="", help="Only listeners of this type: HTTP or TCP.")
@click.option("--verbose/--no-verbose", default=True, help="Show matches and destinations (on by default).")
@click.pass_obj
def listener(flags: Globals, proxy: str, file: str, output: str, address: str, port: int, type_: str, verbose: bool) -> None:
    """Listeners: addresses, ports, matches and destinations."""
    wanted = listeners.Filter(address, port, type_)
    found = [each for each in dump.parse(fetch(flags, proxy, file)).listeners() if wanted.passes(each)]
    brief = [("ADDRESSES", "PORT", "TYPE"), *((listeners.address(each), str(listeners.port(each)), listeners.kind(each)) for each in found)]
    show(output, found, listeners.rows(found) if verbose else brief, padding=1)


@proxy_config.command("cluster")
@common
@click.option("--fqdn", default="", help="Only clusters of this host.")
@click.option("--port", default=0, help="Only clusters of this port.")
@click.option("--subset", default="", help="Only clusters of this subset.")
@click.option("--direction", default="", help="Only inbound or outbound clusters.")
@click.pass_obj
def cluster(flags: Globals, proxy: str, file: str, output: str, fqdn: str, port: int, subset: str, direction: str) -> None:
    """Clusters: the hosts that a proxy can send to."""
    wanted = clusters.Filter(fqdn, port, subset, direction)
    found = [each for each in dump.parse(fetch(flags, proxy, file)).clusters() if wanted.passes(each)]
    show(output, found, clusters.rows(found))


@proxy_config.command("route")
@common
@click.option("--name", default="", help="Only the route configuration of this name.")
@click.pass_obj
def route(flags: Globals, proxy: str, file: str, output: str, name: str) -> None:
    """Routes: virtual hosts, domains, matches."""
    found = [each for each in dump.parse(fetch(flags, proxy, file)).routes() if not name or each.get("name") == name]
    show(output, found, routes.rows(found))


@proxy_config.command("endpoint")
@common
@click.option("--address", default="", help="Only endpoints on this address.")
@click.option("--port", default=0, help="Only endpoints on this port.")
@click.option("--cluster", default="", help="Only endpoints of this cluster.")
@click.option("--status", default="", help="Only endpoints in this state: healthy, unhealthy or draining.")
@click.pass_obj
def endpoint(flags: Globals, proxy: str, file: str, output: str, address: str, port: int, cluster: str, status: str) -> None:
    """Endpoints: addresses behind each cluster, with their health."""
    wanted = endpoints.Filter(address, port, cluster, status)
    if file:
        assignments = [dump.fields(each) for each in dump.parse(fetch(flags, proxy, file)).endpoints() if endpoints.matching(each, wanted)]
        show(output, sorted(assignments, key=lambda each: clusters.parts(str(each["cluster_name"]))), endpoints.rows(endpoints.dumped(assignments), wanted))
        return
    document = json.loads(fetch(flags, proxy, file, "/clusters?format=json"))
    kept = {each.cluster for each in endpoints.live(document) if wanted.passes(each)}
    statuses = [each for each in document.get("cluster_statuses", []) if each["name"] in kept]
    show(output, statuses, endpoints.rows(endpoints.live(document), wanted))


@proxy_config.command("secret")
@common
@click.pass_obj
def secret(flags: Globals, proxy: str, file: str, output: str) -> None:
    """Secrets: certificates in use, with serial number and validity."""
    from varka.base.clock import SystemClock

    section = dump.parse(fetch(flags, proxy, file)).section("SecretsConfigDump")
    if "dynamic_active_secrets" in section:
        section = {
            **section,
            "dynamic_active_secrets": sorted(section["dynamic_active_secrets"], key=lambda each: (each.get("name") != "default", each.get("name", ""))),
        }
    show(output, dump.fields(section), secrets.rows(section, SystemClock().now()))


@proxy_config.command("bootstrap")
@common
@click.pass_obj
def bootstrap(flags: Globals, proxy: str, file: str, output: str) -> None:
    """Bootstrap: what Envoy was started with."""
    found = dump.parse(fetch(flags, proxy, file)).bootstrap()
    node = (found.get("bootstrap") or {}).get("node") or {}
    meta = node.get("metadata") or {}
    rows = [
        ("NODE", str(node.get("id", ""))),
        ("ISTIO VERSION", str(meta.get("ISTIO_VERSION", ""))),
        ("MESH ID", str(meta.get("MESH_ID", ""))),
        ("CLUSTER ID", str(meta.get("CLUSTER_ID", ""))),
        ("DISCOVERY ADDRESS", str((meta.get("PROXY_CONFIG") or {}).get("discoveryAddress", ""))),
    ]
    show(output, found, rows)


@proxy_config.command("ecds")
@common
@click.pass_obj
def ecds(flags: Globals, proxy: str, file: str, output: str) -> None:
    """Filter configurations that Envoy discovers by name."""
    sections = dump.parse(fetch(flags, proxy, file)).sections("EcdsConfigDump")
    entries = [entry for section in sections for entry in section.get("ecds_filters", [])]
    rows: list[tuple[str, ...]] = []
    for entry in entries:
        found = entry.get("ecds_filter") or {}
        kind = str((found.get("typed_config") or {}).get("@type", "")).rpartition("/")[2]
        rows.append((str(found.get("name", "")), kind))
    show(output, {"ecds_filters": entries}, [("ECDS NAME", "TYPE"), *sorted(rows, key=lambda row: (row[1], row[0]))])


@proxy_config.command("all")
@common
@click.pass_obj
def everything(flags: Globals, proxy: str, file: str, output: str) -> None:
    """Everything: the tables one after another, or the whole dump."""
    from varka.base.clock import SystemClock

    text = fetch(flags, proxy, file, "/config_dump?include_eds")
    if output == "json":
        click.echo(text)
        return
    found: ConfigDump = dump.parse(text)
    if output == "yaml":
        show(output, {"configs": found.configs}, [])
        return
    parts: list[tuple[Iterable[Sequence[str]], int]] = [
        (clusters.rows(found.clusters()), tables.PADDING),
        (listeners.rows(found.listeners()), 1),
        (routes.rows(found.routes()), tables.PADDING),
        (endpoints.rows(endpoints.dumped(found.endpoints()), endpoints.Filter()), tables.PADDING),
        (secrets.rows(found.section("SecretsConfigDump"), SystemClock().now()), tables.PADDING),
    ]
    click.echo("\n".join(tables.render(rows, padding) for rows, padding in parts), nl=False)


@proxy_config.command("log")
@click.argument("proxy")
@click.option("--level", default="", help="LEVEL for all loggers, or LOGGER:LEVEL,… for some.")
@click.pass_obj
def log(flags: Globals, proxy: str, level: str) -> None:
    """Log levels of Envoy: show them, or set them."""
    known = {"trace", "debug", "info", "warning", "error", "critical", "off"}
    queries = ["level=" + part if ":" not in part else part.replace(":", "=", 1) for part in level.split(",") if part] or [""]
    for query in queries:
        if query and query.partition("=")[2] not in known:
            raise click.UsageError(f"{query.partition('=')[2]!r} is no log level; use one of {', '.join(sorted(known))}")

    async def post(opened: session.Session) -> str:
        namespace, pod = await session.pod_of(opened, proxy)
        answers = [await opened.envoy_get(namespace, pod, f"/logging?{query}", method="POST") for query in queries]
        return answers[-1].decode()

    click.echo(session.run(flags, post), nl=False)
