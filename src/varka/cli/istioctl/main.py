"""The `istioctl` program: global flags, and verbs that are imported only when they run."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import Any

import click

from varka.base.errors import VarkaError

VERBS = {
    "analyze": "varka.cli.istioctl.analyze:analyze",
    "authn": "varka.cli.istioctl.authn:authn",
    "experimental": "varka.cli.istioctl.experimental:experimental",
    "explain": "varka.cli.istioctl.explain:explain",
    "install": "varka.cli.istioctl.install:install",
    "kube-inject": "varka.cli.istioctl.kube_inject:kube_inject",
    "proxy-config": "varka.cli.istioctl.proxy_config.verbs:proxy_config",
    "pc": "varka.cli.istioctl.proxy_config.verbs:proxy_config",
    "proxy-status": "varka.cli.istioctl.proxy_status:proxy_status",
    "ps": "varka.cli.istioctl.proxy_status:proxy_status",
    "tag": "varka.cli.istioctl.tag:tag",
    "uninstall": "varka.cli.istioctl.uninstall:uninstall",
    "validate": "varka.cli.istioctl.validate:validate",
    "version": "varka.cli.istioctl.version:version",
    "x": "varka.cli.istioctl.experimental:experimental",
}
SUMMARIES = {
    "analyze": "Analyze Istio configuration and print validation messages",
    "authn": "Show which mutual TLS settings clients and servers meet with",
    "experimental": "Commands that may still change, such as authz",
    "explain": "Tell which routes and cluster a request meets at a proxy, or why none",
    "install": "Install or change Istio on the cluster of the current context",
    "kube-inject": "Add the sidecar to Kubernetes resources in a file",
    "proxy-config": "Show what a proxy's Envoy is configured with",
    "proxy-status": "Show whether each proxy has the newest configuration",
    "tag": "Name revisions of the control plane, and point the names at other revisions",
    "uninstall": "Remove Istio from the cluster",
    "validate": "Check Istio resources in files, without a cluster",
    "version": "Show the versions of client, control plane and data plane",
}
USAGE = 64
ALIASES = {"pc": "proxy-config", "ps": "proxy-status", "x": "experimental"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Globals:
    """The flags that every verb takes."""

    kubeconfig: str
    context: str
    namespace: str
    istio_namespace: str


class Verbs(click.Group):
    """A group whose verbs are modules: `--help` must not pay for what a verb imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        where = VERBS.get(cmd_name)
        if where is None:
            return None
        module, _, attribute = where.partition(":")
        return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        short = {name: alias for alias, name in ALIASES.items()}
        rows = [(f"{name}, {short[name]}" if name in short else name, text) for name, text in sorted(SUMMARIES.items())]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


@click.group(
    cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120}, epilog="Example: istioctl install --set profile=demo -y"
)
@click.option("-c", "--kubeconfig", default="", metavar="FILE", help="Kubeconfig to use; otherwise KUBECONFIG, then ~/.kube/config.")
@click.option("--context", default="", metavar="NAME", help="Context of the kubeconfig to use.")
@click.option("-n", "--namespace", default="", metavar="NAME", help="Namespace to work in; otherwise the context's.")
@click.option("-i", "--istioNamespace", "istio_namespace", default="istio-system", metavar="NAME", help="Namespace of the control plane.", show_default=True)
@click.pass_context
def cli(ctx: click.Context, kubeconfig: str, context: str, namespace: str, istio_namespace: str) -> None:
    """Configure and look into an Istio mesh."""
    ctx.obj = Globals(kubeconfig=kubeconfig, context=context, namespace=namespace, istio_namespace=istio_namespace)


def main() -> None:
    """Run with the process's arguments: exit code 0, 1 for a failure, 64 for wrong usage, as Istio's program has them."""
    raise SystemExit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of `istioctl` with these arguments. Global flags may stand before or after the verb, as in Go programs."""
    try:
        result: Any = cli.main(args=_globals_first(arguments), prog_name="istioctl", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return 1
    except VarkaError as error:
        click.echo(f"Error: {error}", err=True)
        return 1


_GLOBAL_FLAGS = {"-c", "--kubeconfig", "--context", "-n", "--namespace", "-i", "--istioNamespace"}


def _globals_first(arguments: list[str]) -> list[str]:
    first: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            return [*first, *rest, "--", *remaining]
        name, separator, _ = argument.partition("=")
        if name in _GLOBAL_FLAGS and separator:
            first += [name, argument.partition("=")[2]]
        elif argument in _GLOBAL_FLAGS:
            first += [argument, *([value] if (value := next(remaining, None)) is not None else [])]
        else:
            rest.append(argument)
    return [*first, *rest]
