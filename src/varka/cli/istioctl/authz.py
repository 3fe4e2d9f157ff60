"""`istioctl experimental authz`: the AuthorizationPolicies of a workload, and what they say to a request.

`check` reads what the proxy has; `explain` works out from the resources what becomes of a request, and whose doing it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click
from msgspec.structs import replace

from varka.base.errors import VarkaError
from varka.cli.istioctl import session, tables
from varka.cli.istioctl.main import Globals
from varka.cli.istioctl.proxy_config import verbs

if TYPE_CHECKING:
    from varka.analysis.authorization.callers import Caller
    from varka.analysis.authorization.evaluation import Decision
    from varka.analysis.authorization.requests import Request
    from varka.cli.istioctl.session import Session
    from varka.model.snapshot import Snapshot
    from varka.model.view import ProxyView

ACTIONS = ("CUSTOM", "DENY", "ALLOW", "LOG")
RULE = re.compile(r"ns\[(?P<namespace>.+?)\]-policy\[(?P<name>.+?)\]-rule\[\d+\]")
ANONYMOUS = "anonymous"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def authz() -> None:
    """Show which policies a workload has, and what they say to a request."""


@authz.command("check", epilog="Example: istioctl x authz check deployment/reviews-v1")
@click.argument("pod", required=False, default="")
@click.option("-f", "--file", default="", metavar="FILE", help="Read this config dump instead of asking a proxy; - is standard input.")
@click.pass_obj
def check(flags: Globals, pod: str, file: str) -> None:
    """List the AuthorizationPolicies that the proxy of POD enforces, with their actions and numbers of rules."""
    if bool(pod) is bool(file):
        raise click.UsageError("give a pod or --file")
    click.echo(tables.render(policies(json.loads(verbs.fetch(flags, pod, file))), padding=3), nl=False)


def policies(dump: Mapping[str, Any]) -> list[Sequence[str]]:
    """The table: action, policy, number of rules; those in dry run say so."""
    found: dict[tuple[str, str], set[str]] = {}
    for filters in _rbac(dump):
        for field, mark in (("rules", ""), ("shadow_rules", " (dry run)")):
            rules = filters.get(field) or {}
            for name in rules.get("policies") or {}:
                match = RULE.search(name)
                if match is None:
                    continue
                custom = name.startswith("istio-ext-authz-")
                action = "CUSTOM" if custom else rules.get("action", "ALLOW") + mark
                found.setdefault((action, f"{match['name']}.{match['namespace']}"), set()).add(match.group())
    order = {action: number for number, action in enumerate(ACTIONS)}
    rows = sorted(found, key=lambda row: (order.get(row[0].split()[0], len(order)), row))
    return [("ACTION", "AuthorizationPolicy", "RULES"), *((action.replace("LOG", "AUDIT"), name, str(len(found[action, name]))) for action, name in rows)]


def _rbac(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if str(value.get("@type", "")).endswith("filters.http.rbac.v3.RBAC") or str(value.get("@type", "")).endswith("filters.network.rbac.v3.RBAC"):
            yield value
        for item in value.values():
            yield from _rbac(item)
    elif isinstance(value, list):
        for item in value:
            yield from _rbac(item)


@authz.command("explain", epilog="Example: istioctl x authz explain deployment/reviews-v1 --from default/bookinfo-productpage --path /reviews/0")
@click.argument("pod")
@click.option("--from", "caller", default="", metavar="WHO", help="Pod, NAMESPACE/ACCOUNT, SPIFFE ID, or `anonymous`; without it everybody of the mesh.")
@click.option("-X", "--method", default="GET", show_default=True, metavar="NAME", help="Method of the request.")
@click.option("--path", default="/", show_default=True, metavar="PATH", help="Path of the request.")
@click.option("--host", default="", metavar="NAME", help="Host of the request; otherwise the workload's service.")
@click.option("--port", type=int, default=0, metavar="NUMBER", help="Port of the workload; otherwise the first that a service points at.")
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header of the request; may be repeated.")
@click.option("--claims", default="", metavar="JSON", help="Claims of a valid token that comes with the request.")
@click.option("--source-ip", default="", metavar="IP", help="Address of the caller.")
@click.option("--tcp", is_flag=True, help="A connection without HTTP.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Output format.")
@click.pass_obj
def explain(flags: Globals, /, pod: str, caller: str, output: str, **asked: Any) -> None:
    """Tell what becomes of a request to POD, by which policy, and why. Nothing is sent."""
    found = session.run(flags, lambda opened: _explain(opened, pod, caller, asked))
    if output == "json":
        click.echo(json.dumps([as_dict(who, decision) for who, decision in found], indent=4))
    elif caller:
        click.echo(text(*found[0]), nl=False)
    else:
        click.echo(tables.render(summary(found), padding=3), nl=False)


async def _explain(opened: Session, pod: str, caller: str, asked: Mapping[str, Any]) -> list[tuple[Caller, Decision]]:
    from varka.analysis.authorization import callers, evaluation
    from varka.cli.istioctl.analyzing import collecting
    from varka.model import views

    namespace, name = await session.pod_of(opened, pod)
    who = await _principal(opened, caller) if caller else None
    objects, mesh = await collecting.objects(opened), await collecting.mesh_settings(opened)
    snapshot = collecting.snapshot(objects, mesh)
    view = _with_keys(views.view(snapshot, _proxy(snapshot, namespace, name)))
    request = request_of(view, asked)
    if who is None:
        return callers.decisions(snapshot, view, request)
    one = next((one for one in callers.known(snapshot) if one.principal == who), None) or callers.Caller(principal=who)
    return [(one, evaluation.of_view(view, replace(request, principal=who)))]


def _proxy(snapshot: Snapshot, namespace: str, name: str) -> Any:
    from varka.model.view import Proxy, ProxyType

    found = snapshot.pods.get(namespace, name)
    if found is None:
        raise VarkaError(f"pod {name} of {namespace} is gone", "try again")
    kind = ProxyType.ROUTER if "istio" in found.labels and found.labels["istio"].endswith("gateway") else ProxyType.SIDECAR
    return Proxy(id=f"{name}.{namespace}", type=kind, name=name, namespace=namespace, ip=found.ip, labels=found.labels, workload=found.workload)


def _with_keys(view: ProxyView) -> ProxyView:
    """Keys are the control plane's to fetch; here they count as fetched, and every token as signed well."""
    return replace(view, jwt_rules=tuple(rule if rule.jwks else replace(rule, fetch_from=(rule.issuer, 0)) for rule in view.jwt_rules))


