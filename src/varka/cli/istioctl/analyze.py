"""`istioctl analyze`: what does not fit together, in the cluster and in files that are not applied yet."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from varka.base.errors import VarkaError
from varka.cli.istioctl import files, session
from varka.cli.istioctl.main import Globals
from varka.client.api import Object

if TYPE_CHECKING:
    from varka.analysis.messages import Message
    from varka.cli.istioctl.session import Session

FOUND = 79
"""Exit code when a finding reaches the threshold, the one that Istio's program has."""
LEVELS = ("Info", "Warning", "Error")
SUPPRESSED = "galley.istio.io/analyze-suppress"
"""Annotation on a resource: codes to leave out, separated by commas, or `*`."""
CLUSTER_SCOPED = {"Namespace", "Node", "CustomResourceDefinition", "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration", "ClusterRole"}


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


@click.command(epilog="Example: istioctl analyze --use-kube=false virtual-service.yaml")
@click.argument("names", nargs=-1, metavar="[FILE]...")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Analyze all namespaces.")
@click.option("-k", "--use-kube", type=bool, default=True, show_default=True, help="Look at the cluster too, not at the files alone.")
@click.option("-o", "--output", type=click.Choice(["log", "json", "yaml"]), default="log", show_default=True, help="Output format.")
@click.option("--failure-threshold", "failure", type=click.Choice(LEVELS, case_sensitive=False), default="Error", show_default=True, help="Fail from here on.")
@click.option("--output-threshold", "shown", type=click.Choice(LEVELS, case_sensitive=False), default="Info", show_default=True, help="Show from here on.")
@click.option("-S", "--suppress", multiple=True, metavar="CODE=RESOURCE", help='Leave out a finding, such as "IST0102=Namespace default"; * is allowed.')
@click.option("-L", "--list-analyzers", "listing", is_flag=True, help="List the analyzers.")
@click.option("-R", "--recursive", is_flag=True, help="Go into folders of folders.")
@click.pass_context
def analyze(ctx: click.Context, /, listing: bool, **given: object) -> int:
    """Analyze Istio configuration and print what does not fit together."""
    from varka.analysis import analyzers

    if listing:
        click.echo("\n".join(f"* {name}" for name in sorted(analyzers.ANALYZERS)))
        return 0
    return run(ctx.find_object(Globals) or Globals(kubeconfig="", context="", namespace="", istio_namespace="istio-system"), Options(**given))  # type: ignore[arg-type]


def run(flags: Globals, options: Options) -> int:
    """Collect, analyze, print; the exit code."""
    from varka.analysis import analyzers
    from varka.analysis.messages import Level

    if not options.use_kube and not options.names:
        raise click.UsageError("with --use-kube=false there is nothing to analyze: name files or folders")
    rules = [_rule(text) for text in options.suppress]
    written = [one for name, text in files.texts(options.names, recursive=options.recursive) for one in files.unfolded(files.documents(text, name))]
    objects, namespace = _objects(flags, written, use_kube=options.use_kube)
    everywhere = options.everywhere or not options.use_kube
    found = chosen(analyzers.analyze(objects), "" if everywhere else namespace, rules, annotated(objects))
    subject = _subject(options, namespace)
    _show([one for one in found if one.level >= Level[options.shown.upper()]], options.output, subject)
    if not any(one.level >= Level[options.failure.upper()] for one in found):
        return 0
    click.echo(
        f"Error: Analyzers found issues when analyzing {subject}.\nMend the resources that the messages name, or leave a message out with --suppress.", err=True
    )
    return FOUND


def _rule(text: str) -> tuple[str, str]:
    code, separator, resource = text.partition("=")
    if not separator or not code or not resource:
        raise VarkaError(f"--suppress {text} is not of the form CODE=RESOURCE", 'for example: -S "IST0102=Namespace default"')
    return code, resource


def merged(cluster: Iterable[Object], written: Iterable[Object], namespace: str) -> list[Object]:
    """The cluster's objects as they would be with the files applied."""
    found: dict[tuple[str, str, str], Object] = {_key(obj): obj for obj in cluster}
    for obj in written:
        meta = obj.get("metadata") or {}
        placed = obj if meta.get("namespace") or obj["kind"] in CLUSTER_SCOPED else {**obj, "metadata": {**meta, "namespace": namespace}}
        found[_key(placed)] = placed
    return list(found.values())


def _key(obj: Object) -> tuple[str, str, str]:
    meta = obj.get("metadata") or {}
    return str(obj["kind"]), str(meta.get("namespace") or ""), str(meta.get("name") or "")


def annotated(objects: Iterable[Object]) -> dict[tuple[str, str, str], str]:
    """Resource → the codes that its annotation leaves out."""
    found = {_key(obj): str(((obj.get("metadata") or {}).get("annotations") or {}).get(SUPPRESSED, "")) for obj in objects}
    return {key: codes for key, codes in found.items() if codes}


def chosen(found: Iterable[Message], namespace: str, rules: Sequence[tuple[str, str]], quiet: dict[tuple[str, str, str], str]) -> list[Message]:
    """The findings of a namespace (all with an empty one) that nobody suppressed."""
    kept = []
    for one in found:
        if namespace and namespace != one.namespace and (one.kind, one.name) != ("Namespace", namespace):
            continue
        if any(one.code == code and fnmatch.fnmatchcase(one.resource, resource) for code, resource in rules):
            continue
        codes = {code.strip() for code in quiet.get((one.kind, one.namespace, one.name), "").split(",")}
        if one.code not in codes and "*" not in codes:
            kept.append(one)
    return kept


def _objects(flags: Globals, written: list[Object], *, use_kube: bool) -> tuple[list[Object], str]:
    """What to analyze, and the namespace to work in."""
    if not use_kube:
        namespace = flags.namespace or "default"
        return merged([], written, namespace), namespace

    async def work(opened: Session) -> tuple[list[Object], str]:
        from varka.cli.istioctl import collecting

        return merged(await collecting.objects(opened), written, opened.namespace), opened.namespace

    return session.run(flags, work)


def _subject(options: Options, namespace: str) -> str:
    """What was analyzed, as the closing line names it."""
    if not options.use_kube:
        return ", ".join(options.names)
    return "all namespaces" if options.everywhere else f"namespace: {namespace}"


def _show(found: Sequence[Message], output: str, subject: str) -> None:
    if output == "log":
        for one in found:
            click.echo(one.line)
        if not found:
            click.echo(f"✔ No validation issues found when analyzing {subject}.")
        return
    listed = [{"code": one.code, "level": one.level.title, "message": one.text, "origin": one.resource} for one in found]
    if output == "json":
        click.echo(json.dumps(listed, indent=2))
        return
    import yaml

    click.echo(yaml.safe_dump(listed, sort_keys=False), nl=False)
