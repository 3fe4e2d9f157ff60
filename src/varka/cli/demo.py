"""`varka demo`: from nothing to Bookinfo under STRICT mutual TLS, proven by requests.

Every step is the command that a person would type, so that the demonstration shows how the mesh is used; the proof
at the end asks real services and says of each answer whether it is the one that the policies demand.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from varka.base.errors import VarkaError
from varka.cli import env, options
from varka.cluster import state

if TYPE_CHECKING:
    from varka.client.http import HttpApi

SAMPLES = Path(__file__).parents[3] / "samples"
NAMESPACE = "default"
OUTSIDER = "outsider"
"""A pod without sidecar: what an attacker on the network would have."""
READY_SECONDS = 120
REQUEST_SECONDS = 10
SETTLE_SECONDS = 15.0
"""How long an answer may still be the one from before the policies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One proof: what was asked, what should come back, what did."""

    request: str
    expected: str
    found: str
    right: bool


@click.command("demo", epilog="Example: varka demo --name try")
@options.cluster
def command(name: str) -> int:
    """Start a cluster, install the mesh, deploy Bookinfo under zero-trust policies, and prove by requests that they hold."""
    if not SAMPLES.is_dir():
        raise VarkaError("the folder samples is not here", "run the demonstration from a clone of the project")
    started = time.monotonic()
    folder = state.folder(name)
    suffix = [] if name == state.DEFAULT_NAME else ["--name", name]
    with step("start the cluster", "varka up"):
        run([sys.executable, "-m", "varka.cli.main", "up", *suffix])
    os.environ["KUBECONFIG"] = str(folder.kubeconfig)
    os.environ.update(env.variables(folder))
    programs = env.link_programs(folder)
    kubectl, istioctl = str(programs / "kubectl"), str(programs / "istioctl")
    with step("install the mesh", "istioctl install -y"):
        run([istioctl, "install", "-y"])
    with step("let sidecars be injected", f"kubectl label namespace {NAMESPACE} istio-injection=enabled"):
        run([kubectl, "label", "namespace", NAMESPACE, "istio-injection=enabled", "--overwrite"])
    bookinfo = SAMPLES / "bookinfo"
    with step("deploy Bookinfo and its policies", "kubectl apply -f samples/bookinfo"):
        run([kubectl, "apply", "-f", str(bookinfo / "bookinfo.yaml"), "-f", str(bookinfo / "gateway.yaml"), "-f", str(bookinfo / "zero-trust.yaml")])
        asyncio.run(_outsider())
    with step("wait until every pod is ready", f"kubectl wait --for=condition=Ready pod --all --timeout={READY_SECONDS}s"):
        run([kubectl, "wait", "--for=condition=Ready", "pod", "--all", f"--timeout={READY_SECONDS}s"])
    gateway = env.variables(folder).get("GATEWAY_URL", "")
    if not gateway:
        raise VarkaError("the ingress gateway has no address on this machine", "see kubectl get svc istio-ingressgateway -n istio-system, and varka status")
    with step("prove it by requests", ""):
        rows, certificates = asyncio.run(prove(gateway))
    show(rows, certificates)
    right = all(row.right for row in rows) and bool(certificates)
    click.echo(f"\n{'Every answer is as it must be' if right else 'Some answers are wrong'}, {time.monotonic() - started:.1f} s in all.")
    click.echo("\nThe mesh keeps running. Go on with:\n")
    flag = "" if not suffix else " " + " ".join(suffix)
    for line in (f'eval "$(varka env{flag})"', "kubectl get pods", f"curl http://{gateway}/productpage", f"varka down{flag}"):
        click.echo(f"  {line}")
    return 0 if right else 1


@contextmanager
def step(title: str, shown: str) -> Iterator[None]:
    """Say what is being done, by which command, and how long it took."""
    began = time.monotonic()
    terminal = sys.stdout.isatty()
    text = f"{title:<34}{click.style(shown, dim=True)}"
    if terminal:
        click.echo(f"… {text}", nl=False)
    try:
        yield
    except BaseException:
        click.echo(("\r" if terminal else "") + click.style("✘ ", fg="red") + text)
        raise
    click.echo(("\r" if terminal else "") + click.style("✔ ", fg="green") + f"{text}  {time.monotonic() - began:.1f} s")


def run(arguments: list[str]) -> None:
    """Run a command; VarkaError with its own words when it fails."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=600, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        told = (done.stderr or done.stdout).strip()
        raise VarkaError(f"{Path(arguments[0]).name} {' '.join(arguments[1:3])} … failed:\n{told}", "see varka status")


async def _outsider() -> None:
    from varka.client import manifests

    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": OUTSIDER, "namespace": NAMESPACE, "labels": {"app": OUTSIDER, "sidecar.istio.io/inject": "false"}},
        "spec": {"containers": [{"name": "curl", "image": "docker.io/curlimages/curl", "command": ["sleep", "infinity"]}], "terminationGracePeriodSeconds": 0},
    }
    async with connect() as api:
        await manifests.apply(api, [pod], manager="varka-demo")


def connect() -> HttpApi:
    """The cluster that KUBECONFIG names."""
    from varka.client import kubeconfig
    from varka.client.http import HttpApi

    return HttpApi(kubeconfig.load().connection)


