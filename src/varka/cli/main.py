"""`varka`: the command line of clusters on this machine. Each verb is a module, imported when it is used."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from varka.base.errors import VarkaError

VERBS = {
    "demo": "Show a whole mesh: Bookinfo under zero-trust policies, proven by requests.",
    "up": "Start a cluster, or continue one.",
    "down": "Stop a cluster and remove all of it.",
    "status": "Show the cluster's processes and what is wrong with it.",
    "env": "Print shell settings for kubectl, istioctl and curl.",
    "kubectl": "Run the real kubectl against the cluster.",
    "istioctl": "Run istioctl against the cluster.",
    "image": "Say which command an image name stands for.",
    "requests": "Show the mesh's requests as they come.",
    "traffic": "Send requests for a lab or a demonstration, and show what comes back.",
    "graph": "Show who calls whom, how often, how fast and how safely.",
    "agent": "Let a process outside of the cluster take part in the mesh.",
    "doctor": "Check what this machine lacks.",
    "version": "Show the versions.",
}
"""Verb → help line: `varka --help` must not import them all."""


class Verbs(click.Group):
    """Finds verbs by name; `command` in the module `varka.cli.VERB` (with `_command` appended where the name is taken)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        module = importlib.import_module("varka.cli.istioctl_verb" if cmd_name == "istioctl" else f"varka.cli.{cmd_name}")
        command = module.command
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
def varka() -> None:
    """Run an Istio-compatible mesh on this machine.

    \b
    Example:
      varka up
      eval "$(varka env)"
      istioctl install -y
    """


def run(group: click.Command, arguments: list[str] | None = None, name: str = "varka") -> int:
    """Run a command line; the exit code: 0, 1 when it failed, 2 for wrong usage."""
    try:
        result: Any = group.main(args=arguments, prog_name=name, standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return 2
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.Abort:
        click.echo("interrupted", err=True)
        return 130
    except click.ClickException as error:
        error.show()
        return 1
    except VarkaError as error:
        click.echo(f"error: {error.message}", err=True)
        if error.hint:
            click.echo(f"hint: {error.hint}", err=True)
        return 1
    except BrokenPipeError:
        return 1
    return result if isinstance(result, int) else 0


def main() -> None:
    """Entry point of the program `varka`."""
    sys.exit(run(varka))


if __name__ == "__main__":
    main()
