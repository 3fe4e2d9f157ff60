"""`istioctl version`: of this program, of the control plane, and of the proxies."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import click

from varka import ISTIO_VERSION
from varka.base.errors import VarkaError
from varka.cli.istioctl import session
from varka.cli.istioctl.main import Globals

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session


@click.command(epilog="Example: istioctl version -o json")
@click.option("--remote/--no-remote", default=True, help="Ask the control plane too (on by default).")
@click.option("-s", "--short", is_flag=True, default=True, help="Accepted for compatibility: the output is always short.")
@click.option("-o", "--output", type=click.Choice(["json", "yaml"]), help="Output for programs.")
@click.pass_obj
def version(flags: Globals, remote: bool, short: bool, output: str | None) -> None:
    """Show the versions of client, control plane and data plane."""
    found: dict[str, Any] = {"clientVersion": {"version": ISTIO_VERSION}}
    note = ""
    if remote:
        try:
            found |= session.run(flags, _remote)
        except VarkaError as error:
            note = str(error)
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif output == "yaml":
        import yaml

        click.echo(yaml.safe_dump(found, sort_keys=False), nl=False)
    else:
        for line in lines(found, remote=remote, note=note):
            click.echo(line)


def lines(found: dict[str, Any], *, remote: bool, note: str) -> list[str]:
    """The form for people."""
    told = [f"client version: {found['clientVersion']['version']}"]
    if not remote:
        return told
    mesh = sorted({str(entry["version"]) for entry in found.get("meshVersion") or []})
    if not mesh:
        return [*told, f"control plane version: none ({note or 'no Istio components detected'})"]
    revisions = sorted({str(entry.get("revision") or "default") for entry in found["meshVersion"]})
    which = f" (revisions {', '.join(revisions)})" if len(revisions) > 1 else ""
    told.append(f"control plane version: {', '.join(mesh)}{which}")
    proxies = Counter(str(entry["version"]) for entry in found.get("dataPlaneVersion") or [])
    if proxies:
        told.append("data plane version: " + ", ".join(f"{name} ({count} proxies)" for name, count in sorted(proxies.items())))
    else:
        told.append("data plane version: none")
    return told


async def _remote(opened: Session) -> dict[str, Any]:
    control: list[dict[str, str]] = []
    proxies: list[dict[str, str]] = []
    for pod in await opened.istiod_pods():
        name = pod["metadata"]["name"]
        answer = await opened.istiod_get(name, "/version")
        control.append({"component": "pilot", "revision": str(answer.get("revision") or "default"), "version": str(answer["version"])})
        for entry in await opened.istiod_get(name, "/debug/syncz"):
            proxies.append({"id": entry["proxy"], "version": str(entry.get("istio_version") or ISTIO_VERSION)})
    return {"meshVersion": control, "dataPlaneVersion": proxies}
