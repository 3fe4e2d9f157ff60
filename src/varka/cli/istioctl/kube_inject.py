"""`istioctl kube-inject`: what the injection webhook does, done to a file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import yaml

from varka.base.errors import VarkaError
from varka.cli.istioctl import session
from varka.cli.istioctl.analyzing import files
from varka.cli.istioctl.main import Globals

if TYPE_CHECKING:
    from varka.cli.istioctl.session import Session
    from varka.control.injection.options import Options


NATIVE = "ENABLE_NATIVE_SIDECARS"


@click.command("kube-inject", epilog="Example: istioctl kube-inject -f deployment.yaml | kubectl apply -f -")
@click.option("-f", "--filename", required=True, metavar="FILE", help="File with the resources, or - for standard input.")
@click.option("-o", "--output", default="", metavar="FILE", help="Write there and not to standard output.")
@click.option("--meshConfigFile", "mesh_file", default="", metavar="FILE", help="Take the mesh configuration from a file, not from the cluster.")
@click.option("--valuesFile", "values_file", default="", metavar="FILE", help="Take the installation's values from a file, not from the cluster.")
@click.option("--injectConfigFile", "inject_file", default="", metavar="FILE", help="Accepted; the templates are those of this version.")
@click.option("-r", "--revision", default="", metavar="NAME", help="Inject for this revision of the control plane.")
@click.pass_obj
def kube_inject(flags: Globals, filename: str, output: str, mesh_file: str, values_file: str, inject_file: str, revision: str) -> None:
    """Add the sidecar to the pods and pod templates in a file."""
    from varka.control.injection import workloads

    objects = [one for name, text in files.texts([filename]) for one in files.documents(text, name)]
    given = {"mesh": _file(mesh_file), "values": _file(values_file)}
    if mesh_file and values_file:
        options, namespace = compose(given["mesh"], given["values"], revision), flags.namespace or "default"
    else:
        options, namespace = session.run(flags, lambda opened: _from_cluster(opened, {key: value for key, value in given.items() if value}, revision))
    if inject_file:
        click.echo("warning: --injectConfigFile has no effect: the templates are part of this program", err=True)
    text = "".join(yaml.safe_dump(workloads.inject(one, options, namespace), sort_keys=True, width=1 << 20) + "---\n" for one in objects)
    if output:
        Path(output).write_text(text)
    else:
        click.echo(text, nl=False)


def compose(mesh: Mapping[str, Any], values: Mapping[str, Any], revision: str = "", environment: Mapping[str, str] | None = None) -> Options:
    """The options that the control plane injects with, from the same two documents; `environment` is its own."""
    from varka.control.injection.options import Options

    asked = ((values.get("pilot") or {}).get("env") or {}).get(NATIVE, "")
    native = "true" in {str(asked).lower(), str((environment or {}).get(NATIVE, "")).lower()}
    return Options(mesh=mesh, values=values, revision=revision or str(values.get("revision") or "") or "default", native_sidecars=native)


async def _from_cluster(opened: Session, given: Mapping[str, Any], revision: str) -> tuple[Options, str]:
    suffix = "" if revision in {"", "default"} else f"-{revision}"
    mesh = given.get("mesh") or _parsed(await _text(opened, f"istio{suffix}", "mesh"), "the mesh configuration")
    values = given.get("values") or _parsed(await _text(opened, f"istio-sidecar-injector{suffix}", "values"), "the installation's values")
    return compose(mesh, values, revision, await _environment(opened, f"istiod{suffix}")), opened.namespace


async def _environment(opened: Session, name: str) -> dict[str, str]:
    """What the control plane's container is started with; nothing where it runs elsewhere."""
    from varka.client import resources
    from varka.client.api import ApiError

    try:
        found = await opened.api.get(resources.DEPLOYMENTS, name, opened.istio_namespace)
    except ApiError as error:
        if error.code not in (403, 404):
            raise
        return {}
    containers = found["spec"]["template"]["spec"].get("containers") or ()
    return {one["name"]: str(one.get("value") or "") for container in containers for one in container.get("env") or ()}


async def _text(opened: Session, name: str, key: str) -> str:
    from varka.client import resources
    from varka.client.api import ApiError

    try:
        found = await opened.api.get(resources.CONFIGMAPS, name, opened.istio_namespace)
    except ApiError as error:
        if error.code != 404:
            raise
        raise VarkaError(f"configmap {name!r} not found in namespace {opened.istio_namespace!r}", "install Istio with `istioctl install`") from error
    return str((found.get("data") or {}).get(key) or "")


def _file(name: str) -> dict[str, Any]:
    return _parsed(files.texts([name])[0][1], name) if name else {}


def _parsed(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text) or {}
    except (ValueError, yaml.YAMLError) as error:
        raise VarkaError(f"{what} cannot be read: {error}", "it must be a YAML object") from error
    if not isinstance(found, dict):
        raise VarkaError(f"{what} is no object", "it must be a YAML object")
    return found
