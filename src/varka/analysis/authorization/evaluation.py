"""The verdict on one request, in the order of Envoy's filters: tokens, CUSTOM, AUDIT, DENY, ALLOW.

Of several rules that match, the first by name decides, as in Envoy, whose access log then names the same one.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from varka.analysis.authorization import matching, tokens
from varka.analysis.authorization.matching import Subject
from varka.analysis.authorization.requests import Request
from varka.model.policies import trust_domains
from varka.model.security import Action, AuthorizationPolicy, JwtRule, MutualTlsMode
from varka.model.view import MeshSettings, ProxyView

REFUSED_SUFFIX = "-deny-due-to-bad-CUSTOM-action"
CUSTOM_PREFIX = "istio-ext-authz-"


class Verdict(StrEnum):
    """What becomes of a request."""

    ALLOWED = "allowed"
    DENIED = "denied"
    """403 with `RBAC: access denied`; a connection is closed."""
    UNAUTHENTICATED = "unauthenticated"
    """401: a token that nobody accepts."""
    ASKED = "asked"
    """An external authorizer decides; if it says yes, `then` holds."""
    REFUSED = "refused"
    """No connection: mutual TLS is required and the caller has no certificate."""


class Attempt(Struct, frozen=True, kw_only=True):
    """One rule that was tried; `unmet` says why it did not match, empty when it did. `rule` is -1 for a policy without rules."""

    policy: AuthorizationPolicy
    rule: int
    unmet: str

    @property
    def name(self) -> str:
        """As Envoy has it: `ns[default]-policy[viewer]-rule[0]`."""
        return f"ns[{self.policy.namespace}]-policy[{self.policy.name}]-rule[{max(self.rule, 0)}]"


class Decision(Struct, frozen=True, kw_only=True):
    """The verdict, and whose it is: `rule` is the name that the access log has, empty when no rule decided."""

    verdict: Verdict
    reason: str
    rule: str = ""
    policy: AuthorizationPolicy | None = None
    attempts: tuple[Attempt, ...] = ()
    """All rules that were tried, in the order of evaluation."""
    audits: tuple[str, ...] = ()
    """Names of AUDIT rules that match."""
    dry_run: str = ""
    """What the policies in dry run would have done, if anything else."""
    then: Verdict | None = None


def of_view(view: ProxyView, request: Request) -> Decision:
    """The verdict of a proxy's policies, mutual TLS included."""
    if view.mutual_tls.of(request.port) is MutualTlsMode.STRICT and not request.principal:
        return Decision(verdict=Verdict.REFUSED, reason=f"mutual TLS is STRICT on port {request.port}, and the caller has no certificate of the mesh")
    return decide(view.authorization, view.jwt_rules, view.mesh, request)


def decide(policies: Iterable[AuthorizationPolicy], rules: Iterable[JwtRule], mesh: MeshSettings, request: Request) -> Decision:
    """The verdict of policies and token rules."""
    found = tuple(policies)
    known = tokens.authenticate(rules, request.http.tokens) if request.http is not None else tokens.Authentication()
    if known.refusal:
        return Decision(verdict=Verdict.DENIED if known.forbidden else Verdict.UNAUTHENTICATED, reason=known.refusal)
    subject = Subject(request=request, domains=trust_domains.of(mesh), normalization=mesh.path_normalization, claims=known.claims)
    tried = {action: _tried(found, action, subject, dry_run=False) for action in Action}
    local = _local(tried[Action.DENY], tried[Action.ALLOW])
    return replace(
        _custom(tried[Action.CUSTOM], local, request) or local,
        attempts=tuple(one for action in (Action.CUSTOM, Action.DENY, Action.ALLOW) for one in tried[action]),
        audits=tuple(one.name for one in tried[Action.AUDIT] if not one.unmet),
        dry_run=_dry_run(found, subject, local.verdict),
    )


def _tried(policies: tuple[AuthorizationPolicy, ...], action: Action, subject: Subject, *, dry_run: bool) -> list[Attempt]:
    result = []
    for policy in policies:
        if policy.action is not action or policy.dry_run is not dry_run:
            continue
        if not policy.rules:
            result.append(Attempt(policy=policy, rule=-1, unmet="the policy has no rules, so that nothing matches it"))
        for index, rule in enumerate(policy.rules):
            result.append(Attempt(policy=policy, rule=index, unmet=matching.unmet(rule, subject, widens=action is not Action.ALLOW)))
    return result


def _matching(attempts: list[Attempt]) -> Attempt | None:
    return min((one for one in attempts if not one.unmet), key=lambda one: one.name, default=None)


def _local(denying: list[Attempt], allowing: list[Attempt]) -> Decision:
    """The verdict of DENY, then of ALLOW."""
    denied = _matching(denying)
    if denied is not None:
        return Decision(verdict=Verdict.DENIED, reason=f"{_title(denied)} denies it", rule=denied.name, policy=denied.policy)
    if not allowing:
        why = "no DENY policy matches, and there is no ALLOW policy" if denying else "no policy is for it"
        return Decision(verdict=Verdict.ALLOWED, reason=why)
    allowed = _matching(allowing)
    if allowed is not None:
        return Decision(verdict=Verdict.ALLOWED, reason=f"{_title(allowed)} allows it", rule=allowed.name, policy=allowed.policy)
    return Decision(verdict=Verdict.DENIED, reason="there are ALLOW policies, and none of them matches")


def _custom(attempts: list[Attempt], local: Decision, request: Request) -> Decision | None:
    """What comes before `local`, if a CUSTOM rule matches."""
    asking = _matching(attempts)
    if asking is None:
        return None
    name, policy = f"{CUSTOM_PREFIX}{asking.name}", asking.policy
    providers = {one.policy.provider for one in attempts}
    if len(providers) > 1 or policy.authorizer is None:
        problem = "policies of one workload name different ones" if len(providers) > 1 else "it cannot be reached"
        reason = f"{_title(asking)} asks the authorizer {policy.provider!r}, but {problem}"
        return Decision(verdict=Verdict.DENIED, reason=reason, rule=f"{name}{REFUSED_SUFFIX}", policy=policy)
    if request.http is None and not policy.authorizer.grpc:
        return None
    reason = f"{_title(asking)} asks the authorizer {policy.provider!r}; if that allows it: {local.reason}"
    return Decision(verdict=Verdict.ASKED, reason=reason, rule=name, policy=policy, then=local.verdict)


def _dry_run(policies: tuple[AuthorizationPolicy, ...], subject: Subject, verdict: Verdict) -> str:
    """The policies in dry run, as if they were the only ones."""
    denying, allowing = (_tried(policies, action, subject, dry_run=True) for action in (Action.DENY, Action.ALLOW))
    if not denying and not allowing:
        return ""
    tried = _local(denying, allowing)
    return f"{tried.verdict}: {tried.reason}" if tried.verdict is not verdict else ""


def _title(attempt: Attempt) -> str:
    policy = attempt.policy
    return f"rule {attempt.rule} of AuthorizationPolicy/{policy.namespace}/{policy.name}"
