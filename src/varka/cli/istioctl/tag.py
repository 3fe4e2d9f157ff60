"""`istioctl tag`: names for revisions, which namespaces carry so that they need not be relabelled when the mesh is upgraded.

A tag is a webhook configuration of its own that sends pods to the control plane that it points at. The tag `default` also
answers for the labels that name no revision, and for the validation of resources.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import yaml

from varka.base.errors import VarkaError
from varka.cli.istioctl import session, tables, trust
from varka.cli.istioctl.charts import webhooks
from varka.cli.istioctl.main import Globals

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session
    from varka.client.api import Object

PREFIX = "istio-revision-tag-"
TRUST_SECONDS = 60.0
OWNER = {"install.operator.istio.io/owning-resource": "installed-state", "operator.istio.io/component": "Pilot"}


@click.group(epilog="Example: istioctl tag set prod --revision 1-28-2")
def tag() -> None:
    """Name revisions, and point the names at other revisions."""


@tag.command("set", epilog="Example: istioctl tag set prod --revision 1-28-2 --overwrite")
@click.argument("name")
@click.option("-r", "--revision", required=True, metavar="NAME", help="Revision that the tag points at.")
@click.option("--overwrite", is_flag=True, help="Point a tag that exists at this revision.")
@click.option("--webhook-name", default="", metavar="NAME", help="Name of the webhook configuration; otherwise made from the tag.")
@click.option("-y", "--skip-confirmation", is_flag=True, help="Accepted for compatibility: nothing is asked.")
@click.pass_obj
def set_(flags: Globals, name: str, revision: str, overwrite: bool, webhook_name: str, skip_confirmation: bool) -> None:
    """Create a tag, or point it elsewhere."""
    session.run(flags, lambda opened: assign(opened, name, revision, overwrite=overwrite, webhook=webhook_name))
    click.echo(f'Revision tag "{name}" created, referencing control plane revision "{revision}". To enable injection using this')
    click.echo(f"revision tag, use 'kubectl label namespace <NAMESPACE> istio.io/rev={name}'")


@tag.command("generate", epilog="Example: istioctl tag generate prod --revision 1-28-2 > tag.yaml")
@click.argument("name")
@click.option("-r", "--revision", required=True, metavar="NAME", help="Revision that the tag points at.")
@click.option("--overwrite", is_flag=True, help="Accepted for compatibility: nothing is changed.")
@click.option("--webhook-name", default="", metavar="NAME", help="Name of the webhook configuration; otherwise made from the tag.")
@click.pass_obj
def generate(flags: Globals, name: str, revision: str, overwrite: bool, webhook_name: str) -> None:
    """Print what `tag set` would apply."""
    found = objects(name, revision, flags.istio_namespace, webhook_name)
    click.echo(yaml.safe_dump_all(found, sort_keys=False), nl=False)


@tag.command("list", epilog="Example: istioctl tag list -o json")
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="Output format.")
@click.pass_obj
def list_(flags: Globals, output: str) -> None:
    """Show the tags, their revisions and the namespaces that use them."""
    found = session.run(flags, collect)
    if output == "json":
        click.echo(json.dumps(found, indent=2))
    elif not found:
        click.echo("No Istio revision tag MutatingWebhookConfigurations to list")
    else:
        rows = [("TAG", "REVISION", "NAMESPACES"), *((item["tag"], item["revision"], ",".join(item["namespaces"])) for item in found)]
        click.echo(tables.render(rows), nl=False)


@tag.command("remove", epilog="Example: istioctl tag remove prod")
@click.argument("name")
@click.option("-y", "--skip-confirmation", is_flag=True, help="Do not ask although namespaces use the tag.")
@click.pass_obj
def remove(flags: Globals, name: str, skip_confirmation: bool) -> None:
    """Delete a tag; namespaces that carry it get no sidecars any more."""
    using = session.run(flags, lambda opened: users(opened, name))
    if using and not skip_confirmation:
        click.echo(f"Caution, found {len(using)} namespace(s) still injected by tag {name!r}: {', '.join(using)}")
        if not click.confirm("Proceed with operation? [y/N]", default=False, prompt_suffix=" ", show_default=False):
            click.echo("Aborting operation.")
            return
    session.run(flags, lambda opened: delete(opened, name))
    click.echo(f"Revision tag {name} removed")


def objects(name: str, revision: str, namespace: str, webhook: str = "") -> list[Object]:
    """The webhook configurations of a tag."""
    service = "istiod" if revision == webhooks.DEFAULT else f"istiod-{revision}"
    labels = {**OWNER, webhooks.TAG: name, webhooks.REVISION: revision}
    route = webhooks.Route(name=webhook or f"{PREFIX}{name}", labels={**labels, "app": "sidecar-injector"}, value=name, service=service, namespace=namespace)
    found = [webhooks.injector(route)]
    if name == webhooks.DEFAULT:
        for_all = webhooks.Route(name=webhooks.DEFAULT_VALIDATOR, labels={**labels, "app": "istiod"}, value=name, service=service, namespace=namespace)
        found.append(webhooks.validator(for_all, everyone=True))
    return found


async def assign(opened: Session, name: str, revision: str, *, overwrite: bool = False, webhook: str = "") -> None:
    """Create or move a tag; VarkaError when there is no such revision, or the tag exists and is not to be moved."""
    from varka.client import manifests, resources

    found = (await opened.api.list(resources.MUTATING_WEBHOOKS, label_selector="app=sidecar-injector")).items
    if not any(_revision_of(obj) == revision and not _tag_of(obj) for obj in found):
        known = sorted({_revision_of(obj) for obj in found if not _tag_of(obj)})
        raise VarkaError(
            f'cannot create tag: no Istio revision "{revision}"', f"there are {', '.join(known)}" if known else "install it with `istioctl install --revision`"
        )
    if any(not _tag_of(obj) and _revision_of(obj) == name and name != webhooks.DEFAULT for obj in found):
        raise VarkaError(f'cannot create revision tag "{name}": a revision has this name', "choose another name")
    old = next((obj for obj in found if _tag_of(obj) == name), None)
    if old is not None and not overwrite:
        raise VarkaError(f'revision tag "{name}" already exists, and --overwrite is false', "point it elsewhere with --overwrite")
    await manifests.apply(opened.api, objects(name, revision, opened.istio_namespace, webhook), manager="istioctl", namespace=opened.istio_namespace)
    if name == webhooks.DEFAULT:
        await _deactivate(opened, found)
    await trust.injector(opened, webhook or f"{PREFIX}{name}", TRUST_SECONDS)


async def _deactivate(opened: Session, found: list[Object]) -> None:
    """The revision `default` has webhooks of its own for what the tag answers for now: two would be one too many."""
    from varka.client import resources

    never = {"matchLabels": {"istio.io/deactivated": "never-match"}}
    for obj in found:
        if _revision_of(obj) == webhooks.DEFAULT and not _tag_of(obj):
            hooks = [{**hook, "namespaceSelector": never} for hook in obj.get("webhooks") or []]
            await opened.api.patch(resources.MUTATING_WEBHOOKS, obj["metadata"]["name"], {"webhooks": hooks})


async def collect(opened: Session) -> list[dict[str, Any]]:
    """Tag, revision and namespaces of every tag, by name."""
    from varka.client import resources

    found = (await opened.api.list(resources.MUTATING_WEBHOOKS, label_selector=webhooks.TAG)).items
    rows = [{"tag": _tag_of(obj), "revision": _revision_of(obj), "namespaces": await users(opened, _tag_of(obj))} for obj in found]
    return sorted(rows, key=lambda row: str(row["tag"]))


async def users(opened: Session, name: str) -> list[str]:
    """The namespaces that a tag injects."""
    from varka.client import resources

    selectors = [f"{webhooks.REVISION}={name}", *(["istio-injection=enabled"] if name == webhooks.DEFAULT else [])]
    found: set[str] = set()
    for selector in selectors:
        found |= {str(obj["metadata"]["name"]) for obj in (await opened.api.list(resources.NAMESPACES, label_selector=selector)).items}
    return sorted(found)


async def delete(opened: Session, name: str) -> None:
    """Take a tag away; VarkaError when there is none."""
    from varka.client import manifests, resources

    selector = f"{webhooks.TAG}={name}"
    kinds = ((resources.MUTATING_WEBHOOKS, "MutatingWebhookConfiguration"), (resources.VALIDATING_WEBHOOKS, "ValidatingWebhookConfiguration"))
    found = [
        {**obj, "apiVersion": "admissionregistration.k8s.io/v1", "kind": kind}
        for gvr, kind in kinds
        for obj in (await opened.api.list(gvr, label_selector=selector)).items
    ]
    if not found:
        raise VarkaError(f'cannot remove tag "{name}": there is no such tag', "`istioctl tag list` shows those that there are")
    await manifests.delete(opened.api, found)


def _tag_of(obj: Object) -> str:
    return str((obj["metadata"].get("labels") or {}).get(webhooks.TAG) or "")


def _revision_of(obj: Object) -> str:
    return str((obj["metadata"].get("labels") or {}).get(webhooks.REVISION) or webhooks.DEFAULT)
