"""`istioctl experimental`, in short `istioctl x`: commands that Istio keeps apart because they may still change."""

from __future__ import annotations

import importlib

import click

VERBS = {"authz": "varka.cli.istioctl.authz:authz", "workload": "varka.cli.istioctl.workload:workload"}
SUMMARIES = {
    "authz": "Show which policies a workload has, and what they say to a request",
    "workload": "Let workloads outside of the cluster take part in the mesh",
}


class Verbs(click.Group):
    """A group whose verbs are imported when they run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module, _, attribute = VERBS.get(cmd_name, "").partition(":")
        return getattr(importlib.import_module(module), attribute) if module else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(sorted(SUMMARIES.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def experimental() -> None:
    """Commands that may still change."""
