"""`istioctl analyze`: what does not fit together, in the cluster and in files that are not applied yet."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from varka.base import durations
from varka.base.errors import VarkaError
from varka.cli.istioctl.analyzing import files, findings, webhook_names
from varka.cli.istioctl.main import Globals
from varka.client.api import Object

if TYPE_CHECKING:
    from varka.analysis.context import Surroundings
    from varka.cli.istioctl.session import Session

FOUND = 79
"""Exit code when a finding reaches the threshold, the one that Istio's program has."""
UNREADABLE = 65
"""Exit code when a file could not be read as resources, likewise."""
LEVELS = ("Info", "Warning", "Error")
_CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "GatewayClass",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "ValidatingWebhookConfiguration",
}
_YES = {"-k": "--use-kube", "--use-kube": "--use-kube", "--color": "--color"}
_FLAGS = ("-A", "--all-namespaces", "-L", "--list-analyzers", "-R", "--recursive", "-v", "--verbose", "--ignore-unknown")


class _Command(click.Command):
    """Takes flags with and without a value, as Go programs do: `-k`, `--use-kube=false`, `--recursive=true`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given: list[str] = []
        for arg in args:
            name, separator, value = arg.partition("=")
            if name in _YES:
                given.append(f"{_YES[name]}={value if separator else 'true'}")
            elif separator and name in _FLAGS and value.lower() in {"true", "false"}:
                given += [name] if value.lower() == "true" else []
            else:
                given.append(arg)
        return super().parse_args(ctx, given)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the flags ask for."""

    names: tuple[str, ...]
    everywhere: bool
    use_kube: bool
    output: str
    failure: str
    shown: str
    suppress: tuple[str, ...]
    recursive: bool
    color: bool | None
    verbose: bool
    mesh_file: str
    ignore_unknown: bool
    timeout: str
    revision: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What is analyzed: objects, what is known beside them, the namespace to work in, the places of what came from files."""

    objects: list[Object]
    around: Surroundings
    namespace: str
    places: findings.Places


@click.command(cls=_Command, epilog="Example: istioctl analyze --use-kube=false virtual-service.yaml")
@click.argument("names", nargs=-1, metavar="[FILE]...")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Analyze all namespaces.")
@click.option("-k", "--use-kube", type=bool, default=True, show_default=True, help="Look at the cluster too, not at the files alone.")
@click.option("-o", "--output", type=click.Choice(["log", "json", "yaml"], case_sensitive=False), default="log", show_default=True, help="Output format.")
@click.option("--failure-threshold", "failure", type=click.Choice(LEVELS, case_sensitive=False), default="Error", show_default=True, help="Fail from here on.")
@click.option("--output-threshold", "shown", type=click.Choice(LEVELS, case_sensitive=False), default="Info", show_default=True, help="Show from here on.")
@click.option("-S", "--suppress", multiple=True, metavar="CODE=RESOURCE", help='Leave out a finding, such as "IST0103=Pod *.testing"; may be repeated.')
@click.option("-L", "--list-analyzers", "listing", is_flag=True, help="List the analyzers.")
@click.option("-R", "--recursive", is_flag=True, help="Go into folders of folders.")
@click.option("--color", type=bool, default=None, help="Color the levels; by default on a terminal only.")
@click.option("-v", "--verbose", is_flag=True, help="Tell which analyzers ran.")
@click.option("--meshConfigFile", "mesh_file", default="", metavar="FILE", help="Take the mesh's configuration from a file, not from the cluster.")
@click.option("--ignore-unknown", is_flag=True, help="Succeed although a file holds something that is no resource.")
@click.option("--timeout", default="30s", show_default=True, metavar="DURATION", help="How long the cluster may take to answer.")
@click.option("--revision", default="default", show_default=True, metavar="NAME", help="Revision of the control plane to analyze for.")
@click.pass_context
def analyze(ctx: click.Context, /, listing: bool, **given: object) -> int:
    """Analyze Istio configuration and print what does not fit together.

    Files and folders that are named count as if they were applied to the cluster; with --use-kube=false, they are all there is.
    Exit code 79 tells that a finding reached the failure threshold, 65 that a file could not be read.
    """
    from varka.analysis import analyzers

    if listing:
        click.echo("\n".join(f"* {name}:\n    Checks {found.text}" for name, found in sorted(analyzers.ANALYZERS.items())))
        return 0
    return run(ctx.find_object(Globals) or Globals(kubeconfig="", context="", namespace="", istio_namespace="istio-system"), Options(**given))  # type: ignore[arg-type]


def run(flags: Globals, options: Options) -> int:
    """Collect, analyze, print; the exit code."""
    gc.disable()  # the objects of a large mesh live until the end; looking for garbage among them takes a fifth of the time
    try:
        return _run(flags, options)
    finally:
        gc.enable()


def _run(flags: Globals, options: Options) -> int:
    from varka.analysis import analyzers
    from varka.analysis.messages import Level

    if not options.use_kube and not options.names:
        raise click.UsageError("with --use-kube=false there is nothing to analyze: name files or folders")
    rules = [findings.rule(text) for text in options.suppress]
    _warn_unknown(code for code, _ in rules)
    written, problems = _written(options)
    material = _material(flags, options, written)
    if material is None:
        return 0
    found = analyzers.analyze(material.objects, surroundings=material.around)
    everywhere = options.everywhere or (not options.use_kube and not flags.namespace)
    subject = "all namespaces" if everywhere else f"namespace: {material.namespace}"
    if options.verbose:
        names = "\n".join(f"\t {name}" for name in sorted(analyzers.ANALYZERS))
        click.echo(f"Analyzed resources in {subject}\nExecuted analyzers:\n{names}\n", err=True)
    kept = findings.chosen(found, "" if everywhere else material.namespace, rules, findings.annotated(material.objects))
    visible = [one for one in kept if one.level >= Level[options.shown.upper()]]
    if visible or options.output != "log":
        click.echo(findings.shown(visible, options.output, material.places, color=_color(options.color)), nl=False, color=True)
    if not visible:
        _nothing(options, subject, problems)
    if options.output != "log":
        return 0
    if any(one.level >= Level[options.failure.upper()] for one in kept):
        click.echo(f"Error: Analyzers found issues when analyzing {subject}.\nSee {findings.REFERENCE} for what they mean and how to mend them.", err=True)
        return FOUND
    if problems and not options.ignore_unknown:
        click.echo("Error: Some files couldn't be parsed.", err=True)
        return UNREADABLE
    return 0


def _warn_unknown(codes: Iterable[str]) -> None:
    from varka.analysis import catalog

    for code in codes:
        if code not in catalog.CODES:
            click.echo(f"Warning: Supplied message code '{code}' is an unknown message code and will not have any effect.", err=True)


def _color(wanted: bool | None) -> bool:
    return wanted if wanted is not None else sys.stdout.isatty() and os.environ.get("TERM") != "dumb" and "NO_COLOR" not in os.environ


def _nothing(options: Options, subject: str, problems: list[VarkaError]) -> None:
    """Say that all is well, on standard error, so that standard output holds findings and nothing else."""
    what = "\n".join(files.paths(options.names, recursive=options.recursive)[0]) if options.names else subject
    if problems:
        click.echo(f"No validation issues found when analyzing {subject} (but {len(problems)} part{'s' * (len(problems) > 1)} could not be parsed).", err=True)
    else:
        click.echo(f"✔ No validation issues found when analyzing {what}.", err=True)


def _written(options: Options) -> tuple[list[files.Located], list[VarkaError]]:
    """The objects of the files, and what could not be read in them."""
    names, passed = files.paths(options.names, recursive=options.recursive)
    for name in passed:
        click.echo(f"Skipping file {name}, recognized file extensions are: {', '.join(files.SUFFIXES)}", err=True)
    found: list[files.Located] = []
    problems: list[VarkaError] = []
    for name in names:
        if name == "-" and sys.stdin.isatty() and options.output == "log":
            click.echo("Reading from stdin:")
        for part in files.parts(files.read(name), name):
            if isinstance(part, VarkaError):
                problems.append(part)
                if not options.ignore_unknown:
                    click.echo(f"Error(s) adding files: {part.message}", err=True)
            else:
                found.append(part)
    return list(files.unfolded_parts(found)), problems


def _material(flags: Globals, options: Options, written: list[files.Located]) -> Material | None:
    """Cluster and files together; None for a namespace that is not there."""
    mesh = _mesh_file(options.mesh_file) if options.mesh_file else None
    collected = _of_cluster(flags, options) if options.use_kube else _assumed(flags, mesh or {})
    if collected is None:
        return None
    known, around, namespace = collected
    objects = {findings.key(obj): obj for obj in known if not _of_other_revision(obj, options.revision)}
    places: dict[findings.Key, Any] = {}
    for part in written:
        obj = placed(part.obj, namespace)
        objects[findings.key(obj)] = obj
        places[findings.key(obj)] = partial(_place, part)
    around = replace(
        around,
        mesh_config=around.mesh_config if mesh is None else mesh,
        now=time.time(),
        unresolved=webhook_names.unresolved(objects.values()),
    )
    return Material(objects=list(objects.values()), around=around, namespace=namespace, places=places)


def _place(part: files.Located, path: str) -> str:
    return f"{part.source}:{part.line(path)}"


def _of_cluster(flags: Globals, options: Options) -> tuple[list[Object], Surroundings, str] | None:
    """Objects, what is known beside them, and the namespace to work in; None when that is not there."""
    import asyncio

    from varka.cli.istioctl import session
    from varka.cli.istioctl.analyzing import collecting

    try:
        seconds = durations.seconds(options.timeout)
    except ValueError as error:
        raise VarkaError(f"--timeout: {error}") from error

    async def collect(opened: Session) -> tuple[list[Object], Surroundings, str] | None:
        async with asyncio.timeout(seconds):
            if not options.everywhere and not await collecting.has_namespace(opened):
                click.echo(f'namespace "{opened.namespace}" not found', err=True)
                return None
            found, around = await collecting.everything(opened, options.revision, lambda text: click.echo(f"Warning: {text}", err=True))
            return found, around, opened.namespace

    try:
        return session.run(flags, collect)
    except TimeoutError as error:
        raise VarkaError(f"the cluster did not answer within {options.timeout}", "allow it more time with --timeout") from error


def _assumed(flags: Globals, mesh: dict[str, Any]) -> tuple[list[Object], Surroundings, str]:
    """What is taken for granted when files are all there is."""
    from varka.analysis import defaults
    from varka.analysis.context import Surroundings

    return defaults.objects(mesh, flags.istio_namespace), Surroundings(mesh_config=mesh), flags.namespace or "default"


def _mesh_file(name: str) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(files.read(name)) or {}
    except yaml.YAMLError as error:
        raise VarkaError(f"{name} is no YAML: {' '.join(str(error).split())}", "mend the file") from error
    if not isinstance(found, dict):
        raise VarkaError(f"{name} holds no mesh configuration", "it must be a YAML map, such as `trustDomain: example.org`")
    return found


def _of_other_revision(obj: Object, revision: str) -> bool:
    """Resources of Istio's that are labelled for another control plane mean nothing to this one."""
    if not str(obj.get("apiVersion")).partition("/")[0].endswith("istio.io"):
        return False
    labels = (obj.get("metadata") or {}).get("labels")
    return str((labels.get("istio.io/rev") if isinstance(labels, dict) else None) or revision) != revision


def placed(obj: Object, namespace: str) -> Object:
    """An object of a file as it would be applied: in a namespace, unless its kind belongs to none."""
    meta = obj.get("metadata")
    meta = meta if isinstance(meta, dict) else {}
    if meta.get("namespace") or obj["kind"] in _CLUSTER_SCOPED:
        return {**obj, "metadata": meta}
    return {**obj, "metadata": {**meta, "namespace": namespace}}
