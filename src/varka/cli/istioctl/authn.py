"""`istioctl authn tls-check`: whether a client and the services that it may call agree about mutual TLS."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from varka.base.errors import VarkaError
from varka.cli.istioctl import session, tables
from varka.cli.istioctl.main import Globals

if TYPE_CHECKING:
    from varka.analysis.mutual_tls import Agreement
    from varka.cli.istioctl.session import Session

HEADER = ("HOST:PORT", "STATUS", "SERVER", "CLIENT", "AUTHN POLICY", "DESTINATION RULE")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def authn() -> None:
    """Show which mutual TLS settings clients and servers meet with."""


@authn.command("tls-check", epilog="Example: istioctl authn tls-check productpage-v1-abc.default details.default.svc.cluster.local:9080")
@click.argument("pod")
@click.argument("host", required=False, default="")
@click.pass_obj
def tls_check(flags: Globals, pod: str, host: str) -> None:
    """Show for each service that POD may call, or for HOST[:PORT] alone, what server and client expect."""
    click.echo(tables.render(rows(session.run(flags, lambda opened: _collect(opened, pod)), host)), nl=False)


def rows(found: Sequence[Agreement], host: str = "") -> list[Sequence[str]]:
    """The table; VarkaError when `host` is given and unknown."""
    name, _, port = host.partition(":")
    chosen = [one for one in found if name in {"", one.host, one.host.split(".svc.", 1)[0]} and port in {"", str(one.port)}]
    if host and not chosen:
        raise VarkaError(f"nothing is known of {host}", "give the whole name and a port of the service, such as details.default.svc.cluster.local:9080")
    return [HEADER, *((f"{one.host}:{one.port}", one.status, one.server, one.client, one.policy, one.rule) for one in chosen)]


async def _collect(opened: Session, pod: str) -> list[Agreement]:
    from varka.analysis import mutual_tls
    from varka.cli.istioctl.analyzing import collecting
    from varka.model.view import Proxy, ProxyType

    namespace, name = await session.pod_of(opened, pod)
    objects, mesh = await collecting.objects(opened), await collecting.mesh_settings(opened)
    found = collecting.snapshot(objects, mesh)
    one = next(obj for obj in objects if obj["kind"] == "Pod" and obj["metadata"]["name"] == name and obj["metadata"]["namespace"] == namespace)
    labels, address = dict(one["metadata"].get("labels") or {}), str((one.get("status") or {}).get("podIP") or "")
    return mutual_tls.agreements(found, Proxy(id=f"{name}.{namespace}", type=ProxyType.SIDECAR, name=name, namespace=namespace, ip=address, labels=labels))
