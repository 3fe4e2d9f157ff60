"""`istioctl proxy-status`: for each proxy, whether it has acknowledged the newest configuration of each type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from varka.base.errors import VarkaError
from varka.cli.istioctl import session, tables
from varka.cli.istioctl.main import Globals

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session

TYPES = ("CDS", "LDS", "EDS", "RDS", "ECDS")
"""The columns, in the order in which Istio documents the types."""


@click.command(epilog="Example: istioctl proxy-status deployment/productpage-v1")
@click.argument("proxy", required=False, default="")
@click.option("-v", "--verbosity", default=1, show_default=True, help="0: the subscribed types in one column; 1: a column for each type.")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Output format.")
@click.pass_obj
def proxy_status(flags: Globals, proxy: str, verbosity: int, output: str) -> None:
    """Show whether each proxy has the newest configuration. With a proxy: where its types stand, and what it refused."""
    statuses = session.run(flags, lambda opened: collect(opened, proxy))
    if output == "json":
        click.echo(json.dumps(statuses, indent=2))
        return
    click.echo(tables.render(detailed(statuses) if verbosity > 0 else compact(statuses)), nl=False)
    refused = [(status["proxy"], kind, text) for status in statuses for kind, text in sorted((status.get("errors") or {}).items())]
    for name, kind, text in refused:
        click.echo(f"\n{name} refused {kind}: {text}", err=True)


async def collect(opened: Session, proxy: str = "") -> list[dict[str, Any]]:
    """The sync status of every proxy, or of one; VarkaError when no control plane runs or it does not know the proxy."""
    pods = await opened.istiod_pods()
    if not pods:
        raise VarkaError(
            f"no running Istio pods in namespace {opened.istio_namespace!r}", "install with `istioctl install`, or look with `kubectl get pods -n istio-system`"
        )
    found: list[dict[str, Any]] = []
    for pod in pods:
        name = str(pod["metadata"]["name"])
        found += [{**status, "istiod": name} for status in await opened.istiod_get(name, "/debug/syncz")]
    if proxy:
        namespace, wanted = await session.pod_of(opened, proxy)
        found = [status for status in found if status["proxy"] == f"{wanted}.{namespace}"]
        if not found:
            raise VarkaError(
                f"the control plane does not know the proxy {wanted}.{namespace}",
                "has the pod a sidecar? see `kubectl get pod -o jsonpath={.spec.containers[*].name}`",
            )
    return sorted(found, key=lambda status: str(status["proxy"]))


def detailed(statuses: Iterable[Mapping[str, Any]]) -> list[Sequence[str]]:
    """A column for each type."""
    rows: list[Sequence[str]] = [("NAME", "CLUSTER", *TYPES, "ISTIOD", "VERSION")]
    for status in statuses:
        known = status.get("types") or {}
        rows.append(
            (status["proxy"], _cluster(status), *(str(known.get(kind, "IGNORED")) for kind in TYPES), status["istiod"], str(status.get("istio_version", "")))
        )
    return rows


def compact(statuses: Iterable[Mapping[str, Any]]) -> list[Sequence[str]]:
    """The number and names of the types that each proxy subscribes to."""
    rows: list[Sequence[str]] = [("NAME", "CLUSTER", "ISTIOD", "VERSION", "SUBSCRIBED TYPES")]
    for status in statuses:
        known = status.get("types") or {}
        subscribed = [kind for kind in TYPES if known.get(kind, "UNKNOWN") not in {"UNKNOWN", "IGNORED"}]
        told = f"{len(subscribed)} ({','.join(subscribed)})" if subscribed else "0"
        rows.append((status["proxy"], _cluster(status), status["istiod"], str(status.get("istio_version", "")), told))
    return rows


def _cluster(status: Mapping[str, Any]) -> str:
    return str(status.get("cluster_id") or "Kubernetes")
