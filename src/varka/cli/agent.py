"""`varka agent`: the proxy of a process that is not in the cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click


@click.command("agent", epilog="Example: istioctl x workload entry configure -f group.yaml -o vm --internalIP 192.168.1.7 && varka agent --dir vm")
@click.option("--dir", "folder", required=True, metavar="DIR", help="Folder that `istioctl x workload entry configure` has written.")
@click.option("--log-level", default="warning", metavar="LEVEL", help="Envoy's log level.", show_default=True)
def command(folder: str, log_level: str) -> int:
    """Let a process outside of the cluster take part in the mesh.

    Runs an Envoy with a certificate of the workload's service account, until it is stopped. Nothing is redirected: the
    process uses the ports that a Sidecar resource names for it.
    """
    from varka.agent import outside
    from varka.base import logs

    logs.setup()
    return asyncio.run(outside.run(Path(folder), [f"--proxyLogLevel={log_level}"]))