async def prove(gateway: str) -> tuple[list[Row], list[dict[str, str]]]:
    """Ask every question; one that settles late is asked again for a while, because policies reach proxies one by one."""
    from varka.client import resources

    async with connect() as api:
        pods = await _pods(api)
        details = "http://details:9080/details/0"
        get = ["curl", "-s", "--max-time", "5", "-w", "\n%{http_code}"]
        asked = [
            _until("the page, through the gateway", "200", lambda: _page(gateway)),
            _until("productpage → details", "200", lambda: _inside(api, pods["productpage"], "productpage", [*get, details])),
            _until("reviews → details", "403 RBAC: access denied", lambda: _inside(api, pods["reviews"], "reviews", [*get, details])),
            _until("pod without sidecar → details", "refused", lambda: _inside(api, OUTSIDER, "curl", [*get, details])),
            _until(
                "productpage → details, POST",
                "403 RBAC: access denied",
                lambda: _inside(api, pods["productpage"], "productpage", [*get, "-X", "POST", details]),
            ),
        ]
        rows = list(await asyncio.gather(*asked))
        await api.delete(resources.PODS, OUTSIDER, NAMESPACE, grace_seconds=0)
        certificates = [await _certificate(api, namespace, pod) for namespace, pod in await _meshed(api)]
    return rows, certificates


async def _until(request: str, expected: str, ask: Any) -> Row:
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        found = await ask()
        if found == expected or time.monotonic() > deadline:
            return Row(request=request, expected=expected, found=found, right=found == expected)
        await asyncio.sleep(0.1)


async def _page(gateway: str) -> str:
    import aiohttp

    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS)) as http, http.get(f"http://{gateway}/productpage") as response:
            text = await response.text()
            missing = [part for part in ("Simple Bookstore App", "Book details", "Reviews served by") if part not in text]
            return str(response.status) if not missing else f"{response.status} without {missing[0]!r}"
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        return f"failed: {error}"


async def _inside(api: HttpApi, pod: str, container: str, arguments: list[str]) -> str:
    from varka.client import streams

    code, output, errors = await streams.run(api, NAMESPACE, pod, arguments, container=container, timeout=REQUEST_SECONDS)
    body, _, status = output.decode(errors="replace").rpartition("\n")
    if status == "000" or code != 0:
        return "refused" if code in {7, 35, 52, 56} else f"curl ended with {code}: {errors.decode(errors='replace').strip()}"
    return status if status == "200" else f"{status} {body.strip()}".strip()


async def _pods(api: HttpApi) -> dict[str, str]:
    from varka.client import resources

    found = (await api.list(resources.PODS, NAMESPACE)).items
    alive = [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]
    return {pod["metadata"].get("labels", {}).get("app", ""): pod["metadata"]["name"] for pod in alive}


async def _meshed(api: HttpApi) -> list[tuple[str, str]]:
    from varka.client import resources

    pods = (await api.list(resources.PODS)).items
    return sorted(
        (pod["metadata"]["namespace"], pod["metadata"]["name"])
        for pod in pods
        if not pod["metadata"].get("deletionTimestamp") and any(container["name"] == "istio-proxy" for container in pod["spec"]["containers"])
    )


async def _certificate(api: HttpApi, namespace: str, pod: str) -> dict[str, str]:
    """What the pod's Envoy says of the certificate that it uses."""
    from varka.client import streams

    _, output, _ = await streams.run(api, namespace, pod, ["pilot-agent", "request", "GET", "certs"], container="istio-proxy", timeout=REQUEST_SECONDS)
    try:
        chains = [chain for entry in json.loads(output)["certificates"] for chain in entry["cert_chain"]]
        leaf = next(chain for chain in chains if any("uri" in name for name in chain["subject_alt_names"]))
    except (ValueError, KeyError, StopIteration) as error:
        raise VarkaError(
            f"the Envoy of pod/{namespace}/{pod} shows no workload certificate", f"see kubectl logs -n {namespace} {pod} -c istio-proxy"
        ) from error
    identity = next(name["uri"] for name in leaf["subject_alt_names"] if "uri" in name)
    return {"pod": pod, "identity": identity, "serial": leaf["serial_number"], "from": leaf["valid_from"], "until": leaf["expiration_time"]}


def show(rows: list[Row], certificates: list[dict[str, str]]) -> None:
    """The two tables."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    proofs = Table(box=box.SIMPLE_HEAD, title="Requests", title_justify="left", title_style="bold", pad_edge=False)
    for heading in ("", "request", "must be", "was"):
        proofs.add_column(heading)
    for row in rows:
        proofs.add_row("[green]✔[/]" if row.right else "[red]✘[/]", row.request, row.expected, row.found if row.right else f"[red]{row.found}[/]")
    held = Table(box=box.SIMPLE_HEAD, title="Certificates in use", title_justify="left", title_style="bold", pad_edge=False)
    for heading in ("pod and SPIFFE ID", "serial number", "valid from, until"):
        held.add_column(heading, overflow="fold")
    for entry in certificates:
        held.add_row(f"{entry['pod']}\n[dim]{entry['identity']}[/]", entry["serial"], f"{entry['from']}\n{entry['until']}")
    console.print()
    console.print(proofs)
    console.print(held)
