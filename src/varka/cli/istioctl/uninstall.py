"""`istioctl uninstall`: take away what `install` made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from varka.cli.istioctl import session
from varka.cli.istioctl.main import Globals

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session
    from varka.client.api import Object

OWNED = "install.operator.istio.io/owning-resource=installed-state"


@click.command(epilog="Example: istioctl uninstall --purge -y")
@click.option("--purge", is_flag=True, help="Remove every revision and what belongs to the cluster: definitions of Istio's kinds with all their objects.")
@click.option("-r", "--revision", default="", help="Remove this revision only.")
@click.option("-y", "--skip-confirmation", is_flag=True, help="Do not ask before removing.")
@click.option("-f", "--filename", multiple=True, help="Accepted for compatibility; the revision decides what is removed.", hidden=True)
@click.pass_obj
def uninstall(flags: Globals, purge: bool, revision: str, skip_confirmation: bool, filename: tuple[str, ...]) -> None:
    """Remove Istio from the cluster."""
    if not purge and not revision:
        raise click.UsageError("at least one of the --revision or --purge flags must be set")
    click.echo("All Istio resources will be pruned from the cluster" if purge else f"Revision {revision} will be removed from the cluster")
    if not skip_confirmation and not click.confirm("Proceed? (y/N)", default=False, prompt_suffix=" ", show_default=False):
        click.echo("Cancelled.")
        return
    session.run(flags, lambda opened: remove(opened, "" if purge else revision, purge=purge))


async def remove(opened: Session, revision: str, *, purge: bool) -> None:
    """Delete owned objects, webhooks first so that nothing waits for a control plane that has gone."""
    from varka.client import manifests, resources

    selector = OWNED + (f",istio.io/rev={revision}" if revision else "")
    kinds = [
        (resources.MUTATING_WEBHOOKS, "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration"),
        (resources.VALIDATING_WEBHOOKS, "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration"),
        (resources.DEPLOYMENTS, "apps/v1", "Deployment"),
        (resources.SERVICES, "v1", "Service"),
        (resources.CONFIGMAPS, "v1", "ConfigMap"),
        (resources.AUTOSCALERS, "autoscaling/v2", "HorizontalPodAutoscaler"),
        (resources.DISRUPTION_BUDGETS, "policy/v1", "PodDisruptionBudget"),
        (resources.ROLE_BINDINGS, "rbac.authorization.k8s.io/v1", "RoleBinding"),
        (resources.ROLES, "rbac.authorization.k8s.io/v1", "Role"),
        (resources.CLUSTER_ROLE_BINDINGS, "rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
        (resources.CLUSTER_ROLES, "rbac.authorization.k8s.io/v1", "ClusterRole"),
        (resources.SERVICE_ACCOUNTS, "v1", "ServiceAccount"),
    ]
    removed = 0

    def told(obj: Object, what: str) -> None:
        nonlocal removed
        removed += 1
        click.echo(f"  Removed {manifests.label(obj)}.")

    for gvr, version, kind in kinds:
        found = (await opened.api.list(gvr, label_selector=selector)).items
        await manifests.delete(opened.api, [{**obj, "apiVersion": version, "kind": kind} for obj in found], progress=told)
    if purge:
        from varka.resources import crds

        present = {obj["metadata"]["name"] for obj in (await opened.api.list(resources.CUSTOM_RESOURCE_DEFINITIONS)).items}
        await manifests.delete(opened.api, [definition for definition in crds.definitions() if definition["metadata"]["name"] in present], progress=told)
    click.echo("✔ Uninstall complete" if removed else "✔ Nothing to remove: no Istio was found")
