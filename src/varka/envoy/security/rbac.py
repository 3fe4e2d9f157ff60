"""AuthorizationPolicies as Envoy's RBAC filters, for HTTP requests and for TCP connections.

One filter an action, in the order of evaluation: AUDIT only marks, DENY refuses before ALLOW is asked, and once there
is any ALLOW policy whatever none of them matches is refused. Policies in dry run go into the filter's shadow rules,
which are counted and decide nothing. Rules keep Istio's names (`ns[foo]-policy[name]-rule[0]`): they appear in the access
log as `rbac_access_denied_matched_policy[…]`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from envoy.config.listener.v3 import listener_components_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_pb2

from varka.envoy import messages
from varka.envoy.security import rbac_rules
from varka.model.security import Action, AuthorizationPolicy
from varka.model.view import MeshSettings

HTTP_FILTER = "envoy.filters.http.rbac"
NETWORK_FILTER = "envoy.filters.network.rbac"
ACTIONS = {Action.AUDIT: rbac_pb2.RBAC.LOG, Action.DENY: rbac_pb2.RBAC.DENY, Action.ALLOW: rbac_pb2.RBAC.ALLOW}
"""In order of evaluation."""


def http_filters(policies: Iterable[AuthorizationPolicy], mesh: MeshSettings) -> list[Any]:
    """The HTTP filters that enforce the policies, in order; none if there is nothing to enforce."""
    return [
        http_connection_manager_pb2.HttpFilter(name=HTTP_FILTER, typed_config=messages.packed(http_pb2.RBAC(**fields)))
        for fields in _filters(tuple(policies), _domains(mesh), tcp=False)
    ]


def network_filters(policies: Iterable[AuthorizationPolicy], mesh: MeshSettings) -> list[Any]:
    """The same for connections whose bytes are not HTTP."""
    return [
        listener_components_pb2.Filter(name=NETWORK_FILTER, typed_config=messages.packed(network_pb2.RBAC(stat_prefix="tcp.", **fields)))
        for fields in _filters(tuple(policies), _domains(mesh), tcp=True)
    ]


def _domains(mesh: MeshSettings) -> rbac_rules.Domains:
    return rbac_rules.Domains(own=mesh.trust_domain, aliases=mesh.trust_domain_aliases)


def _filters(policies: tuple[AuthorizationPolicy, ...], domains: rbac_rules.Domains, tcp: bool) -> list[dict[str, Any]]:
    result = []
    for action, log_or_decide in ACTIONS.items():
        enforced = [policy for policy in policies if policy.action is action and not policy.dry_run]
        tried = [policy for policy in policies if policy.action is action and policy.dry_run]
        if not enforced and not tried:
            continue
        fields: dict[str, Any] = {}
        if enforced:
            fields["rules"] = _rules(enforced, log_or_decide, domains, tcp)
        if tried:
            fields["shadow_rules"] = _rules(tried, log_or_decide, domains, tcp)
        denies = bool(tried) and action is Action.DENY
        fields["shadow_rules_stat_prefix"] = "istio_dry_run_deny_" if denies else "istio_dry_run_allow_"
        result.append(fields)
    return result


def _rules(policies: list[AuthorizationPolicy], action: int, domains: rbac_rules.Domains, tcp: bool) -> Any:
    """An ALLOW filter whose rules all fell away on TCP is kept: it refuses everything, as no rule matches."""
    named: dict[str, Any] = {}
    for policy in policies:
        prefix = f"ns[{policy.namespace}]-policy[{policy.name}]-rule"
        if not policy.rules:
            named[f"{prefix}[0]"] = rbac_rules.nobody()
        for index, rule in enumerate(policy.rules):
            built = rbac_rules.of_rule(policy, rule, domains, tcp)
            if built is not None:
                named[f"{prefix}[{index}]"] = built
    return rbac_pb2.RBAC(action=action, policies=named)
