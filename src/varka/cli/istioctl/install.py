"""`istioctl install`: the mesh onto the cluster of the current context, in an order in which each part finds what it needs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from varka.base.errors import VarkaError
from varka.cli.istioctl import session, trust
from varka.cli.istioctl.main import Globals
from varka.cli.istioctl.operator import PROFILES, Installation, load

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session
    from varka.client.api import Object

MANAGER = "istioctl"


@click.command(epilog="Example: istioctl install --set profile=demo --set meshConfig.outboundTrafficPolicy.mode=REGISTRY_ONLY -y")
@click.option("-f", "--filename", "files", multiple=True, type=click.Path(), help="File with an IstioOperator; later files win. - reads standard input.")
@click.option(
    "-s", "--set", "settings", multiple=True, metavar="PATH=VALUE", help="Set one value of the IstioOperator API, such as values.global.proxy.logLevel=debug."
)
@click.option("-y", "--skip-confirmation", is_flag=True, help="Do not ask before installing.")
@click.option("-r", "--revision", default="", help="Revision of the control plane, for several side by side.")
@click.option("--readiness-timeout", default="5m", show_default=True, help="How long to wait for each part to be ready.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option("--verify", is_flag=True, help="Accepted for compatibility: the installation is always verified.")
@click.pass_obj
def install(
    flags: Globals,
    files: tuple[str, ...],
    settings: tuple[str, ...],
    skip_confirmation: bool,
    revision: str,
    readiness_timeout: str,
    dry_run: bool,
    verify: bool,
) -> None:
    """Install or change Istio. Profiles: default, demo, minimal, empty (--set profile=NAME)."""
    from varka.base import durations

    installation = load([(name, _read(name)) for name in files], list(settings), revision=revision)
    try:
        seconds = durations.seconds(readiness_timeout)
    except ValueError as error:
        raise click.UsageError(f"--readiness-timeout: {error}") from error
    for path in installation.ignored:
        click.echo(f"! {path} is accepted, but not acted on yet", err=True)
    if not skip_confirmation and not dry_run:
        question = f'This will install the Istio {installation.tag} profile "{installation.profile}" into the cluster. Proceed? (y/N)'
        if not click.confirm(question, default=False, prompt_suffix=" ", show_default=False):
            click.echo("Cancelled.")
            return
    if dry_run:
        for line in planned(installation):
            click.echo(line)
        return
    session.run(flags, lambda opened: perform(opened, installation, seconds))


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
    except OSError as error:
        raise VarkaError(f"cannot read {name}: {error.strerror}", f"profiles are {', '.join(PROFILES)}; a file holds an IstioOperator") from error


def planned(installation: Installation) -> list[str]:
    """One line an object that an installation would apply."""
    from varka.client import manifests

    return [f"would apply {manifests.label(obj)}" for _, objects in stages(installation) for obj in objects]


def stages(installation: Installation) -> list[tuple[str, list[Object]]]:
    """(what to say when it is done, objects): later stages need what earlier ones run."""
    from varka.cli.istioctl.charts import base, gateways, istiod

    found: list[tuple[str, list[Object]]] = []
    if installation.base:
        found.append(("Istio core installed", base.objects(installation)))
    if installation.pilot:
        found.append(("Istiod installed", istiod.objects(installation)))
    for egress, title in ((False, "Ingress gateways installed"), (True, "Egress gateways installed")):
        objects = [obj for gateway in installation.gateways if gateway.egress == egress for obj in gateways.objects(installation, gateway)]
        if objects:
            found.append((title, objects))
    return found


async def perform(opened: Session, installation: Installation, seconds: float) -> None:
    """Apply every stage and wait until it runs; VarkaError says what did not, and where to look."""
    from varka.client import manifests

    for title, objects in stages(installation):
        await manifests.apply(opened.api, objects, manager=MANAGER, namespace=installation.namespace)
        await manifests.wait_ready(opened.api, objects, timeout=seconds)
        if title == "Istiod installed":
            await trust.injector(opened, f"istio-sidecar-injector{installation.suffix}", seconds)
            await _default_tag(opened, installation)
        click.echo(f"✔ {title}")
    click.echo("✔ Installation complete")


async def _default_tag(opened: Session, installation: Installation) -> None:
    """The first revision of a cluster answers for the labels that name none, as the default one would."""
    from varka.cli.istioctl import tag
    from varka.cli.istioctl.charts import webhooks
    from varka.client import resources

    if installation.revision == webhooks.DEFAULT:
        return
    found = (await opened.api.list(resources.MUTATING_WEBHOOKS, label_selector="app=sidecar-injector")).items
    labels = [obj["metadata"].get("labels") or {} for obj in found]
    if not any(webhooks.DEFAULT in (one.get(webhooks.TAG), one.get(webhooks.REVISION)) for one in labels):
        await tag.assign(opened, webhooks.DEFAULT, installation.revision)
        click.echo(f"✔ Revision tag default points at {installation.revision}")