async def _principal(opened: Session, caller: str) -> str:
    """The identity that is meant; empty for plain text."""
    from varka.cli.istioctl.analyzing import collecting
    from varka.client import resources

    if caller == ANONYMOUS:
        return ""
    if "/ns/" in caller:
        return caller.removeprefix("spiffe://")
    domain = (await collecting.mesh_settings(opened)).trust_domain
    kind, slash, account = caller.partition("/")
    if slash and kind not in {"pod", "pods", "po", "deploy", "deployment", "deployments", "svc", "service", "services"}:
        return f"{domain}/ns/{kind}/sa/{account}"
    namespace, name = await session.pod_of(opened, caller)
    spec = (await opened.api.get(resources.PODS, name, namespace))["spec"]
    return f"{domain}/ns/{namespace}/sa/{spec.get('serviceAccountName') or 'default'}"


def request_of(view: ProxyView, asked: Mapping[str, Any]) -> Request:
    """The request that the flags describe; what they leave out comes from the workload's first port."""
    from varka.analysis.authorization.requests import Http, Request, Token

    port = next((one for one in view.inbound if asked["port"] in {0, one.target_port}), None)
    number = asked["port"] or (port.target_port if port is not None else 0)
    if not number:
        raise VarkaError("no service points at a port of the workload", "name one with --port")
    speaks_http = port is None or port.service_port.protocol.is_http or port.service_port.protocol.name == "AUTO"
    http = None
    if speaks_http and not asked["tcp"]:
        headers = dict(_header(line) for line in asked["headers"])
        tokens = (Token(claims=_claims(asked["claims"])),) if asked["claims"] else ()
        host = asked["host"] or (str(port.service.hostname) if port is not None else "")
        http = Http(method=asked["method"], path=asked["path"], host=host, headers=headers, tokens=tokens)
    remote = _header_value(asked["headers"], "x-forwarded-for").rpartition(",")[2].strip()
    return Request(port=number, source_ip=asked["source_ip"], remote_ip=remote, destination_ip=view.proxy.ip, http=http)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip():
        raise VarkaError(f"{line!r} is no header", "write -H 'name: value'")
    return name.strip().lower(), value.strip()


def _header_value(lines: Sequence[str], name: str) -> str:
    return dict(map(_header, lines)).get(name, "")


def _claims(given: str) -> dict[str, Any]:
    try:
        found = json.loads(given)
    except ValueError as error:
        raise VarkaError(f"the claims are no JSON: {error}", """write --claims '{"iss": "https://issuer", "sub": "user"}'""") from error
    if not isinstance(found, dict):
        raise VarkaError("the claims are no JSON object", """write --claims '{"iss": "https://issuer", "sub": "user"}'""")
    return found


def summary(found: Sequence[tuple[Caller, Decision]]) -> list[Sequence[str]]:
    """One row a caller."""
    return [("CALLER", "VERDICT", "WHY"), *((who.title, decision.verdict.upper(), decision.reason) for who, decision in found)]


def text(who: Caller, decision: Decision) -> str:
    """The verdict for one caller, and every rule that was tried."""
    from varka.analysis.authorization.evaluation import Verdict

    lines = [f"{decision.verdict.upper()}: {decision.reason}", "", f"Caller:   {who.title}"]
    if who.workloads:
        lines.append(f"          {', '.join(who.workloads)}")
    if decision.verdict is Verdict.DENIED and decision.attempts:
        lines.append(f"Log:      rbac_access_denied_matched_policy[{decision.rule or 'none'}]")
    lines += [f"Audit:    {name}" for name in decision.audits]
    lines += [f"Dry run:  {decision.dry_run}"] if decision.dry_run else []
    rows = [(str(one.policy.action), f"{one.policy.name}.{one.policy.namespace}", str(max(one.rule, 0)), one.unmet or "matches") for one in decision.attempts]
    table = tables.render([("ACTION", "AuthorizationPolicy", "RULE", "RESULT"), *rows], padding=3) if rows else ""
    return "\n".join(lines) + "\n" + (f"\n{table}" if table else "")


def as_dict(who: Caller, decision: Decision) -> dict[str, Any]:
    """The same for programs."""
    policy = decision.policy
    return {
        "caller": {"principal": who.principal, "workloads": list(who.workloads)},
        "verdict": str(decision.verdict),
        "reason": decision.reason,
        "policy": {"namespace": policy.namespace, "name": policy.name, "action": str(policy.action)} if policy is not None else None,
        "rule": decision.rule,
        "then": str(decision.then) if decision.then is not None else None,
        "audits": list(decision.audits),
        "dryRun": decision.dry_run,
        "tried": [
            {"action": str(one.policy.action), "namespace": one.policy.namespace, "name": one.policy.name, "rule": max(one.rule, 0), "unmet": one.unmet}
            for one in decision.attempts
        ],
    }
