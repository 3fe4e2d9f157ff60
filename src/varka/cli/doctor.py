"""`varka doctor`: what this machine lacks, and the command that mends it."""

from __future__ import annotations

import dataclasses

import click

from varka.cli import options
from varka.cluster import checks, state


@click.command("doctor", epilog="Example: varka doctor -o json")
@options.cluster
@options.output
def command(name: str, output: str) -> int:
    """Check what this machine lacks; exit code 1 when something required does."""
    found = checks.everything(state.folder(name).root)
    if output == "json":
        options.show_json([dataclasses.asdict(check) for check in found])
    else:
        for check in found:
            mark = "ok" if check.ok else ("MISSING" if check.required else "absent")
            click.echo(f"{mark:<8} {check.name:<16} {check.found}")
            if check.mend:
                click.echo(f"{'':<8} {'':<16} → {check.mend}")
        lacking = [check for check in found if check.required and not check.ok]
        click.echo(f"\n{len(lacking)} required thing(s) missing" if lacking else "\nthis machine can run a cluster")
    return 1 if any(check.required and not check.ok for check in found) else 0
